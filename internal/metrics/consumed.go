package metrics

// Consumed is what happened to a message of a consumer of the HTTP API. The metric's label is its String.
type Consumed uint8

// What may happen.
const (
	ConsumedDelivered    Consumed = iota // given to a request or a push, the first time or not
	ConsumedRedelivered                  // of these: not for the first time
	ConsumedAcknowledged                 // done with
	ConsumedReturned                     // given back
	ConsumedDeadLettered                 // went to the topic for such
	ConsumedPushFailed                   // a push was not answered with 2xx
	consumedKinds
)

var consumedNames = [consumedKinds]string{"delivered", "redelivered", "acknowledged", "returned", "dead_lettered", "push_failed"}

// String returns its name, for example "delivered".
func (c Consumed) String() string {
	if c < consumedKinds {
		return consumedNames[c]
	}
	return "unknown"
}

// ConsumedCounts are numbers by what happened.
type ConsumedCounts [consumedKinds]int64

// Consume counts that something happened to n messages.
func (m *Metrics) Consume(what Consumed, n int64) { m.consumed[what].Add(n) }

// Consumed returns the counts of all consumers.
func (m *Metrics) Consumed() (c ConsumedCounts) {
	for i := range c {
		c[i] = m.consumed[i].Load()
	}
	return c
}
