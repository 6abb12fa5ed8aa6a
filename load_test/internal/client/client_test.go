package client

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/load_test/internal/check"
	"github.com/barid-mqtt/barid/load_test/internal/fakebroker"
	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/load_test/internal/wire"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// bench is one publisher and its accounts at a scripted broker.
type bench struct {
	loop   *loop.Loop
	ledger *Ledger
	pub    *Publisher
	up     chan error
}

func newBench(t *testing.T, addr string, qos mqtt.QoS, pace Pace) *bench {
	t.Helper()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	tmpl, err := wire.NewTemplate(wire.Message{Topic: "t", QoS: qos, PayloadBytes: wire.StampBytes}, mqtt.V5)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{loop: l, up: make(chan error, 100)}
	pubs := make([]*Publisher, 1)
	b.ledger = NewLedger(l, pubs)
	b.pub = NewPublisher(b.ledger, hello("p"), 0, tmpl, qos, pace, b.state)
	pubs[0] = b.pub
	b.dial(t, addr, b.pub.Client())
	return b
}

func hello(id string) *mqtt.Connect {
	return &mqtt.Connect{Version: mqtt.V5, ClientID: id, CleanStart: true}
}

func (b *bench) state(up bool, err error) {
	if up {
		b.up <- nil
	} else if err != nil {
		b.up <- err
	}
}

func (b *bench) dial(t *testing.T, addr string, c *loop.Client) {
	t.Helper()
	target, err := loop.ParseTarget(addr)
	if err != nil {
		t.Fatal(err)
	}
	b.loop.Do(func(int64) { c.Dial(target) })
	select {
	case err := <-b.up:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("no connection")
	}
}

func (b *bench) start() { b.loop.Do(func(now int64) { b.ledger.Start(now) }) }

// until waits until ok is true in the loop.
func (b *bench) until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		var done bool
		b.loop.Do(func(int64) { done = ok() })
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it does not happen; %+v", b.ledger.Totals)
		}
	}
}

// An open loop's latency counts from when a message was due. While the broker keeps the only place in the window
// occupied, messages become due that are sent late: all of them were delayed, not only the one that was under way.
func TestOpenLoopChargesAStallToEveryMessageThatItDelayed(t *testing.T) {
	const stall, every, messages = 200 * time.Millisecond, time.Millisecond, 300
	addr := fakebroker.Start(t, func(c *fakebroker.Conn) {
		for first := true; ; first = false {
			p, ok := c.Next().(*mqtt.Publish)
			if !ok {
				return
			}
			if first {
				<-time.After(stall) // the fault under test
			}
			c.Send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}})
		}
	})
	b := newBench(t, addr, mqtt.AtLeastOnce, Pace{Window: 1, Interval: every, Count: messages})
	b.start()
	b.until(t, func() bool { return b.ledger.Acked == messages })
	b.loop.Do(func(int64) {
		// The messages due in the first half of the stall waited for more than half of it: 100 of 300.
		if third := b.ledger.Ack.Quantile(1 - 0.9*float64(stall/2/every)/messages); third < stall/2 {
			t.Errorf("a third of the messages waited for %v or more, want %v: the stall is charged to few", third, stall/2)
		}
	})
}

func TestClosedLoopKeepsItsWindow(t *testing.T) {
	const window, messages = 6, 100 // no power of two, which other limits are
	acks := make(chan int)
	addr := fakebroker.Start(t, func(c *fakebroker.Conn) {
		for n := range acks {
			for range n {
				p, ok := c.Next().(*mqtt.Publish)
				if !ok {
					return
				}
				c.Send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}})
			}
		}
		c.Next()
	})
	b := newBench(t, addr, mqtt.AtLeastOnce, Pace{Window: window, Count: messages})
	b.start()
	for acked := int64(0); acked < messages; {
		b.loop.Do(func(int64) {
			if got, want := b.pub.Sent(), min(acked+window, messages); got != want {
				t.Errorf("%d messages were sent when %d were acknowledged, want %d", got, acked, want)
			}
		})
		n := min(window, messages-acked)
		acks <- int(n)
		acked += n
		b.until(t, func() bool { return b.ledger.Acked == acked })
	}
	close(acks)
	b.until(t, func() bool { return b.ledger.AcksOutOfOrder == 0 })
}

func TestQoS2IsAcknowledgedInFourSteps(t *testing.T) {
	const messages = 50
	addr := fakebroker.Start(t, func(c *fakebroker.Conn) {
		for {
			switch p := c.Next().(type) {
			case *mqtt.Publish:
				c.Send(&mqtt.Pubrec{Ack: mqtt.Ack{PacketID: p.PacketID}})
			case *mqtt.Pubrel:
				c.Send(&mqtt.Pubcomp{Ack: mqtt.Ack{PacketID: p.PacketID}})
			default:
				return
			}
		}
	})
	b := newBench(t, addr, mqtt.ExactlyOnce, Pace{Window: 5, Count: messages})
	b.start()
	b.until(t, func() bool { return b.ledger.Acked == messages })
	if b.ledger.AcksOutOfOrder+b.ledger.Refused > 0 {
		t.Errorf("%+v", b.ledger.Totals)
	}
}

func TestAcksInWrongOrderAndRefusalsAreCounted(t *testing.T) {
	addr := fakebroker.Start(t, func(c *fakebroker.Conn) {
		a, b := c.Next().(*mqtt.Publish), c.Next().(*mqtt.Publish)
		c.Send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: b.PacketID}},
			&mqtt.Puback{Ack: mqtt.Ack{PacketID: a.PacketID, Code: mqtt.QuotaExceeded}})
		c.Next()
	})
	b := newBench(t, addr, mqtt.AtLeastOnce, Pace{Window: 2, Count: 2})
	b.start()
	b.until(t, func() bool { return b.ledger.Acked == 2 })
	if b.ledger.AcksOutOfOrder != 2 || b.ledger.Refused != 1 {
		t.Errorf("%+v", b.ledger.Totals)
	}
}

// payload makes what a publisher sends.
func payload(publisher, seq uint32) []byte {
	t, err := wire.NewTemplate(wire.Message{Topic: "t", PayloadBytes: wire.StampBytes}, mqtt.V5)
	if err != nil {
		panic(err)
	}
	b := t.Append(nil, 0, wire.Stamp{Publisher: publisher, Seq: seq})
	return b[len(b)-wire.StampBytes:]
}

func TestSubscriberCountsWhatABrokerDoesWrong(t *testing.T) {
	acked := make(chan uint16, 100)
	addr := fakebroker.Start(t, func(c *fakebroker.Conn) {
		sub, ok := c.Next().(*mqtt.Subscribe)
		if !ok {
			return // the publisher
		}
		c.Send(&mqtt.Suback{PacketID: sub.PacketID, Codes: []mqtt.ReasonCode{1}})
		for i, seq := range []uint32{0, 2, 1, 3, 3, 5} { // 1 late, 3 twice, 4 and 6 missing
			c.Send(&mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: uint16(i + 1), Payload: payload(0, seq)})
		}
		c.Send(&mqtt.Publish{Topic: []byte("t"), Payload: payload(1, 0)}, &mqtt.Publish{Topic: []byte("t"), Payload: []byte("short")})
		for {
			ack, ok := c.Next().(*mqtt.Puback)
			if !ok {
				return
			}
			acked <- ack.PacketID
		}
	})
	b := newBench(t, addr, 0, Pace{})
	s := NewSubscriber(b.ledger, hello("s"), []mqtt.FilterOptions{{Filter: "t", QoS: 1}}, Expect{Stride: 1, Publishers: 1}, b.state)
	b.dial(t, addr, s.Client())
	b.until(t, func() bool { return b.ledger.Stray == 2 })
	want := check.Counts{Received: 6, Late: 1, Duplicates: 1, Missing: 2}
	b.loop.Do(func(int64) {
		if got := s.Counts(func(uint32) int64 { return 7 }); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	for id := uint16(1); id <= 6; id++ {
		if got := <-acked; got != id {
			t.Errorf("acknowledged %d, want %d", got, id)
		}
	}
}

func TestRefusedSubscriptionIsAnError(t *testing.T) {
	addr := fakebroker.Start(t, func(c *fakebroker.Conn) {
		if sub, ok := c.Next().(*mqtt.Subscribe); ok {
			c.Send(&mqtt.Suback{PacketID: sub.PacketID, Codes: []mqtt.ReasonCode{mqtt.NotAuthorized}})
			c.Next()
		}
	})
	b := newBench(t, addr, 0, Pace{})
	s := NewSubscriber(b.ledger, hello("s"), []mqtt.FilterOptions{{Filter: "t"}}, Expect{Stride: 1, Publishers: 1}, b.state)
	target, err := loop.ParseTarget(addr)
	if err != nil {
		t.Fatal(err)
	}
	b.loop.Do(func(int64) { s.Client().Dial(target) })
	if err := <-b.up; err == nil {
		t.Error("no error")
	}
}
