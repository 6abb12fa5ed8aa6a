package conn

import (
	"runtime"
	"time"
)

// Traffic is what went one way over a connection since it was accepted.
type Traffic struct {
	Transfers int64    // reads or writes of the socket
	Bytes     int64    // of MQTT: without what TLS and WebSocket add
	Packets   int64    // control packets
	Messages  [3]int64 // of these: PUBLISH, by QoS
}

// Published is how many messages there were.
func (t *Traffic) Published() int64 { return t.Messages[0] + t.Messages[1] + t.Messages[2] }

// Traffic returns what the client sent, and what it was sent. What it sent is counted without a lock by whoever feeds the
// connection, so this waits until nobody does, and keeps others from it for a few instructions. No lock may be held that
// handling a packet takes.
func (c *Conn) Traffic() (in, out Traffic) {
	for tries := 0; !c.look(&in); tries++ {
		if tries < 100 {
			runtime.Gosched()
		} else {
			time.Sleep(100 * time.Microsecond) // what it is handling goes to many
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return in, c.sent
}

func (c *Conn) look(in *Traffic) bool {
	if c.input.CompareAndSwap(0, looking) {
		*in = c.received
		c.input.Store(0)
		return true
	}
	if c.input.Load()&finished == 0 {
		return false
	}
	*in = c.received // which nobody changes any more
	return true
}

// enterAfter is enter for a connection that is being looked at, or is over.
func (c *Conn) enterAfter() bool {
	for {
		switch c.input.Load() {
		case looking:
			runtime.Gosched()
		case 0:
			if c.input.CompareAndSwap(0, feeding) {
				return true
			}
		default:
			return false
		}
	}
}
