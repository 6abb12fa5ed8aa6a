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

// A pass goes over the log once, for many sessions that lag. Nothing of it counts until a session's errand is finished: a
// session may read on meanwhile, and what it has read by then is taken out again. A parked message counts only if it
// lies before the session's kept place: what a crash leaves of an unfinished pass is not read, and the next start
// removes it.

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
	kept   []placed
}

// errand is one session's part of a pass, or a group's.
type errand struct {
	c      *client
	g      *group           // instead of c
	place  message.Position // of a group: the first that it had not given when the pass began
	from   message.Position // the oldest that waits for it in the log, or in memory
	next   message.Position // its place when the pass began
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
	if oldest, ok := c.session.OldestQueued(c.parkedTo); ok && oldest.Less(from) {
		from = oldest
	}
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
			e := errand{c: c, from: from, next: c.cursor.next, aged: p.aged, park: from.Less(p.before)}
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
		if p.finish(e); len(p.ops) >= parkUnitOps {
			if err := p.settle(); err != nil {
				return err
			}
		}
	}
	return p.settle()
}

// begin drops what is over the limit of what is parked, which is older than what is in the log, and keeps the bodies of
// what is in flight.
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
	if err := p.clear(e.c); err != nil {
		return err
	}
	return p.keepBodies(e.c)
}

// clear removes what a pass that failed has parked for a session: the session may have read it from the log since, and it
// would be taken for a part of this one.
func (p *pass) clear(c *client) error {
	c.mu.Lock()
	end := c.parkedTo
	c.mu.Unlock()
	for kv, err := range p.b.engine.Scan(p.b.ctx, state.Of(state.Parked, c.id, c.incarnation)) {
		if err != nil {
			return err
		}
		if _, m, err := state.DecodeParked(kv); err == nil && !m.Delivery.Position.Less(end) {
			p.ops = append(p.ops, state.Delete(kv.Key))
		}
		if len(p.ops) >= parkUnitOps {
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

// settle commits what finished errands have changed.
func (p *pass) settle() error {
	ops, kept := p.ops, p.kept
	p.ops, p.kept = nil, nil
	err := p.b.commitOps(ops)
	for _, k := range kept {
		k.settle(err)
	}
	return err
}

// finish moves a session's place past what was parked or dropped, unless the session has come further by itself. In
// the same commit, what it has read meanwhile is not parked any more.
func (p *pass) finish(e *errand) {
	c, to := e.c, p.to
	if !e.stop.IsZero() {
		to = e.stop
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.cursor.next
	if c.leaving != nil || c.ended || c.cursor.live || next.Less(e.from) || !next.Less(to) {
		for _, r := range e.passed {
			p.unpark(e, &r)
		}
		return
	}
	if e.park {
		c.recall()
	}
	queued := p.shelve(e, next)
	for i := range e.passed {
		r := &e.passed[i]
		switch {
		case r.pos.Less(next) && !queued[parkedPlace{r.pos, int(r.ordinal)}]:
			p.unpark(e, r)
		case r.pos.Less(next):
		case r.reason == message.NotDropped:
			c.lag.take(r.bytes)
			c.shelf.put(r.bytes)
			c.parked = true
		default:
			c.lag.take(r.bytes)
			c.drop(r.reason, r.message, p.now)
		}
	}
	c.cursor.next, c.cursor.moved = to, true // what is being read for it from before comes too late
	if e.park {
		c.parkedTo = to
	}
	if c.link != nil {
		p.b.router.CatchUp(c)
	}
	if c.asleep != nil {
		c.asleep.Next = to
	}
	c.judge()
	if p.b.keeps {
		ops, kept := c.snapshotOps()
		p.ops, p.kept = append(p.ops, ops...), append(p.kept, kept)
	}
}

// unpark takes back that a message was parked.
func (p *pass) unpark(e *errand, r *passedRecord) {
	if r.reason == message.NotDropped {
		p.ops = append(p.ops, state.Delete(state.PutParked(e.c.owner(), r.parked(session.Delivery{Position: r.pos})).Key))
	}
}

// shelve treats what a connected session has in its queue as taken from where it is parked now. The caller holds c.mu.
func (p *pass) shelve(e *errand, next message.Position) map[parkedPlace]bool {
	c := e.c
	if !e.park || c.session.Queued() == 0 {
		return nil
	}
	copies := make(map[message.Position]uint8) // of a message that are queued
	for d := range c.session.QueuedDeliveries() {
		if d.Group == nil { // what a stream gave is in the stream
			copies[d.Position]++
		}
	}
	last := make(map[message.Position]uint8) // ordinals: those queued are the last ones
	for i := range e.passed {
		last[e.passed[i].pos] = max(last[e.passed[i].pos], e.passed[i].ordinal)
	}
	queued := make(map[parkedPlace]bool)
	for d := range c.session.QueuedDeliveries() {
		if d.Group != nil || d.Position.IsZero() || d.Position.Less(c.parkedTo) || !d.Position.Less(next) {
			continue
		}
		r := passedRecord{pos: d.Position, ordinal: last[d.Position] + 1 - copies[d.Position], bytes: messageBytes(d.Message)}
		copies[d.Position]--
		queued[parkedPlace{r.pos, int(r.ordinal)}] = true
		c.taken = append(c.taken, r.parked(*d))
	}
	c.parkedNext = parkedPlace{pos: next}
	return queued
}

// keepBodies keeps the messages that a session has in flight, whose place in the log goes as well.
func (p *pass) keepBodies(c *client) error {
	c.mu.Lock()
	asleep := c.asleep
	if asleep == nil {
		for f := range c.session.InFlightDeliveries() {
			if pos := f.Delivery.Position; !pos.IsZero() && !f.Released && f.Delivery.Group == nil {
				p.ops = append(p.ops, state.PutBody(pos, f.Delivery.Message))
			}
		}
	}
	c.mu.Unlock()
	if asleep == nil {
		return nil
	}
	var blk storage.Block
	for i := range asleep.Flights {
		f := &asleep.Flights[i]
		if f.Position.IsZero() || f.Released {
			continue
		}
		x, err := p.b.flight(f, &blk)
		if err != nil {
			return err
		}
		if x.Delivery.Message != nil {
			p.ops = append(p.ops, state.PutBody(f.Position, x.Delivery.Message))
		}
	}
	return p.flush()
}
