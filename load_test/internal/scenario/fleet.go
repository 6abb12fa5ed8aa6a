package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/check"
	"github.com/barid-mqtt/barid/load_test/internal/client"
	"github.com/barid-mqtt/barid/load_test/internal/hist"
	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/load_test/internal/wire"
)

// fleet is the clients of one load, and their loops.
type fleet struct {
	load    Load
	target  *loop.Target
	prefix  string // of topics and client ids: a run's own
	loops   []*loop.Loop
	ledgers []*client.Ledger
	pubs    []*client.Publisher
	subs    []*client.Subscriber
	expects []client.Expect // by group
	lives   lives
}

// newFleet makes the clients of a load; none is connected.
func newFleet(load Load, target *loop.Target, pace client.Pace) (*fleet, error) {
	f := &fleet{load: load, target: target, prefix: fmt.Sprintf("load/%08x", rand.Uint32())}
	f.lives.failures = map[string]int{}
	f.pubs = make([]*client.Publisher, load.Publishers)
	n := load.Loops
	if n == 0 {
		n = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	for range n {
		l, err := loop.New()
		if err != nil {
			f.stop()
			return nil, err
		}
		l.Do(func(int64) { l.SetNap(load.Nap) })
		f.loops = append(f.loops, l)
		f.ledgers = append(f.ledgers, client.NewLedger(l, f.pubs))
	}
	f.makeSubscribers()
	if err := f.makePublishers(pace, wire.Message{QoS: load.QoS, PayloadBytes: load.PayloadBytes}); err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

// ledgerOf returns the accounts for the nth client: those of a group share a loop, if there are groups for all loops.
func (f *fleet) ledgerOf(n int) *client.Ledger {
	if g := f.load.groups(); g >= len(f.loops) || f.load.Share {
		n %= g
	}
	return f.ledgers[n%len(f.ledgers)]
}

func (f *fleet) makeSubscribers() {
	l := &f.load
	g := l.groups()
	for i := range g {
		e := client.Expect{First: uint32(i), Stride: uint32(g), Publishers: uint32(l.Publishers)}
		if l.Share {
			e.Group = make([]check.Stream, e.Slots())
		}
		f.expects = append(f.expects, e)
	}
	for j := range l.Subscribers {
		hello := l.hello(fmt.Sprintf("%s/s%d", f.prefix, j), l.Durable)
		f.subs = append(f.subs, client.NewSubscriber(f.ledgerOf(j), hello, l.filters(f.prefix, j), f.expects[j%g], f.lives.report))
	}
}

// makePublishers makes publishers of messages like m, each with a topic of its own or its group.
func (f *fleet) makePublishers(pace client.Pace, m wire.Message) error {
	l := &f.load
	if l.Rate > 0 {
		pace.Interval = time.Duration(float64(l.Publishers) / l.Rate * float64(time.Second))
	}
	for i := range f.pubs {
		m.Topic = l.topic(f.prefix, i)
		t, err := wire.NewTemplate(m, l.Version)
		if err != nil {
			return err
		}
		pace.Phase = pace.Interval * time.Duration(i) / time.Duration(l.Publishers)
		if l.Burst > 0 {
			pace.Phase = pace.Phase.Truncate(l.Burst)
		}
		hello := l.hello(fmt.Sprintf("%s/p%d", f.prefix, i), false)
		f.pubs[i] = client.NewPublisher(f.ledgerOf(i), hello, uint32(i), t, l.QoS, pace, f.lives.report)
	}
	return nil
}

// pace returns how a load is sent.
func (l *Load) pace() client.Pace {
	return client.Pace{Window: l.Window, Refill: l.Refill, FanOut: l.copies(), OneWrite: l.OneWrite}
}

// stop closes everything.
func (f *fleet) stop() {
	f.lives.end()
	for _, l := range f.loops {
		l.Stop()
	}
}

// atOnce is how many connections are made at a time: not more than the shortest backlog of listeners in use.
const atOnce = 64

// connectTimeout bounds the connecting of all clients.
const connectTimeout = 120 * time.Second

func (f *fleet) connectSubscribers(ctx context.Context) error {
	var all []*loop.Client
	for _, s := range f.subs {
		all = append(all, s.Client())
	}
	return f.connect(ctx, all)
}

func (f *fleet) connectPublishers(ctx context.Context) error {
	var all []*loop.Client
	for _, p := range f.pubs {
		all = append(all, p.Client())
	}
	return f.connect(ctx, all)
}

// connect connects clients, a few at a time, and waits until all are ready.
func (f *fleet) connect(ctx context.Context, clients []*loop.Client) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	changed := f.lives.expect()
	for i := 0; ; {
		up, err := f.lives.state()
		if err != nil {
			return fmt.Errorf("connecting %d clients to %v: %w", len(clients), f.target, err)
		}
		for i < len(clients) && i-up < atOnce {
			c := clients[i]
			c.Loop().Do(func(int64) { c.Dial(f.target) })
			i++
		}
		if up == len(clients) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("connecting %d clients to %v: %d are ready: %w", len(clients), f.target, up, ctx.Err())
		}
	}
}

// start has the publishers begin.
func (f *fleet) start() {
	at := loop.Now() + int64(10*time.Millisecond)
	for i, l := range f.loops {
		l.Do(func(now int64) { f.ledgers[i].Start(max(at, now)) })
	}
}

// account adds up what was counted since the start.
func (f *fleet) account() (t client.Totals) {
	for i, l := range f.loops {
		l.Do(func(int64) { t.Add(f.ledgers[i].Totals) })
	}
	return t
}

// latencies adds up the histograms.
func (f *fleet) latencies() (delivery, ack *hist.Hist) {
	delivery, ack = new(hist.Hist), new(hist.Hist)
	for i, l := range f.loops {
		l.Do(func(int64) {
			delivery.Merge(&f.ledgers[i].Latency)
			ack.Merge(&f.ledgers[i].Ack)
		})
	}
	return delivery, ack
}

// forget sets the histograms back.
func (f *fleet) forget() {
	for i, l := range f.loops {
		l.Do(func(int64) { f.ledgers[i].Forget() })
	}
}

func (f *fleet) stopPublishing() {
	for i, l := range f.loops {
		l.Do(func(int64) { f.ledgers[i].Stop() })
	}
}

// eachPublisher calls fn for each, with its loop's lock.
func (f *fleet) eachPublisher(fn func(p *client.Publisher, now int64)) {
	for _, l := range f.loops {
		l.Do(func(now int64) {
			for _, p := range f.pubs {
				if p.Client().Loop() == l {
					fn(p, now)
				}
			}
		})
	}
}

// outstanding returns what is not done yet.
func (f *fleet) outstanding() (acks, deliveries int64) {
	f.eachPublisher(func(p *client.Publisher, _ int64) {
		a, d := p.Outstanding()
		acks, deliveries = acks+a, deliveries+d
	})
	return acks, deliveries
}

// received counts what came at all subscribers. Call it when the publishers have stopped.
func (f *fleet) received() (c check.Counts) {
	sent := make([]int64, len(f.pubs))
	for i, p := range f.pubs {
		p.Client().Loop().Do(func(int64) { sent[i] = p.Sent() })
	}
	of := func(i uint32) int64 { return sent[i] }
	for _, s := range f.subs {
		s.Client().Loop().Do(func(int64) { c.Add(s.Counts(of)) })
	}
	if f.load.Share {
		for i, e := range f.expects {
			f.ledgerOf(i).Loop().Do(func(int64) { // a group has one loop
				g := client.CountStreams(e.Group, e, of)
				g.Late = 0 // members race each other
				c.Add(g)
			})
		}
	}
	return c
}

var errNothing = errors.New("nothing was delivered or acknowledged")
