// Package message holds the values that travel from publisher to subscriber: a message, which nobody changes once it
// is made, and its place in the log.
package message

import (
	"cmp"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// Message is one application message. It is immutable: the router, the log and every subscriber share it.
type Message struct {
	Topic   string
	Payload []byte
	// Properties are the properties that a server forwards unaltered (payload format, content type, response topic,
	// correlation data, user properties in order), encoded as version 5 has them on the wire; nil: none.
	Properties []byte
	QoS        mqtt.QoS
	Retain     bool // the RETAIN flag as published

	PublishedAt time.Time
	ExpiresAt   time.Time // zero: never
	ClientID    string    // the publisher; "" for the broker itself
	Username    string

	Trace *Trace // nil: nobody follows the message

	frame *frame // nil: the garbage collector's
}

// Trace is what follows a message on its way through the broker. It is not kept with the message.
type Trace struct{ Span any }

// Expired reports whether the message's expiry interval has passed at now.
func (m *Message) Expired(now time.Time) bool {
	return !m.ExpiresAt.IsZero() && !now.Before(m.ExpiresAt)
}

// ExpirySeconds returns what is left of the message's expiry interval at now, rounded up, so that a message that is
// still alive never says 0 [MQTT-3.3.2-6]. ok is false for a message that does not expire.
func (m *Message) ExpirySeconds(now time.Time) (seconds uint32, ok bool) {
	if m.ExpiresAt.IsZero() {
		return 0, false
	}
	left := m.ExpiresAt.Sub(now)
	if left <= 0 {
		return 0, true
	}
	return uint32((left + time.Second - 1) / time.Second), true
}

// Position is a place in the log: the sequence of a block and the index of a record in it. The zero Position is before
// everything.
type Position struct {
	Block uint64
	Index uint32
}

// MaxPosition is after everything.
var MaxPosition = Position{Block: ^uint64(0), Index: ^uint32(0)}

// Compare returns -1, 0 or 1 as p is before, at or after q.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.Block, q.Block); c != 0 {
		return c
	}
	return cmp.Compare(p.Index, q.Index)
}

// Less reports whether p is before q.
func (p Position) Less(q Position) bool { return p.Compare(q) < 0 }

// Next is the position right after p.
func (p Position) Next() Position { return Position{p.Block, p.Index + 1} }

// IsZero reports whether p is the zero Position.
func (p Position) IsZero() bool { return p == Position{} }
