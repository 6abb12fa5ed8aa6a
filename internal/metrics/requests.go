package metrics

// Requests are those of one route of the HTTP API.
type Requests struct {
	Method, Route string     // static
	Took          Histogram  // streams included, which last
	Status        [6]Counter // by the first digit of the status; 0: none was sent
}
