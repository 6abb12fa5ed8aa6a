package metrics

// Level is how much there is of something, and how much there was at most since the broker started.
type Level struct{ Now, Max int64 }

// Set notes how much there is now.
func (l *Level) Set(n int64) { l.Now, l.Max = n, max(l.Max, n) }

// Levels are what is no counter, at one time.
type Levels struct {
	Sessions             Level // connected or not
	Connected            Level // connections
	Topics               Level // filters, each once
	Subscriptions        Level // shared ones included
	Shared               Level
	Retained             Level
	Delayed              Level // messages that wait for their time
	DurableSubscriptions int64
	DurableAway          int64 // durable sessions without a connection
}
