package metrics

import (
	"math/bits"

	"github.com/barid-mqtt/barid/mqtt"
)

// Tally is what one turn of work did, counted without touching what others count in. It belongs to one goroutine.
type Tally struct {
	Bytes     int64 // received
	Published int64
	NoLocal   int64

	packets              [16]int64 // received, by type
	seen                 uint16    // the types of which there were any
	publishes, sent      [3]int64  // PUBLISH packets by QoS
	payload, sentPayload int64
	resent               int64
	access               [4]int64 // by allowed | remembered<<1
	accessed             bool
}

// Packet counts a control packet that was received and is no PUBLISH.
func (t *Tally) Packet(p mqtt.Type) {
	t.packets[p&15]++
	t.seen |= 1 << (p & 15)
}

// Publish counts a PUBLISH packet that was received.
func (t *Tally) Publish(q mqtt.QoS, payload int) {
	t.publishes[q&3%3]++
	t.payload += int64(payload)
}

// Sent counts a PUBLISH packet that was sent.
func (t *Tally) Sent(q mqtt.QoS, payload int, again bool) {
	t.sent[q&3%3]++
	t.sentPayload += int64(payload)
	if again {
		t.resent++
	}
}

// Access counts an answer about a topic.
func (t *Tally) Access(allowed, remembered bool) {
	i := 0
	if allowed {
		i = 1
	}
	if remembered {
		i |= 2
	}
	t.access[i]++
	t.accessed = true
}

// Add adds up what a turn did, and has t begin anew.
func (m *Metrics) Add(t *Tally) {
	move(&m.BytesReceived, &t.Bytes)
	for s := t.seen; s != 0; s &= s - 1 {
		i := bits.TrailingZeros16(s)
		move(&m.PacketsReceived[i], &t.packets[i])
	}
	t.seen = 0
	received, sent := int64(0), int64(0)
	for q := range t.publishes {
		received += t.publishes[q]
		sent += t.sent[q]
		move(&m.PublishReceived[q], &t.publishes[q])
		move(&m.PublishSent[q], &t.sent[q])
	}
	move(&m.PacketsReceived[mqtt.PUBLISH], &received)
	move(&m.PacketsSent[mqtt.PUBLISH], &sent)
	move(&m.PublishBytesReceived, &t.payload)
	move(&m.PublishBytesSent, &t.sentPayload)
	move(&m.PublishResent, &t.resent)
	move(&m.Published, &t.Published)
	move(&m.NoLocal, &t.NoLocal)
	if t.accessed {
		m.AccessDenied.Add(t.access[0] + t.access[2])
		m.AccessAllowed.Add(t.access[1] + t.access[3])
		m.AccessAsked.Add(t.access[0] + t.access[1])
		m.AccessRemembered.Add(t.access[2] + t.access[3])
		t.access, t.accessed = [4]int64{}, false
	}
}

func move(c *Counter, n *int64) {
	if *n != 0 {
		c.Add(*n)
		*n = 0
	}
}
