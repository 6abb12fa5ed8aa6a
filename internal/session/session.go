// Package session is the protocol state of one client that survives its connections: what is in flight in either
// direction, packet identifiers, and the bounded queue of what is to be sent next.
//
// It is pure: packets and the time go in, effects come out. It has no goroutine, no lock, no clock and no I/O; whoever
// owns a Session serialises the calls.
package session

import (
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// Options are a session's limits, fixed for its life.
type Options struct {
	ReceiveMaximum int   // unacknowledged QoS 1 and 2 PUBLISH packets that the client may have under way to us
	InFlightMax    int   // the same towards the client, where its own receive maximum does not say less; 0: 65,535 for either
	QueueMax       int   // messages waiting to be sent; 0: no limit
	GroupIDs       int   // how many of the highest packet identifiers are kept for Assign, and for nothing else; 0: none
	QueueMaxBytes  int64 // their payloads, topics and properties, and 128 bytes each for holding them; 0: no limit
	// InFlightMaxBytes bounds the size of what is in flight, counted as QueueMaxBytes counts: it is reached by the message
	// that passes it. 0: no limit.
	InFlightMaxBytes int64
}

// Connection is what a session must know of the connection that it is attached to.
type Connection struct {
	Version        mqtt.Version
	ReceiveMaximum int // the client's, 65,535 where it said nothing
}

// Delivery is one message on its way to one session.
type Delivery struct {
	Message         *message.Message
	QoS             mqtt.QoS // the lower of the message's and the subscription's
	Retain          bool     // the RETAIN flag to send
	SubscriptionIDs []uint32
	Position        message.Position // where it stands in the log; zero: not from the log
	Group           any              // the shared group that assigned it, or the follower that read it from a stream; nil: none
}

// Inbound is what to do with a PUBLISH packet that arrived.
type Inbound uint8

// The verdicts on an incoming PUBLISH packet.
const (
	// Process: route it, then call PublishDone.
	Process Inbound = iota
	// Answer: its QoS 2 identifier is known and its message owned already: send PUBREC again, route nothing [MQTT-4.3.3-10].
	Answer
	// Wait: the first PUBLISH with this QoS 2 identifier is still under way, and its own PUBREC will answer both.
	Wait
	// QuotaExceeded: a version 5 client passed the receive maximum: DISCONNECT 0x93 [MQTT-3.3.4-8].
	QuotaExceeded
)

// Kind says what Next returned.
type Kind uint8

// What there is to send.
const (
	SendPublish Kind = iota // a PUBLISH packet: the delivery, with PacketID (0 for QoS 0) and Dup
	SendPubrel              // a PUBREL packet with PacketID
	Dropped                 // nothing to send: the delivery was dropped for Reason
)

// Send is the next thing for the connection.
type Send struct {
	Kind     Kind
	PacketID uint16
	Dup      bool
	Delivery Delivery
	Reason   message.DropReason
}

// InFlight is a delivery with a packet identifier, on its way to the client.
type InFlight struct {
	PacketID uint16
	Released bool // QoS 2: the client's PUBREC was seen, so PUBREL is what it gets from now on
	Delivery Delivery
}

// maxPacketID is the highest packet identifier, and so the most that can be in flight.
const maxPacketID = 65_535

// Session is one client's protocol state. It is not safe for concurrent use.
type Session struct {
	opts     Options
	version  mqtt.Version // of the connection
	attached bool
	window   int // deliveries that may be unacknowledged on this connection

	in  inbound
	out inFlight
	q   queue
}

// New returns a session without a connection.
func New(o Options) *Session {
	o.ReceiveMaximum = orMax(o.ReceiveMaximum)
	o.InFlightMax = min(orMax(o.InFlightMax), maxPacketID-o.GroupIDs)
	return &Session{opts: o}
}

// orMax reads a limit on packets under way: out of range means as many as there are packet identifiers.
func orMax(n int) int {
	if n <= 0 || n > maxPacketID {
		return maxPacketID
	}
	return n
}

// Attach gives the session a new connection. All that is in flight is due again, in its original order and with its
// original packet identifiers. QoS 2 identifiers of the client stay; its quota starts afresh, since neither side
// carries a quota over to a new connection (MQTT 5, section 4.9).
func (s *Session) Attach(c Connection) {
	s.version, s.attached = c.Version, true
	s.window = min(orMax(c.ReceiveMaximum), s.opts.InFlightMax)
	s.in.restartQuota()
	s.out.allDue()
}

// Detach says that the connection is gone. It returns, and forgets, what the queue still held, in order; what becomes of
// it is for the owner to say: go back to where it came from, or drop it. What is in flight stays.
func (s *Session) Detach() (unsent []Delivery) {
	unsent = s.q.drain()
	s.attached = false
	s.out.forgetTaken()
	s.Trim()
	return unsent
}

// Attached reports whether the session has a connection.
func (s *Session) Attached() bool { return s.attached }

// What a session may have grown to before Trim is worth its while: about 10 kB.
const (
	grownSlots = 64
	grownIDs   = 1024
)

// Grown reports whether the session holds memory, for what was under way at one time, that Trim may give back.
func (s *Session) Grown() bool {
	return cap(s.out.slots) > grownSlots || len(s.q.ring) > grownSlots || len(s.in.ids.slots) > grownIDs
}

// Quiet reports whether next to nothing is under way now.
func (s *Session) Quiet() bool {
	return s.out.n <= grownSlots/4 && s.q.n <= grownSlots/4 && s.in.ids.n <= grownIDs/4
}

// Trim gives back memory that the session has grown and does not use now. Nothing else about it changes. A busy session
// would only grow it again, so call it for sessions that have been quiet for a while.
func (s *Session) Trim() {
	s.in.ids.trim()
	s.out.trim()
	s.q.trim()
}
