// Package client has the two kinds of clients of a load, publishers and subscribers, and the accounts that are kept of
// what they do.
//
// A publisher's message is done when the broker has acknowledged it and every subscriber that it is for has got it. A
// closed loop keeps a window of messages that are not done; an open loop sends each when it is due, and measures from
// then, so that a broker that stalls is charged for every message that it delayed (no coordinated omission).
package client

import (
	"github.com/barid-mqtt/barid/load_test/internal/hist"
	"github.com/barid-mqtt/barid/load_test/internal/loop"
)

// Totals count messages.
type Totals struct {
	Sent, Acked, Delivered int64

	// What must not be.
	Refused        int64 // acknowledged with an error
	Stray          int64 // deliveries of no message of this run to this subscriber
	AcksOutOfOrder int64
}

// Add adds what others have counted.
func (t *Totals) Add(o Totals) {
	t.Sent += o.Sent
	t.Acked += o.Acked
	t.Delivered += o.Delivered
	t.Refused += o.Refused
	t.Stray += o.Stray
	t.AcksOutOfOrder += o.AcksOutOfOrder
}

// Ledger keeps the accounts of one loop's clients, passes deliveries on to the publishers that wait for them, and has
// an open loop's messages sent when they are due. It is guarded by the loop.
type Ledger struct {
	Totals
	Latency hist.Hist // from when a message was due to its delivery
	Ack     hist.Hist // from when a message was due to its acknowledgement

	loop       *loop.Loop
	publishers []*Publisher // all of the run, by index
	mine       []*Publisher // on this loop, by phase
	credits    []int32      // deliveries in this round, by publisher
	touched    []uint32     // publishers with credits

	scheduled int64 // messages of an open loop that have become due here
	running   bool
}

// NewLedger makes the accounts of a loop. publishers is filled by the caller before the loop starts to publish.
func NewLedger(l *loop.Loop, publishers []*Publisher) *Ledger {
	return &Ledger{loop: l, publishers: publishers, credits: make([]int32, len(publishers))}
}

// Loop returns whose accounts these are.
func (g *Ledger) Loop() *loop.Loop { return g.loop }

// Start has the loop's publishers publish from the time given. Call it in Loop.Do.
func (g *Ledger) Start(at int64) {
	g.mine = g.mine[:0]
	for _, p := range g.publishers {
		if p.client.Loop() == g.loop {
			g.mine = append(g.mine, p)
		}
	}
	g.scheduled, g.running = 0, true
	g.loop.SetTicker(g)
	for _, p := range g.mine {
		p.start(at)
	}
}

// Stop has them publish nothing new.
func (g *Ledger) Stop() {
	g.running = false
	for _, p := range g.mine {
		p.stopped = true
	}
}

// Forget sets measurements back, at the end of a warm-up. Totals go on.
func (g *Ledger) Forget() {
	g.Latency.Reset()
	g.Ack.Reset()
}

// Tick implements loop.Ticker.
func (g *Ledger) Tick(now int64) (next int64) {
	g.settle(now)
	if !g.running || len(g.mine) == 0 || g.mine[0].interval == 0 {
		return loop.Never
	}
	n := int64(len(g.mine))
	for {
		p := g.mine[g.scheduled%n]
		due := p.dueAt(g.scheduled / n)
		if due > now {
			return due
		}
		g.scheduled++
		p.due++
		p.Pump(now)
	}
}

// credit notes a delivery of a publisher's message.
func (g *Ledger) credit(publisher uint32) {
	if g.credits[publisher] == 0 {
		g.touched = append(g.touched, publisher)
	}
	g.credits[publisher]++
}

// settle tells publishers how many of their messages were delivered in this round.
func (g *Ledger) settle(now int64) {
	for _, i := range g.touched {
		p, n := g.publishers[i], int64(g.credits[i])
		g.credits[i] = 0
		if l := p.client.Loop(); l != g.loop {
			l.Post(func() { p.deliveredMore(n, l.Time()) })
			continue
		}
		p.deliveredMore(n, now)
	}
	g.touched = g.touched[:0]
}
