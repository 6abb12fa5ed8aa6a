package broker

import (
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/summary"
	"github.com/barid-mqtt/barid/mqtt"
)

// A pass goes over the log once, for many sessions that lag. Nothing of it counts until a session's errand is finished, which
// moves parkedTo: a session may read on from the log meanwhile, and what a crash leaves of a pass that was not finished is not
// read either (parked.go).

const (
	// parkUnitOps is how many changes are committed at a time.
	parkUnitOps = 2000
	// passErrands is for how many sessions a pass is, and passRecords how many messages it parks or drops before it ends where
	// it has come to: it remembers all of these.
	passErrands = 16 << 10
	passRecords = 48 << 10
	// maxCopies is how many copies of a message for one session can be told apart.
	maxCopies = 256
	// shownRecords is how many dropped messages of a session are held, so that it can be said which they were.
	shownRecords = 8
)

// order is what passes are to do besides dropping what is over limits.
type order struct {
	now    time.Time
	end    message.Position // where they end: all before was counted
	before message.Position // those who stand before it are parked
	aged   bool             // what is too old is dropped
}

// pass is one pass over the log.
type pass struct {
	b *Broker
	order
	to     message.Position
	work   map[*client]*errand
	groups map[*group]*errand
	busy   int  // errands that are not at their ends
	passed int  // messages parked or dropped
	cut    bool // it ended before all that was ordered was done
	ops    []storage.Op
}

// errand is one session's part of a pass, or a group's.
type errand struct {
	c      *client
	g      *group           // instead of c
	place  message.Position // of a group: the first that it had not given when the pass began
	from   message.Position // the oldest that waits for it in the log, or in memory
	next   message.Position // the first that it had not read of the log then
	over   backlog          // to be dropped, oldest first
	aged   bool             // what is too old is dropped
	park   bool             // the rest is parked
	stop   message.Position // if not: the first that stays; zero: none has been found
	passed []passedRecord
	shown  int // of those that are dropped, how many say which message they were
}

// passedRecord is a message of the log that an errand parked or dropped.
type passedRecord struct {
	pos     message.Position
	ordinal uint8
	reason  message.DropReason // NotDropped: parked
	bytes   int64
	message *message.Message // of the first few that are dropped; nil: not at hand any more
}

func (b *Broker) newOrder(now time.Time) order {
	return order{now: now, end: message.Position{Block: max(b.router.Begun(), 1) - 1}}
}

func (b *Broker) newPass(o order) *pass {
	return &pass{b: b, order: o, to: o.end, work: make(map[*client]*errand), groups: make(map[*group]*errand)}
}

// lagsFrom returns the oldest that waits for the session in the log, or in memory; ok is false if it does not lag behind a place.
// The caller holds c.mu.
func (c *client) lagsFrom(to message.Position) (from message.Position, ok bool) {
	if c.leaving != nil || c.ended || !c.durable.Load() || c.cursor.live {
		return from, false
	}
	from = c.cursor.next
	if oldest, ok := c.session.OldestQueued(); ok && oldest.Less(from) {
		from = oldest
	}
	from = later(from, c.parkedTo)
	return from, from.Less(to)
}

// errands returns what is to be done for the first of the sessions, as many as a pass has, and the sessions after these.
func (p *pass) errands(clients []*client) (all []*errand, rest []*client) {
	for i, c := range clients {
		if len(all) == p.b.passErrands {
			return all, clients[i:]
		}
		c.mu.Lock()
		if from, ok := c.lagsFrom(p.to); ok {
			e := errand{c: c, from: from, next: c.logNext(), aged: p.aged, park: from.Less(p.before)}
			if p.b.cfg.Session.OnFull == config.DropOldest {
				e.over = p.b.queueLimit().excess(c.waiting())
			}
			if e.hasWork() {
				all = append(all, &e)
			}
		}
		c.mu.Unlock()
	}
	return all, nil
}

func (e *errand) hasWork() bool { return e.park || e.aged || !e.over.isZero() }

// run does the errands that have something to do.
func (p *pass) run(all []*errand) error {
	from := p.to
	for _, e := range all {
		if !e.park {
			e.from = e.next // what is in memory stays
		}
		begin := p.begin
		if e.g != nil {
			begin = p.beginGroup
		}
		if err := begin(e); err != nil {
			return err
		}
		if e.from.Less(from) {
			from = e.from
		}
	}
	if p.busy = len(p.work) + len(p.groups); p.busy == 0 {
		return nil
	}
	if err := p.copy(from); err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	for _, e := range p.groups {
		if err := p.finishGroup(e); err != nil {
			return err
		}
	}
	for _, e := range p.work {
		if err := p.finish(e); err != nil {
			return err
		}
	}
	return nil
}

// begin drops what is over the limit of what is parked, which is older than what is in the log.
func (p *pass) begin(e *errand) (err error) {
	p.work[e.c] = e
	if !e.over.isZero() && p.b.keeps {
		if e.over, err = p.b.capParked(e.c, e.over); err != nil {
			return err
		}
	}
	if !e.park {
		return nil
	}
	return p.clear(e)
}

// clear removes what a pass that failed has parked for a session and this one may drop.
func (p *pass) clear(e *errand) error {
	o := e.c.owner()
	for kv, err := range p.b.engine.ScanFrom(p.b.ctx, state.Of(state.Parked, o.ClientID, o.Incarnation), state.ParkedKey(o, e.from)) {
		if err != nil {
			return err
		}
		if p.ops = append(p.ops, state.Delete(kv.Key)); len(p.ops) >= parkUnitOps {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// copy reads the log from a place to the pass's end.
func (p *pass) copy(from message.Position) error {
	var failed error
	err := p.b.eachRecord(from, p.to, p.asks(), func(pos message.Position, m *message.Message) bool {
		if pos.Index == 0 && (p.busy == 0 || p.passed >= passRecords) {
			p.to, p.cut = pos, p.busy > 0
			return false
		}
		p.copyRecord(pos, m)
		if len(p.ops) >= parkUnitOps {
			failed = p.flush()
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = p.flush()
	}
	return err
}

// asks is what the pass looks for in the log.
func (p *pass) asks() *summary.Question {
	var filters []string
	for g := range p.groups {
		filters = append(filters, g.matched()...)
	}
	for c := range p.work {
		c.mu.Lock()
		filters = c.filters(filters)
		c.mu.Unlock()
		if len(filters) > summary.FiltersMax {
			return nil
		}
	}
	return summary.Ask(filters)
}

func (p *pass) copyRecord(pos message.Position, m *message.Message) {
	parked := false
	for _, t := range p.b.targetsOf(m, pos) {
		e := p.work[t.c]
		if t.g != nil {
			e = p.groups[t.g]
		}
		if e == nil || pos.Less(e.from) || !e.stop.IsZero() {
			continue
		}
		reason := message.NotDropped
		switch {
		case p.b.expired(m, p.now):
			reason = message.DropExpired
		case pos.Less(e.next): // in the queue: it was within the limits
		case p.b.tooOld(m, p.now):
			reason = message.DropQueueAge
		case !e.over.isZero():
			reason = message.DropQueueFull
		}
		if reason == message.NotDropped && (!e.park || len(t.deliveries) > maxCopies) {
			e.stop = pos
			p.busy--
			continue
		}
		for i, d := range t.deliveries {
			r := passedRecord{pos: pos, ordinal: uint8(i), reason: reason, bytes: messageBytes(m)}
			e.passed = append(e.passed, r)
			p.passed++
			if reason != message.NotDropped {
				if e.shown++; e.shown <= shownRecords {
					e.passed[len(e.passed)-1].message = m
				}
				e.over.messages, e.over.bytes = e.over.messages-1, e.over.bytes-r.bytes
				continue
			}
			parked = true
			if e.g != nil {
				p.ops = append(p.ops, state.PutGroupParked(e.g.key.name, e.g.key.filter, pos, r.bytes))
				continue
			}
			d.Position = pos
			p.ops = append(p.ops, state.PutParked(e.c.owner(), r.parked(d)))
		}
	}
	if parked {
		p.ops = append(p.ops, state.PutBody(pos, m))
	}
}

// parked is what is kept of a delivery that is parked.
func (r *passedRecord) parked(d session.Delivery) *state.ParkedMessage {
	return &state.ParkedMessage{Delivery: flightOf(session.InFlight{Delivery: d}), Ordinal: r.ordinal, Bytes: r.bytes}
}

// aim is a session that gets a record with QoS 1 or 2, and what it gets; or a group, to which one delivery is counted.
type aim struct {
	c          *client
	g          *group // instead of c
	deliveries []session.Delivery
}

// oneDelivery is what a group gets: which member with what QoS is seen when it is given.
var oneDelivery = make([]session.Delivery, 1)

// targetsOf lists the sessions and groups that get a record. Queues read their streams.
func (b *Broker) targetsOf(m *message.Message, pos message.Position) (all []aim) {
	var t metrics.Tally // not added up: who reads the log counts what it passes over
	b.router.Targets(m.Topic, pos, func(to router.Subscriber, subs []*session.Subscription) {
		if g, ok := to.(*group); ok && !g.isQueue() && g.durable.Load() && g.wants(m) {
			all = append(all, aim{g: g, deliveries: oneDelivery})
		}
		c, ok := to.(*client)
		if !ok {
			return
		}
		a := aim{c: c}
		c.each(&t, m, subs, func(d session.Delivery) {
			if d.QoS > mqtt.AtMostOnce {
				a.deliveries = append(a.deliveries, d)
			}
		})
		if len(a.deliveries) > 0 {
			all = append(all, a)
		}
	})
	return all
}

// flush commits what was parked so far.
func (p *pass) flush() error {
	ops := p.ops
	p.ops = nil
	return p.b.commitAll(ops)
}

// finish moves the end of what is parked for a session, or its place, to where the pass ended, unless the session has come
// further by itself.
func (p *pass) finish(e *errand) error {
	to := p.to
	if !e.stop.IsZero() {
		to = e.stop
	}
	var kept map[message.Position]bool
	for {
		missing := p.tryFinish(e, to, kept)
		if len(missing) == 0 {
			return nil
		}
		if err := p.keepBodies(missing); err != nil {
			return err
		}
		if kept == nil {
			kept = make(map[message.Position]bool)
		}
		for i := range missing {
			kept[missing[i].Position] = true
		}
	}
}

// tryFinish returns what has to be kept before, and otherwise finishes an errand.
func (p *pass) tryFinish(e *errand, to message.Position, kept map[message.Position]bool) (missing []state.Flight) {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.logNext()
	if c.leaving != nil || c.ended || c.cursor.live || next.Less(e.from) || !next.Less(to) {
		return nil // what it parked does not count, and is swept
	}
	if e.park {
		if missing = p.withoutBody(e, to, kept); len(missing) > 0 {
			return missing
		}
		c.recall()
	}
	for i := range e.passed {
		r := &e.passed[i]
		switch {
		case r.pos.Less(next):
		case r.reason == message.NotDropped:
			c.lag.take(r.bytes)
			c.shelf.put(r.bytes)
		default:
			c.lag.take(r.bytes)
			c.drop(r.reason, r.message, p.now)
		}
	}
	if e.park {
		c.parkedTo = to
		if c.asleep != nil {
			c.asleep.ParkedTo = to
		}
		to = c.cursor.next
	}
	c.skipTo(to)
	if p.b.keeps {
		c.submitSnapshot()
	}
	return nil
}

// withoutBody lists what the session has in flight that leaves the log and is not parked: from before the errand began, or
// expired since it was sent. The caller holds c.mu.
func (p *pass) withoutBody(e *errand, to message.Position, kept map[message.Position]bool) (all []state.Flight) {
	c := e.c
	consider := func(f *state.Flight) {
		if pos := f.Position; !pos.IsZero() && !f.Released && !pos.Less(c.parkedTo) && pos.Less(to) && !e.parked(pos) && !kept[pos] {
			all = append(all, *f)
		}
	}
	if c.asleep != nil {
		for i := range c.asleep.Flights {
			consider(&c.asleep.Flights[i])
		}
		return all
	}
	for f := range c.session.InFlightDeliveries() {
		if f.Delivery.Group == nil {
			f.Delivery.Message.Keep() // it is kept after the lock is gone
			consider(&state.Flight{Position: f.Delivery.Position, Released: f.Released, Body: f.Delivery.Message})
		}
	}
	return all
}

// keepBodies keeps the messages of what is in flight, whose place in the log goes.
func (p *pass) keepBodies(flights []state.Flight) error {
	var blk storage.Block
	for i := range flights {
		x, err := p.b.flight(&flights[i], &blk)
		if err != nil {
			return err
		}
		if m := x.Delivery.Message; m != nil {
			p.ops = append(p.ops, state.PutBody(flights[i].Position, m))
		}
	}
	return p.flush()
}
