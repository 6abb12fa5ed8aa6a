package broker

import "github.com/barid-mqtt/barid/internal/message"

// LostCounts are what a session did not get, and what its client published and the broker refused, since the broker
// started.
type LostCounts struct {
	Refused  int64 // PUBLISH packets of the client
	Copies   int64 // messages for it, for any reason
	Full     int64 // of these: more than may wait, or for longer
	Slow     int64 // QoS 0 that would have waited for its connection
	Expired  int64
	TooLarge int64
}

// lose returns what the client lost, to be counted in. The caller holds c.mu.
func (c *client) lose() *LostCounts {
	if c.lost == nil {
		c.lost = new(LostCounts)
	}
	return c.lost
}

// dropped counts n copies that were dropped for a reason.
func (l *LostCounts) dropped(reason message.DropReason, n int64) {
	l.Copies += n
	switch reason {
	case message.DropQueueFull, message.DropQueueAge:
		l.Full += n
	case message.DropSlowConsumer, message.DropMemory:
		l.Slow += n
	case message.DropExpired:
		l.Expired += n
	case message.DropTooLarge:
		l.TooLarge += n
	}
}
