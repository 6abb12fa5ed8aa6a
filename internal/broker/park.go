package broker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/summary"
)

// Sessions and groups that lag, connected or not, hold the log: it can forget nothing from the place of the last one on. When it has
// grown, one pass over it (pass.go) parks what some of them are to get: the deliveries one by one, a body once for all.
// Then their places move to where the pass ended, and what is before is read from where it is parked. So a session that
// sleeps holds its own messages, not everybody's.
//
// That is worth it for sessions that want little of much. Those that want most of the log leave it where it is: a copy
// of it would be no smaller. The same pass drops what waits longer, or is more, than may, the oldest first.

const (
	// parkBytes is the size of the log beyond which sessions that lag are parked.
	parkBytes = 64 << 20
	// parkGain is how many times more of the log must become free than parking takes.
	parkGain = 2
	// parkedCost is what a parked message takes besides its body, about.
	parkedCost = 128
	// passShare keeps passes from taking more than one part in so many of the time.
	passShare = 10
	// sweepInterval is how often bodies are looked for that nobody waits for any more.
	sweepInterval = time.Minute
)

// upkeep is when the log is gone over for sessions that lag. Whoever has set Broker.parking owns it.
type upkeep struct {
	parkAt  int64 // size of the log at which the next pass is due
	notYet  time.Time
	nextAge time.Time
	swept   time.Time
}

// maybePark starts a pass if one is due. first is the oldest place of the log that anybody needs, and floor the same of
// those that are not parked.
func (b *Broker) maybePark(now time.Time, first, floor message.Position, logBytes int64) {
	if !b.parking.CompareAndSwap(false, true) {
		return
	}
	u, l := &b.upkeep, b.queueLimit()
	aged := b.conf().Session.QueueMaxSeconds > 0 && now.After(u.nextAge)
	large := b.keeps && logBytes >= max(u.parkAt, b.parkBytes)
	unknown := !b.counted.Load() && (l.messages > 0 || l.bytes > 0 && logBytes >= l.bytes)
	if now.Before(u.notYet) || !aged && !large && !unknown && !b.over.Load() {
		b.parking.Store(false)
		return
	}
	b.work(func() {
		defer b.parking.Store(false)
		switch err := b.maintain(now, first, floor, large, aged); {
		case err == nil || b.ctx.Err() != nil:
		case errors.Is(err, storage.ErrFull): // there is an alarm for that, and it is tried again
			b.log.Warn("sessions that lag were not parked", "error", err)
		default:
			b.log.Error("sessions that lag were not parked", "error", err)
		}
		u.notYet = now.Add(min(passShare*time.Since(now), time.Hour))
	})
}

func (b *Broker) maintain(now time.Time, first, floor message.Position, large, aged bool) error {
	if !b.counted.Load() {
		if err := b.census(); err != nil {
			return err
		}
	}
	b.over.Store(false)
	p := b.newPass(now)
	if aged {
		b.upkeep.nextAge = now.Add(time.Duration(b.conf().Session.QueueMaxSeconds) * time.Second / passShare)
	}
	all := append(p.lagging(b.registry.all(), aged), p.laggingGroups(aged)...)
	if large {
		worth, err := b.worthParking(all, first, floor)
		if err != nil {
			return err
		}
		if b.upkeep.parkAt = 0; worth == 0 {
			h := b.engine.Health()
			b.upkeep.parkAt = h.LogBytes + h.LogBytes/2
		}
		for _, e := range all[:worth] {
			e.park = true
		}
	}
	if err := p.run(all); err != nil {
		return err
	}
	if !b.keeps || now.Sub(b.upkeep.swept) < sweepInterval {
		return nil
	}
	b.upkeep.swept = now
	return b.sweepBodies()
}

// worthParking orders sessions that lag by their places and returns how many of them, those furthest behind, are to be
// parked: together they are to take less than what the log can forget then.
func (b *Broker) worthParking(all []*errand, first, floor message.Position) (int, error) {
	slices.SortFunc(all, func(x, y *errand) int { return x.from.Compare(y.from) })
	size := func(from message.Position) (int64, error) {
		n, err := b.engine.Size(b.ctx, 0, from)
		var trimmed *storage.TrimmedError
		if errors.As(err, &trimmed) {
			n, err = b.engine.Size(b.ctx, 0, trimmed.First)
		}
		return n, err
	}
	whole, err := size(first)
	if err != nil {
		return 0, err
	}
	var costs []int64 // of so many
	total := int64(0)
	for _, e := range all {
		total += e.lag.messages*parkedCost + e.lag.bytes
		costs = append(costs, total)
	}
	for n := len(all); n > 0; n /= 2 {
		end := floor
		if n < len(all) && all[n].from.Less(end) {
			end = all[n].from
		}
		left, err := size(end)
		if err != nil {
			return 0, err
		}
		if whole > left && costs[n-1]*b.parkGain <= whole-left {
			return n, nil
		}
	}
	return 0, nil
}

// census counts what waits for the sessions that were restored. Who comes back meanwhile is counted right, too: what it
// has read is before its place.
func (b *Broker) census() error {
	to := b.countTo
	from := to
	for _, c := range b.registry.all() {
		c.mu.Lock()
		if c.durable.Load() && !c.cursor.live && c.cursor.next.Less(from) {
			from = c.cursor.next
		}
		c.mu.Unlock()
	}
	b.groups.each(func(g *group) {
		if pos, ok := g.logPlace(); ok && pos.Less(from) {
			from = pos
		}
	})
	err := b.eachRecord(from, to, nil, func(pos message.Position, m *message.Message) bool {
		for _, t := range b.targetsOf(m, pos) {
			if t.g != nil {
				t.g.census(pos, m)
				continue
			}
			t.c.mu.Lock()
			if !t.c.cursor.live && !pos.Less(t.c.cursor.next) {
				t.c.lags(m)
			}
			t.c.mu.Unlock()
		}
		return true
	})
	if err == nil {
		b.counted.Store(true)
	}
	return err
}

// capAtResume drops what is over a session's limit before it is resumed, so that the limit is exact for who looks.
func (b *Broker) capAtResume(c *client) error {
	c.mu.Lock()
	over := b.queueLimit().excess(c.waiting())
	c.mu.Unlock()
	if over.isZero() || b.cfg.Session.OnFull != config.DropOldest {
		return nil
	}
	p := b.newPass(time.Now())
	return p.run(p.lagging([]*client{c}, false))
}

// commitOps commits ops and waits for that, or for the broker's end. It is for workers.
func (b *Broker) commitOps(ops []storage.Op) error {
	if len(ops) == 0 {
		return nil
	}
	done := make(chan error, 1)
	if err := b.submit(storage.Unit{Ops: ops}, func(_ message.Position, err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

// commitAll commits ops in units that are not too large.
func (b *Broker) commitAll(ops []storage.Op) error {
	for unit := range slices.Chunk(ops, parkUnitOps) {
		if err := b.commitOps(unit); err != nil {
			return err
		}
	}
	return nil
}

// capParked drops the oldest parked messages of a session, until what is over its limit is gone or none is left.
func (b *Broker) capParked(c *client, over backlog) (backlog, error) {
	var drop []storage.Op
	var gone backlog
	for kv, err := range b.engine.Scan(b.ctx, state.Of(state.Parked, c.id, c.incarnation)) {
		if err != nil {
			return over, err
		}
		if over.isZero() {
			break
		}
		_, m, err := state.DecodeParked(kv)
		if err != nil {
			return over, err
		}
		drop = append(drop, state.Delete(kv.Key))
		gone.put(m.Bytes)
		over.messages, over.bytes = over.messages-1, over.bytes-m.Bytes
	}
	if err := b.commitAll(drop); err != nil {
		return over, err
	}
	c.mu.Lock()
	c.recall()
	c.shelf = backlog{max(0, c.shelf.messages-gone.messages), max(0, c.shelf.bytes-gone.bytes)}
	c.dropMany(message.DropQueueFull, nil, time.Now(), gone.messages)
	c.mu.Unlock()
	return over, nil
}

// sweepBodies forgets bodies that no parked message and nothing in flight refers to.
func (b *Broker) sweepBodies() error {
	used := make(map[message.Position]struct{})
	for kv, err := range b.engine.Scan(b.ctx, state.Parked) {
		if err != nil {
			return err
		}
		if _, m, err := state.DecodeParked(kv); err == nil {
			used[m.Delivery.Position] = struct{}{}
		}
	}
	if err := b.sweepGroups(used); err != nil {
		return err
	}
	for _, c := range b.registry.all() { // last: what is taken from where it was parked is in memory before it is gone there
		c.usedBodies(used)
	}
	b.groups.each(func(g *group) { g.usedBodies(used) })
	var ops []storage.Op
	for kv, err := range b.engine.Scan(b.ctx, state.Bodies) {
		if err != nil {
			return err
		}
		pos, _, err := state.DecodeBody(kv)
		if _, ok := used[pos]; err == nil && !ok {
			ops = append(ops, state.Delete(kv.Key))
		}
	}
	return b.commitAll(ops)
}

// usedBodies adds the places of what the session has under way.
func (c *client) usedBodies(used map[message.Position]struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.session.InFlightDeliveries() {
		used[f.Delivery.Position] = struct{}{}
	}
	if c.asleep != nil {
		for i := range c.asleep.Flights {
			used[c.asleep.Flights[i].Position] = struct{}{}
		}
	}
	for _, p := range c.taken {
		used[p.Delivery.Position] = struct{}{}
	}
}

// eachRecord calls fn for the records of the log from one place up to another, those at least that q asks for, until it
// returns false.
func (b *Broker) eachRecord(from, to message.Position, q *summary.Question, fn func(message.Position, *message.Message) bool) error {
	for from.Less(to) {
		blocks, next, err := b.engine.ReadFor(context.WithoutCancel(b.ctx), 0, from, 1<<20, to.Block, q)
		var trimmed *storage.TrimmedError
		switch {
		case errors.As(err, &trimmed):
			from = trimmed.First
			continue
		case err != nil:
			return err
		case next == from || b.ctx.Err() != nil:
			return b.ctx.Err()
		}
		for _, blk := range blocks {
			for i, rec := range blk.Records {
				pos := message.Position{Block: blk.Seq, Index: uint32(i)}
				if rec.Message == nil || pos.Less(from) || !pos.Less(to) {
					continue
				}
				if !fn(pos, rec.Message) {
					return nil
				}
			}
		}
		from = next
	}
	return nil
}
