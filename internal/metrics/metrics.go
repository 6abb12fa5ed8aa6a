// Package metrics counts what the broker does. Counters only rise; what is a state (connections, sessions) is asked of
// its owner when it is shown.
package metrics

import (
	"sync/atomic"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// Counter is a number that only rises. It has a cache line of its own, since several loops count at once.
type Counter struct {
	n atomic.Int64
	_ [56]byte
}

// Add adds n.
func (c *Counter) Add(n int64) { c.n.Add(n) }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Load returns the count.
func (c *Counter) Load() int64 { return c.n.Load() }

// Packets counts control packets by their type.
type Packets [16]Counter

// Load returns how many there were of all types.
func (p *Packets) Load() (n int64) {
	for i := range p {
		n += p[i].Load()
	}
	return n
}

// Of returns how many there were of one type.
func (p *Packets) Of(t mqtt.Type) int64 { return p[t&15].Load() }

// ByQoS counts messages by their QoS.
type ByQoS [3]Counter

// Load returns how many there were of all levels.
func (q *ByQoS) Load() int64 { return q[0].Load() + q[1].Load() + q[2].Load() }

// Metrics are the counters of one broker.
type Metrics struct {
	BytesReceived, BytesSent               Counter
	PacketsReceived, PacketsSent           Packets
	PublishReceived, PublishSent           ByQoS   // PUBLISH packets
	PublishBytesReceived, PublishBytesSent Counter // their payloads
	PublishResent                          Counter // of PublishSent: those that had been sent before
	PublishErrors                          Counter // PUBACK and PUBREC with a code that says no
	PublishUnauthorized                    Counter // of these: not authorised
	PublishRepeated                        Counter // QoS 2 PUBLISH packets whose identifier was in use: the message is there already
	Published                              Counter // messages from clients, wills and the HTTP API
	Retained, Delayed, Logged              Counter // of these: with RETAIN, with a delay; for the log
	NoLocal                                Counter // copies that a subscriber does not get of what it published itself
	Sockets                                Counter // network connections accepted
	Connects, ConnectsRefused, Disconnects Counter // CONNECT accepted and refused; connections ended after a CONNECT
	ConnacksUnauthorized                   Counter // CONNACK that says who the client is, or what it may do, is the reason
	SubscribesRefused                      Counter // topic filters of SUBSCRIBE that were refused
	SubscribesUnauthorized                 Counter // of these: not authorised
	UnsubscribesUnknown                    Counter // topic filters of UNSUBSCRIBE that there was no subscription for
	Unacknowledged                         Acknowledgements
	SessionsCreated, SessionsResumed       Counter
	SessionsTakenOver, SessionsExpired     Counter
	SessionsDiscarded, SessionsEnded       Counter // by a clean start; for any reason
	Acknowledged                           Counter // deliveries that subscribers completed
	PublishesRefused                       Counter // not allowed
	Authenticated, Anonymous               Counter // clients that proved who they are, and those let in without
	AccessAllowed, AccessDenied            Counter // answers about topics, where there are rules
	AccessRemembered, AccessAsked          Counter // of these: those that the connection remembered, and those it did not
	AlarmsActivated, AlarmsDeactivated     Counter
	ClockJumps                             Counter // of the machine's clock, either way

	// How long things took. Gather, Write and Sync are the stages of Commit, one for each block of the log.
	Gather, Write, Sync, Commit Histogram
	Acknowledge                 Histogram // from a PUBLISH to the acknowledgement that waited for a commit
	Tail, CatchUp               Histogram // from publishing to the delivery from the log to who keeps up, and who does not
	Connect                     Histogram // from CONNECT to the CONNACK of a client that is accepted
	CommittedUnits, LogWritten  Counter   // in blocks, and their bytes

	dropped [256]atomic.Int64
	hits    [limits]Counter

	consumed [consumedKinds]Counter
}

// Acknowledgements counts those that fit nothing: Unknown belong to no message, and Misplaced to one at another step.
type Acknowledgements struct{ Unknown, Misplaced Packets }

// Drop counts n messages or copies that went no further for reason.
func (m *Metrics) Drop(reason message.DropReason, n int64) { m.dropped[reason].Add(n) }

// Dropped returns how many messages or copies were dropped for reason.
func (m *Metrics) Dropped(reason message.DropReason) int64 { return m.dropped[reason].Load() }

// DroppedTotal returns how many messages or copies were dropped for any reason but the lack of a subscriber, which
// loses nothing that anybody waited for.
func (m *Metrics) DroppedTotal() int64 {
	var n int64
	for _, r := range message.DropReasons() {
		if r != message.DropNoSubscriber {
			n += m.Dropped(r)
		}
	}
	return n
}
