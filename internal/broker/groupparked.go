package broker

import (
	"context"
	"slices"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

// This file parks durable groups, which lag like sessions (park.go, pass.go). A group's place may lie before parkedTo: from
// there on it reads what was parked up to parkedTo, and then the log. So a message that was parked for a group is under its
// place and nothing else has to be kept of it: what lies before the group's kept place was given, and goes with the next
// sweep. What members have and what came back is needed with its body only; a pass keeps those bodies before it moves
// parkedTo, and the log is held until that is kept.

// lagsBy counts a message that the log holds for the group and the tail does not give it. The caller holds g.mu.
func (g *group) lagsBy(m *message.Message) {
	if g.isQueue() || !g.durable.Load() {
		return
	}
	g.lag.put(messageBytes(m))
	if over := g.broker.queueLimit().excess(g.waitingFor()); !over.isZero() && g.broker.cfg.Session.OnFull == config.DropOldest {
		g.broker.over.Store(true)
	}
	g.judge()
}

// caughtUp takes a message off what waits. The caller holds g.mu.
func (g *group) caughtUp(where *backlog, bytes int64) {
	where.take(bytes)
	if g.refuses.Load() {
		g.judge()
	}
}

// unqueued counts what was in the queue and is read again. The caller holds g.mu.
func (g *group) unqueued(qs []queued) {
	for i := range qs {
		where := &g.lag
		if qs[i].position.Less(g.parkedTo) {
			where = &g.shelf
		}
		if qs[i].message != nil && !g.isQueue() {
			where.put(messageBytes(qs[i].message))
		}
	}
}

// waitingFor is what waits for the group in the log and parked. The caller holds g.mu.
func (g *group) waitingFor() backlog {
	return backlog{g.lag.messages + g.shelf.messages, g.lag.bytes + g.shelf.bytes}
}

// judge works out whether the group refuses messages. The caller holds g.mu.
func (g *group) judge() {
	if g.broker.cfg.Session.OnFull != config.Reject || g.isQueue() {
		return
	}
	l, have := g.broker.queueLimit(), g.waitingFor()
	g.refuses.Store(l.messages > 0 && have.messages >= l.messages || l.bytes > 0 && have.bytes >= l.bytes)
}

// Full implements router.Bounded.
func (g *group) Full() bool { return g.refuses.Load() }

// logPlace returns where the group reads the log on, if it does not keep up.
func (g *group) logPlace() (pos message.Position, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.logNext(), g.durable.Load() && !g.cursor.live && !g.isQueue()
}

// logNext is the first place of the log that the group has not read. The caller holds g.mu.
func (g *group) logNext() message.Position {
	if g.cursor.next.Less(g.parkedTo) {
		return g.parkedTo
	}
	return g.cursor.next
}

// census counts a record that waits for a group that was restored.
func (g *group) census(pos message.Position, m *message.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.cursor.live && !pos.Less(g.logNext()) {
		g.lagsBy(m)
	}
}

// lagsFrom returns from where on the group holds the log, and what parking it would take; ok is false if that is not before a place.
func (g *group) lagsFrom(to message.Position, begun uint64) (from message.Position, lag backlog, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isQueue() || !g.durable.Load() && len(g.accounts) == 0 {
		return from, lag, false
	}
	if from = g.oldestLocked(begun); !from.Less(to) {
		return from, lag, false
	}
	lag = g.lag
	g.eachGiven(func(x *accountEntry) {
		lag.put(0)
		if x.Delivery.Message != nil {
			lag.bytes += messageBytes(x.Delivery.Message)
		}
	})
	return from, lag, true
}

// groupErrands returns what is to be done for groups.
func (p *pass) groupErrands(groups []*group) (all []*errand) {
	begun := p.b.router.Begun()
	for _, g := range groups {
		hold, _, ok := g.lagsFrom(p.to, begun)
		if !ok {
			continue
		}
		e := &errand{g: g, from: hold, aged: p.aged, park: hold.Less(p.before)}
		g.mu.Lock()
		if !g.cursor.live && p.b.cfg.Session.OnFull == config.DropOldest {
			e.over = p.b.queueLimit().excess(g.waitingFor())
		}
		g.mu.Unlock()
		if e.hasWork() {
			all = append(all, e)
		}
	}
	return all
}

// beginGroup drops what is over the limit of what is parked, and finds out from where on there is something to park.
func (p *pass) beginGroup(e *errand) (err error) {
	g := e.g
	p.groups[g] = e
	if !e.over.isZero() && p.b.keeps {
		if e.over, err = p.b.capParkedGroup(g, e.over); err != nil {
			return err
		}
	}
	g.mu.Lock()
	e.next, e.place = g.logNext(), g.place()
	if g.cursor.live {
		e.next = g.cursor.place(p.b.router.Begun())
	}
	if e.place.Less(g.parkedTo) {
		e.place = g.parkedTo
	}
	if e.from = e.place; !e.park {
		e.from = e.next // what is in memory stays
	}
	if !g.durable.Load() {
		e.from = p.to // only what members have counts
	}
	end := g.parkedTo
	g.mu.Unlock()
	if !e.park {
		return nil
	}
	return p.clearGroup(g, end)
}

// clearGroup removes what a pass that failed has parked for a group.
func (p *pass) clearGroup(g *group, end message.Position) error {
	prefix := state.GroupParkedOf(g.key.name, g.key.filter)
	for kv, err := range p.b.engine.ScanFrom(p.b.ctx, prefix, state.GroupParkedKey(g.key.name, g.key.filter, end)) {
		if err != nil {
			return err
		}
		if p.ops = append(p.ops, state.Delete(kv.Key)); len(p.ops) >= parkUnitOps {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return p.flush()
}

// finishGroup moves the end of what is parked for a group to where the pass ended, or only drops what was to be dropped.
func (p *pass) finishGroup(e *errand) error {
	g, to := e.g, p.to
	if !e.stop.IsZero() {
		to = e.stop
	}
	if e.park {
		if err := p.keepGivenBodies(e, to); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if e.park && !g.parkedTo.Less(to) || g.over() && len(g.accounts) == 0 {
		return nil
	}
	reading := !g.cursor.live
	if next := g.logNext(); reading {
		for i := range e.passed {
			r := &e.passed[i]
			if r.pos.Less(next) {
				continue
			}
			g.lag.take(r.bytes)
			if r.reason == message.NotDropped {
				g.shelf.put(r.bytes)
			} else {
				p.b.drop(r.reason, g.Name(), r.message, p.now)
			}
		}
		if !e.park && next.Less(to) {
			g.cursor.next = to
		}
		g.rewound = true // what is being read for it from before comes too late
	}
	if e.park {
		g.parkedTo = to
		if !g.durable.Load() {
			g.ledger.parkedTo = to // nothing but bodies, which are kept
		}
	}
	g.judge()
	g.changed()
	g.submit(true)
	if reading {
		p.b.router.CatchUp(g)
	}
	return nil
}

// keepGivenBodies keeps the messages before a place that members have or gave back.
func (p *pass) keepGivenBodies(e *errand, to message.Position) error {
	g := e.g
	var all []queued
	g.mu.Lock()
	consider := func(pos message.Position, m *message.Message) {
		if pos.IsZero() || pos.Less(g.parkedTo) || !pos.Less(to) || e.parked(pos) {
			return
		}
		all = append(all, queued{pos, m})
	}
	for _, q := range g.queue[:g.back] {
		consider(q.position, q.message)
	}
	g.eachGiven(func(x *accountEntry) { consider(x.Delivery.Position, x.Delivery.Message) })
	g.mu.Unlock()
	slices.SortFunc(all, func(x, y queued) int { return x.position.Compare(y.position) })
	var blk storage.Block
	for _, q := range all {
		if q.message == nil { // of a session that sleeps since the start
			x, err := g.flight(&state.Flight{Position: q.position}, &blk)
			if err != nil {
				return err
			}
			q.message = x.Delivery.Message
		}
		if q.message == nil {
			continue
		}
		if p.ops = append(p.ops, state.PutBody(q.position, q.message)); len(p.ops) >= parkUnitOps {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return p.flush()
}

// parked reports whether the errand has parked the message at a place.
func (e *errand) parked(pos message.Position) bool {
	i, ok := slices.BinarySearchFunc(e.passed, pos, func(r passedRecord, pos message.Position) int { return r.pos.Compare(pos) })
	return ok && e.passed[i].reason == message.NotDropped
}

// capParkedGroup drops the oldest messages that are parked for a group and not read, until what is over its limit is gone.
func (b *Broker) capParkedGroup(g *group, over backlog) (backlog, error) {
	g.mu.Lock()
	from, to := g.cursor.next, g.parkedTo
	g.mu.Unlock()
	if !from.Less(to) {
		return over, nil
	}
	var drop []storage.Op
	var gone backlog
	prefix := state.GroupParkedOf(g.key.name, g.key.filter)
	for kv, err := range b.engine.ScanFrom(b.ctx, prefix, state.GroupParkedKey(g.key.name, g.key.filter, from)) {
		if err != nil {
			return over, err
		}
		_, _, pos, bytes, err := state.DecodeGroupParked(kv)
		if err != nil {
			return over, err
		}
		if over.isZero() || !pos.Less(to) {
			break
		}
		drop = append(drop, state.Delete(kv.Key))
		gone.put(bytes)
		over.messages, over.bytes = over.messages-1, over.bytes-bytes
	}
	if err := b.commitAll(drop); err != nil {
		return over, err
	}
	g.mu.Lock()
	g.shelf = backlog{max(0, g.shelf.messages-gone.messages), max(0, g.shelf.bytes-gone.bytes)}
	g.rewound = !g.cursor.live
	g.mu.Unlock()
	b.router.CatchUp(g)
	b.dropMany(message.DropQueueFull, g.Name(), nil, time.Now(), gone.messages)
	return over, nil
}

// readParked queues what was parked for the group, and reports whether none is left.
func (g *group) readParked(ctx context.Context, b *conn.Batch) bool {
	g.mu.Lock()
	from, to, reads := g.cursor.next, g.parkedTo, g.reads()
	g.mu.Unlock()
	if !reads || !from.Less(to) {
		return true
	}
	b.AtEnd(g)
	prefix := state.GroupParkedOf(g.key.name, g.key.filter)
	for kv, err := range g.broker.engine.ScanFrom(ctx, prefix, state.GroupParkedKey(g.key.name, g.key.filter, from)) {
		if err != nil {
			return false
		}
		_, _, pos, bytes, err := state.DecodeGroupParked(kv)
		if err != nil {
			g.broker.log.Error("parked message not read", "group", g.key.name, "error", err)
			continue
		}
		if !pos.Less(to) {
			break
		}
		body, err := g.broker.body(ctx, pos)
		if err != nil {
			return false
		}
		if !g.takeParked(pos, bytes, body) {
			g.feed(b) // and it asks for another turn, if there is room
			return false
		}
	}
	g.mu.Lock()
	if g.reads() && g.cursor.next.Less(to) {
		g.cursor.next = to
		g.shelf = backlog{}
		g.changed()
	}
	g.mu.Unlock()
	g.feed(b)
	return false
}

// takeParked queues one parked message. It returns false if the group takes no more.
func (g *group) takeParked(pos message.Position, bytes int64, body *message.Message) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.reads() {
		return false
	}
	if pos.Less(g.cursor.next) {
		return true
	}
	if body == nil {
		g.broker.drop(message.DropLogTrimmed, g.Name(), nil, time.Now())
	}
	if body == nil || g.tooOld(body) {
		g.cursor.next = pos.Next()
		g.caughtUp(&g.shelf, bytes)
		g.changed()
		return true
	}
	if !g.push(router.Record{Position: pos, Message: body}) {
		return false
	}
	g.caughtUp(&g.shelf, bytes)
	g.broker.upkeep.unswept.Store(true)
	return true
}

// usedBodies adds the places of what the group has in memory and of what its members have.
func (g *group) usedBodies(used *usedPlaces) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, q := range g.queue {
		used.add(q.position)
	}
	g.eachGiven(func(e *accountEntry) { used.add(e.Delivery.Position) })
}

// sweepGroups forgets what was parked for groups and was given, and adds the places of the rest.
func (b *Broker) sweepGroups(used *usedPlaces) error {
	var given []storage.Op
	for kv, err := range b.engine.Scan(b.ctx, state.GroupParked) {
		if err != nil {
			return err
		}
		name, filter, pos, _, err := state.DecodeGroupParked(kv)
		if err != nil {
			continue
		}
		g := b.groups.find(name, filter)
		if g == nil || g.isPast(pos) {
			given = append(given, state.Delete(kv.Key))
		} else {
			used.add(pos)
		}
	}
	return b.commitAll(given)
}

// isPast reports whether the group's kept place is after another.
func (g *group) isPast(pos message.Position) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.durable.Load() || pos.Less(g.ledger.next) || !pos.Less(g.parkedTo)
}
