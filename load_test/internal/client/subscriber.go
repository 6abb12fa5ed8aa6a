package client

import (
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/check"
	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/load_test/internal/wire"
	"github.com/barid-mqtt/barid/mqtt"
)

// Subscriber takes messages, acknowledges them, and checks their order.
type Subscriber struct {
	// Static after construction.
	client  *loop.Client
	ledger  *Ledger
	filters []mqtt.FilterOptions
	expects Expect
	onState func(up bool, err error)

	// Guarded by the loop.
	publish mqtt.Publish // decoded into
	subbed  bool
	streams []check.Stream // by slot; shared by the members of a group
	order   []check.Order  // of a member
}

// Expect says whose messages a subscriber gets: those of each publisher whose index is First modulo Stride.
type Expect struct {
	First, Stride uint32
	Publishers    uint32         // of the run
	Group         []check.Stream // of a shared subscription: what all its members got; nil: no such
}

// Slots returns how many publishers these are.
func (e *Expect) Slots() int { return int((e.Publishers + e.Stride - 1 - e.First) / e.Stride) }

// NewSubscriber makes a subscriber that is not connected.
func NewSubscriber(g *Ledger, hello *mqtt.Connect, filters []mqtt.FilterOptions, e Expect, onState func(up bool, err error)) *Subscriber {
	s := &Subscriber{ledger: g, filters: filters, expects: e, onState: onState, streams: e.Group}
	if e.Group == nil {
		s.streams = make([]check.Stream, e.Slots())
	} else {
		s.order = make([]check.Order, e.Slots())
	}
	s.client = loop.NewClient(g.loop, hello, s)
	return s
}

// Client returns the connection.
func (s *Subscriber) Client() *loop.Client { return s.client }

// Counts returns what came, if each publisher has sent what sent returns. For a member of a group it is only the order;
// GroupCounts tells the rest.
func (s *Subscriber) Counts(sent func(publisher uint32) int64) check.Counts {
	var c check.Counts
	for i := range s.order {
		c.Late += s.order[i].Late()
	}
	if s.order == nil {
		c = CountStreams(s.streams, s.expects, sent)
	}
	return c
}

// CountStreams adds up streams, if each publisher has sent what sent returns.
func CountStreams(streams []check.Stream, e Expect, sent func(publisher uint32) int64) (c check.Counts) {
	for i := range streams {
		c.Add(streams[i].End(uint64(sent(e.First + uint32(i)*e.Stride))))
	}
	return c
}

// Connected implements loop.Handler.
func (s *Subscriber) Connected(c *loop.Client, ack *mqtt.Connack) {
	if len(s.filters) == 0 || s.subbed && ack.SessionPresent {
		s.onState(true, nil)
		return
	}
	if err := c.Send(&mqtt.Subscribe{PacketID: 1, Filters: s.filters}); err != nil {
		s.onState(false, err)
		c.Kill()
	}
}

// Packet implements loop.Handler.
func (s *Subscriber) Packet(c *loop.Client, h mqtt.Header, body []byte) error {
	switch h.Type {
	case mqtt.PUBLISH:
		return s.receive(c, h, body)
	case mqtt.PUBREL:
		id, _, ok := wire.Ack(body)
		if !ok {
			return fmt.Errorf("a subscriber got PUBREL of %d bytes", len(body))
		}
		c.SetOut(wire.AppendAck(c.Out(), mqtt.PUBCOMP, id))
		return nil
	case mqtt.SUBACK:
		return s.subscribed(c, h, body)
	}
	return fmt.Errorf("a subscriber got %v", h.Type)
}

func (s *Subscriber) subscribed(c *loop.Client, h mqtt.Header, body []byte) error {
	var ack mqtt.Suback
	if err := ack.Decode(h, body, c.Version()); err != nil {
		return err
	}
	for i, code := range ack.Codes {
		if code.Failed() {
			return fmt.Errorf("the broker refuses the subscription to %q: %w", s.filters[i].Filter, code)
		}
	}
	s.subbed = true
	s.onState(true, nil)
	return nil
}

func (s *Subscriber) receive(c *loop.Client, h mqtt.Header, body []byte) error {
	p := &s.publish
	if err := p.Decode(h, body, c.Version()); err != nil {
		return err
	}
	switch p.QoS {
	case mqtt.AtLeastOnce:
		c.SetOut(wire.AppendAck(c.Out(), mqtt.PUBACK, p.PacketID))
	case mqtt.ExactlyOnce:
		c.SetOut(wire.AppendAck(c.Out(), mqtt.PUBREC, p.PacketID))
	}
	g, e := s.ledger, &s.expects
	stamp, ok := wire.ReadStamp(p.Payload)
	if !ok || stamp.Publisher >= e.Publishers || stamp.Publisher%e.Stride != e.First {
		g.Stray++
		return nil
	}
	slot := stamp.Publisher / e.Stride
	s.streams[slot].Saw(uint64(stamp.Seq))
	if s.order != nil {
		s.order[slot].Saw(uint64(stamp.Seq))
	}
	g.Delivered++
	g.Latency.Record(time.Duration(c.Loop().Time() - stamp.At))
	g.credit(stamp.Publisher)
	return nil
}

// Writable implements loop.Handler.
func (s *Subscriber) Writable(*loop.Client) {}

// Closed implements loop.Handler.
func (s *Subscriber) Closed(_ *loop.Client, err error) { s.onState(false, err) }
