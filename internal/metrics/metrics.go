// Package metrics counts what the broker does. Counters only rise; what is a state (connections, sessions) is asked of
// its owner when it is shown.
package metrics

import (
	"sync/atomic"

	"github.com/barid-mqtt/barid/internal/message"
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

// Metrics are the counters of one broker.
type Metrics struct {
	BytesReceived, BytesSent               Counter
	PacketsReceived, PacketsSent           Counter // MQTT control packets of every type
	PublishReceived, PublishSent           Counter // PUBLISH packets
	PublishBytesReceived, PublishBytesSent Counter // their payloads
	Sockets                                Counter // network connections accepted
	Connects, ConnectsRefused, Disconnects Counter // CONNECT accepted and refused; connections ended after a CONNECT
	SessionsCreated, SessionsResumed       Counter
	SessionsTakenOver, SessionsExpired     Counter
	SessionsEnded                          Counter
	Acknowledged                           Counter // deliveries that subscribers completed
	PublishesRefused                       Counter // not allowed
	AlarmsActivated, AlarmsDeactivated     Counter
	ClockJumps                             Counter // of the machine's clock, either way

	dropped [256]atomic.Int64
	hits    [limits]Counter
}

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
