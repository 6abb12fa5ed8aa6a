package client

import (
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/hist"
	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/mqtt"
)

// Visits are the accounts of the visitors of one loop, which guards them.
type Visits struct {
	Connects   int64
	Subscribes int64
	Failures   map[string]int64 // by reason
	Latency    hist.Hist        // from the beginning of a connection to CONNACK, or of a SUBSCRIBE to SUBACK
	Stopped    bool

	QoS   mqtt.QoS // of subscriptions
	Batch int      // filters in a SUBSCRIBE; 0: 1
	Most  int64    // subscriptions to make; 0: no limit
	asked int64    // of them
}

// next returns how many filters the next SUBSCRIBE has.
func (v *Visits) next() int {
	n := int64(max(v.Batch, 1))
	if v.Most > 0 {
		n = min(n, v.Most-v.asked)
	}
	v.asked += n
	return int(n)
}

// Visitor connects, and then stays, leaves and comes again, or subscribes to one filter after the other.
type Visitor struct {
	client *loop.Client
	visits *Visits
	target *loop.Target
	id     func() string // of each connection
	filter func() string // of each subscription; nil: none
	stays  bool
	began  int64
}

// NewVisitor makes a visitor. One that does not stay connects again and again, with a new id each time.
func NewVisitor(l *loop.Loop, v *Visits, t *loop.Target, hello *mqtt.Connect, stays bool, id, filter func() string) *Visitor {
	x := &Visitor{visits: v, target: t, stays: stays, id: id, filter: filter}
	x.client = loop.NewClient(l, hello, x)
	return x
}

// Start connects it. The latency counts from at, the time that it was meant to. Call it in Loop.Do.
func (x *Visitor) Start(at int64) {
	x.began = at
	x.client.SetID(x.id())
	x.client.Dial(x.target)
}

// Connected implements loop.Handler.
func (x *Visitor) Connected(c *loop.Client, _ *mqtt.Connack) {
	x.visits.Connects++
	if x.filter != nil {
		x.subscribe()
		return
	}
	x.visits.Latency.Record(time.Duration(c.Loop().Time() - x.began))
	if !x.stays {
		c.Finish()
	}
}

func (x *Visitor) subscribe() {
	x.began = x.client.Loop().Time()
	var filters []mqtt.FilterOptions
	for range x.visits.next() {
		filters = append(filters, mqtt.FilterOptions{Filter: x.filter(), QoS: x.visits.QoS})
	}
	if len(filters) == 0 {
		return
	}
	if err := x.client.Send(&mqtt.Subscribe{PacketID: 1, Filters: filters}); err != nil {
		x.fail(err)
	}
}

// Packet implements loop.Handler.
func (x *Visitor) Packet(c *loop.Client, h mqtt.Header, body []byte) error {
	if h.Type != mqtt.SUBACK {
		return nil
	}
	var ack mqtt.Suback
	if err := ack.Decode(h, body, c.Version()); err != nil {
		return err
	}
	for _, code := range ack.Codes {
		if code.Failed() {
			return code
		}
	}
	x.visits.Subscribes += int64(len(ack.Codes))
	x.visits.Latency.Record(time.Duration(c.Loop().Time() - x.began))
	if !x.visits.Stopped {
		x.subscribe()
	}
	return nil
}

// Writable implements loop.Handler.
func (x *Visitor) Writable(*loop.Client) {}

// Closed implements loop.Handler.
func (x *Visitor) Closed(c *loop.Client, err error) {
	if err != nil {
		x.fail(err)
	}
	if !x.stays && !x.visits.Stopped {
		c.Loop().Post(func() {
			if !x.visits.Stopped {
				x.Start(c.Loop().Time())
			}
		})
	}
}

func (x *Visitor) fail(err error) { x.visits.Failures[err.Error()]++ }
