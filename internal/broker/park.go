package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
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
	// scanBytes is how much of the log is read at a time.
	scanBytes = 256 << 10
	// sweepInterval is how often bodies are looked for that nobody waits for any more.
	sweepInterval = time.Minute
)

// upkeep is when the log is gone over for sessions that lag. Whoever has set Broker.parking owns it.
type upkeep struct {
	parkAt  int64 // size of the log at which the next pass is due
	notYet  time.Time
	nextAge time.Time
	swept   time.Time
	used    int         // places whose bodies were needed then
	unswept atomic.Bool // parked messages were taken since; anybody sets it
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
	sweep := b.keeps && u.unswept.Load() && now.Sub(u.swept) >= sweepInterval
	if now.Before(u.notYet) || !aged && !large && !unknown && !sweep && !b.over.Load() {
		b.parking.Store(false)
		return
	}
	b.work(func() {
		defer b.parking.Store(false)
		var err error
		if aged || large || unknown || b.over.Load() {
			err = b.maintain(now, first, floor, large, aged)
		}
		if err == nil && b.keeps && now.Sub(u.swept) >= sweepInterval {
			u.swept = now
			u.unswept.Store(false)
			err = b.sweep()
		}
		switch {
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
	o := b.newOrder(now)
	if o.aged = aged; aged {
		b.upkeep.nextAge = now.Add(time.Duration(b.conf().Session.QueueMaxSeconds) * time.Second / passShare)
	}
	if large {
		var err error
		if o.before, err = b.parkBefore(o.end, first, floor); err != nil {
			return err
		}
		if b.upkeep.parkAt = 0; o.before.IsZero() {
			h := b.engine.Health()
			b.upkeep.parkAt = h.LogBytes + h.LogBytes/2
		}
	}
	return b.passes(o)
}

// passes does what is ordered for all that lag: for so many of them at a time, and so many messages, since a pass has all of
// these in memory.
func (b *Broker) passes(o order) error {
	clients, groups := b.registry.all(), b.groups.all()
	for {
		p := b.newPass(o)
		all, rest := p.errands(clients)
		all = append(all, p.groupErrands(groups)...)
		if err := p.run(all); err != nil || b.ctx.Err() != nil {
			return err
		}
		switch {
		case p.cut: // the same once more, from where they are now
		case len(rest) == 0:
			return nil
		default:
			clients, groups = rest, nil
		}
	}
}

// stand is where somebody stands who lags, and what parking would take.
type stand struct {
	block uint64
	cost  int64
}

// stands returns where they stand who lag behind a place, in order. The costs are of all up to there.
func (b *Broker) stands(to message.Position) (all []stand) {
	add := func(from message.Position, lag backlog, ok bool) {
		if ok {
			all = append(all, stand{from.Block, lag.messages*parkedCost + lag.bytes})
		}
	}
	for _, c := range b.registry.all() {
		c.mu.Lock()
		from, ok := c.lagsFrom(to)
		add(from, c.lag, ok)
		c.mu.Unlock()
	}
	for _, g := range b.groups.all() {
		add(g.lagsFrom(to, b.router.Begun()))
	}
	slices.SortFunc(all, func(x, y stand) int { return cmp.Compare(x.block, y.block) })
	total := int64(0)
	for i := range all {
		total += all[i].cost
		all[i].cost = total
	}
	return all
}

// parkBefore returns up to where those stand who are to be parked, those furthest behind: together they are to take less
// than what the log can forget then. Zero: nobody is.
func (b *Broker) parkBefore(to, first, floor message.Position) (message.Position, error) {
	stands := b.stands(to)
	whole, err := b.logSize(first)
	if err != nil {
		return message.Position{}, err
	}
	for n := len(stands); n > 0; n /= 2 {
		before, end := message.MaxPosition, floor
		if n < len(stands) {
			before = message.Position{Block: stands[n].block}
			for n > 0 && stands[n-1].block == before.Block { // who stand in one block go together
				n--
			}
			if before.Less(end) {
				end = before
			}
		}
		if n == 0 {
			break
		}
		left, err := b.logSize(end)
		if err != nil {
			return message.Position{}, err
		}
		if whole > left && stands[n-1].cost*b.parkGain <= whole-left {
			return before, nil
		}
	}
	return message.Position{}, nil
}

// logSize is the size of the log from a place on.
func (b *Broker) logSize(from message.Position) (int64, error) {
	n, err := b.engine.Size(b.ctx, 0, from)
	var trimmed *storage.TrimmedError
	if errors.As(err, &trimmed) {
		n, err = b.engine.Size(b.ctx, 0, trimmed.First)
	}
	return n, err
}

// census counts what waits for the sessions that were restored. Who comes back meanwhile is counted right, too: what it
// has read is before its place.
func (b *Broker) census() error {
	to := b.countTo
	from := to
	for _, c := range b.registry.all() {
		c.mu.Lock()
		if c.durable.Load() && !c.cursor.live && c.logNext().Less(from) {
			from = c.logNext()
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
			if !t.c.cursor.live && !pos.Less(t.c.logNext()) {
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
	p := b.newPass(b.newOrder(time.Now()))
	all, _ := p.errands([]*client{c})
	return p.run(all)
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

// capParked drops the oldest parked messages that a session has not read, until what is over its limit is gone or none is
// left.
func (b *Broker) capParked(c *client, over backlog) (backlog, error) {
	c.mu.Lock()
	from, to := c.cursor.next, c.parkedTo
	c.mu.Unlock()
	var drop []passedRecord
	end := from
	for kv, err := range b.engine.ScanFrom(b.ctx, state.Of(state.Parked, c.id, c.incarnation), state.ParkedKey(c.owner(), from)) {
		if err != nil {
			return over, err
		}
		_, m, err := state.DecodeParked(kv)
		if err != nil {
			return over, err
		}
		// All copies of a message go together, as the place is that of a message.
		if pos := m.Delivery.Position; !pos.Less(to) || over.isZero() && !pos.Less(end) {
			break
		}
		drop = append(drop, passedRecord{pos: m.Delivery.Position, bytes: m.Bytes})
		end = m.Delivery.Position.Next()
		over.messages, over.bytes = over.messages-1, over.bytes-m.Bytes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || !c.cursor.next.Less(end) {
		return over, nil
	}
	n := int64(0)
	for i := range drop {
		if !drop[i].pos.Less(c.cursor.next) { // it was not read meanwhile
			c.recall()
			c.shelf.take(drop[i].bytes)
			n++
		}
	}
	c.skipTo(end)
	c.dropMany(message.DropQueueFull, nil, time.Now(), n)
	c.submitSnapshot()
	return over, nil
}

// skipTo moves the place of a session that lags; what is being read for it from before comes too late. The caller holds
// c.mu.
func (c *client) skipTo(pos message.Position) {
	c.cursor.next, c.cursor.moved = pos, true
	if c.asleep != nil {
		c.asleep.Next = pos
	}
	c.judge()
	if c.link != nil {
		c.broker.router.CatchUp(c)
	}
}

// eachRecord calls fn for the records of the log from one place up to another, those at least that q asks for, until it
// returns false.
func (b *Broker) eachRecord(from, to message.Position, q *summary.Question, fn func(message.Position, *message.Message) bool) error {
	for from.Less(to) {
		blocks, next, err := b.engine.ReadFor(context.WithoutCancel(b.ctx), 0, from, scanBytes, to.Block, q)
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
