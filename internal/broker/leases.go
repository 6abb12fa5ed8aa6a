package broker

import (
	pq "container/heap" // tests have another heap
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is what a consumer has given out. Everything that was given out and not acknowledged is an entry of the
// consumer's account, which the group keeps. An entry is leased until a time, or ready to be given again; which of both
// follows from the time, so that a lease that runs out changes nothing on disk. No timer runs for it: whoever asks for messages
// collects what has run out, who waits for them wakes up for the next, and once a second somebody looks for what was given out
// as often as it may be (deadletter.go).

// lease says of an entry how often it was given out, and until when nobody else gets it, by the broker's clock.
type lease struct {
	deliveries uint32
	until      time.Time
}

// kept is the lease as it is kept; nil: the entry is of no consumer.
func (l lease) kept() *state.Lease {
	if l == (lease{}) {
		return nil
	}
	return &state.Lease{Deliveries: l.deliveries, Until: l.until}
}

// consumer is a group's side that requests take from.
type consumer struct {
	broker  *Broker
	group   *group
	account *account
	history *stream.Stream // that has what was published before doc.Until; nil: none

	matches atomic.Pointer[[]string] // doc.Config.Filters, for those who hold no lock

	// Guarded by group.mu.
	doc      consumerDocument
	ids      map[message.Position]uint16 // of the account's entries
	lastID   uint16
	ready    []message.Position // entries that may be given again, in order
	dead     []message.Position // and those that may not: they go to the dead letters, in order
	burying  bool               // somebody takes them there
	buryAt   time.Time          // not before, since the last was refused
	due      dueLeases          // leases by their ends, and some that have changed since
	pollers  []*poller          // requests that wait, the first come first
	polledAt time.Time          // when a request was last here
	ended    bool
	ending   bool      // it is being ended, since nobody uses it
	usedKept time.Time // doc.Used as it is kept
	counters ConsumerCounters
	risen    metrics.ConsumedCounts
}

// poller is a request that waits.
type poller struct{ wake chan struct{} }

// dueLease is the end of a lease.
type dueLease struct {
	at       time.Time
	position message.Position
}

// dueLeases implements heap.Interface.
type dueLeases []dueLease

func (d dueLeases) Len() int           { return len(d) }
func (d dueLeases) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d dueLeases) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push implements heap.Interface.
func (d *dueLeases) Push(x any) { *d = append(*d, x.(dueLease)) }

// Pop implements heap.Interface.
func (d *dueLeases) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}

func (c *consumer) owner() state.Owner { return state.Owner{Incarnation: c.doc.Incarnation} }

func (c *consumer) filters() []string { return *c.matches.Load() }

func (c *consumer) wants(topic string) bool {
	return slices.ContainsFunc(c.filters(), func(f string) bool { return mqtt.MatchTopic(f, topic) })
}

// keepFed is how long a consumer goes on reading along after a request, so that who asks again and again is not served from
// the disk.
const keepFed = 10 * time.Second

// attended reports whether somebody asks for messages. The caller holds g.mu.
func (c *consumer) attended() bool {
	return !c.ended && (len(c.pollers) > 0 || !c.polledAt.IsZero() && time.Since(c.polledAt) < keepFed)
}

// feed lets a request take what there is. The caller holds g.mu.
func (c *consumer) feed() {
	g := c.group
	if c.available() {
		c.wakeOne()
	}
	g.waiting.Store(len(g.queue) > 0 || !g.cursor.live)
	g.unread()
	if g.lags() {
		g.broker.router.CatchUp(g)
	}
}

// available reports whether there may be something to take. The caller holds g.mu.
func (c *consumer) available() bool { return len(c.ready) > 0 || len(c.group.queue) > 0 }

func (c *consumer) wakeOne() {
	if len(c.pollers) > 0 {
		c.pollers[0].signal()
	}
}

func (c *consumer) wakeAll() {
	for _, p := range c.pollers {
		p.signal()
	}
}

func (p *poller) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// collect makes ready whose leases have run out. The caller holds g.mu.
func (c *consumer) collect(now time.Time) {
	n := len(c.ready) + len(c.dead)
	for len(c.due) > 0 && !now.Before(c.due[0].at) {
		d := pq.Pop(&c.due).(dueLease)
		if e := c.entry(d.position); e != nil && e.lease.until.Equal(d.at) {
			c.free(e)
		}
	}
	if len(c.ready)+len(c.dead) > n {
		c.sortFree()
	}
}

// free puts an entry that nobody has among those that are given again, or among the dead. The caller holds g.mu, and calls
// sortFree when it has put all.
func (c *consumer) free(e *accountEntry) {
	if limit := c.doc.Config.MaxDeliver; limit > 0 && e.lease.deliveries >= limit {
		c.dead = append(c.dead, e.Delivery.Position)
	} else {
		c.ready = append(c.ready, e.Delivery.Position)
	}
}

func (c *consumer) sortFree() {
	for _, all := range []*[]message.Position{&c.ready, &c.dead} {
		slices.SortFunc(*all, message.Position.Compare)
		*all = slices.Compact(*all)
	}
}

// refree sorts them anew: how often a message may be given out has changed. The caller holds g.mu.
func (c *consumer) refree() {
	all := slices.Concat(c.ready, c.dead)
	c.ready, c.dead = nil, nil
	for _, pos := range all {
		c.free(c.entry(pos))
	}
	c.sortFree()
}

// entry is the account's entry of a message; nil: there is none. The caller holds g.mu.
func (c *consumer) entry(pos message.Position) *accountEntry {
	id, ok := c.ids[pos]
	if !ok {
		return nil
	}
	p, i := c.account.find(id)
	if p == nil {
		return nil
	}
	return &p.entries[i]
}

// Leased is a message that was given out.
type Leased struct {
	Position   message.Position
	Message    *message.Message
	Deliveries uint32 // this time included
	until      time.Time
}

// take gives out up to n messages, what is to be given again first. Their messages may still have to be read. The caller
// holds g.mu, and keeps what has changed.
func (c *consumer) take(n, room int) (batch []Leased) {
	g, now := c.group, c.broker.clock.Now()
	c.collect(now)
	if c.doc.Config.ordered() {
		if n = 1; c.account.n > len(c.ready) {
			return nil
		}
	}
	for len(batch) < n && room > 0 {
		switch {
		case len(c.ready) > 0:
			batch = append(batch, c.give(c.ready[0], nil, now))
			if c.ready = c.ready[1:]; len(c.ready) == 0 {
				c.ready = nil
			}
		case len(g.queue) == 0:
			return batch
		case c.broker.expired(g.queue[0].message, time.Now()):
			c.broker.drop(message.DropExpired, g.Name(), g.queue[0].message, time.Now())
			g.pop()
		case c.account.n >= c.broker.cfg.Consumers.MaxInFlight:
			c.broker.metrics.Hit(metrics.LimitConsumerInFlight)
			return batch
		default:
			head := g.queue[0]
			size := len(head.message.Topic) + len(head.message.Payload) + len(head.message.Properties)
			if size > room && len(batch) > 0 {
				return batch
			}
			room -= size
			c.enter(head)
			g.pop()
			batch = append(batch, c.give(head.position, head.message, now))
		}
	}
	return batch
}

// enter puts a message from the queue into the account, without its body: that is in the log. The caller holds g.mu.
func (c *consumer) enter(q queued) {
	for {
		if c.lastID++; c.lastID == 0 {
			continue
		}
		if p, _ := c.account.find(c.lastID); p == nil {
			break
		}
	}
	c.ids[q.position] = c.lastID
	c.account.enter(session.InFlight{PacketID: c.lastID, Delivery: session.Delivery{QoS: q.message.QoS, Position: q.position, Group: c.account}})
}

// give leases an entry. The caller holds g.mu.
func (c *consumer) give(pos message.Position, m *message.Message, now time.Time) Leased {
	e := c.entry(pos)
	e.lease.deliveries++
	c.until(e, now.Add(c.doc.Config.AckWait))
	c.counters.Delivered++
	c.counted(metrics.ConsumedDelivered, 1)
	if e.lease.deliveries > 1 {
		c.counters.Redelivered++
		c.counted(metrics.ConsumedRedelivered, 1)
	}
	return Leased{Position: pos, Message: m, Deliveries: e.lease.deliveries, until: e.lease.until}
}

// until leases an entry up to a time. The caller holds g.mu.
func (c *consumer) until(e *accountEntry, at time.Time) {
	e.lease.until = at
	pq.Push(&c.due, dueLease{at, e.Delivery.Position})
	c.touch(e)
	if len(c.due) > 2*c.account.n+64 { // most of them have changed since
		c.due = slices.DeleteFunc(c.due, func(d dueLease) bool {
			e := c.entry(d.position)
			return e == nil || !e.lease.until.Equal(d.at)
		})
		pq.Init(&c.due)
	}
}

func (c *consumer) touch(e *accountEntry) {
	number := e.PacketID / partIDs
	c.account.touch(number, c.account.parts[number])
}

// finish ends an entry, and reports whether it was there. The caller holds g.mu.
func (c *consumer) finish(pos message.Position) bool {
	id, ok := c.ids[pos]
	if !ok {
		return false
	}
	delete(c.ids, pos)
	c.unready(pos)
	return c.account.remove(id)
}

// unready has an entry not be given again for now. The caller holds g.mu.
func (c *consumer) unready(pos message.Position) {
	for _, all := range []*[]message.Position{&c.ready, &c.dead} {
		if i, there := slices.BinarySearchFunc(*all, pos, message.Position.Compare); there {
			*all = slices.Delete(*all, i, i+1)
		}
	}
}

// release makes an entry ready again; uncounted: nobody has seen it. The caller holds g.mu.
func (c *consumer) release(l *Leased, uncounted bool) {
	e := c.entry(l.Position)
	if e == nil || !e.lease.until.Equal(l.until) {
		return // it was acknowledged, or somebody else has it
	}
	if uncounted {
		e.lease.deliveries--
		c.counters.Delivered--
		if e.lease.deliveries > 0 {
			c.counters.Redelivered--
		}
	}
	e.lease.until = c.broker.clock.Now()
	c.free(e)
	c.sortFree()
	c.touch(e)
}

// barrier returns a channel that hears when all that has changed by now is kept; nil: it is. The caller holds g.mu.
func (g *group) barrier() <-chan error {
	l := &g.ledger
	if !g.broker.keeps || !l.due() && l.units == 0 {
		return nil
	}
	if !l.due() {
		l.place = true // what is under way is kept before it
	}
	done := make(chan error, 1)
	l.waits = append(l.waits, ledgerWait{done, l.failures})
	g.submit(false)
	return done
}

// restoreLeases takes up a part of what was given out when the broker ended. The caller holds g.mu.
func (c *consumer) restoreLeases(s *state.Given) {
	now := c.broker.clock.Now()
	for i := range s.Flights {
		f := &s.Flights[i]
		c.account.enter(session.InFlight{PacketID: f.ID, Delivery: session.Delivery{QoS: f.QoS, Position: f.Position, Group: c.account}})
		c.ids[f.Position] = f.ID
		c.lastID = max(c.lastID, f.ID)
		e := c.entry(f.Position)
		if f.Lease != nil {
			e.lease = lease{f.Lease.Deliveries, f.Lease.Until}
		}
		if now.Before(e.lease.until) {
			pq.Push(&c.due, dueLease{e.lease.until, f.Position})
		} else {
			c.free(e)
		}
	}
	c.sortFree()
	if p := c.account.parts[s.Part]; p != nil {
		p.stored = true
	}
}

// inHistory reports whether a place is one that a stream is read at, rather than the log.
func (c *consumer) inHistory(pos message.Position) bool {
	return c.history != nil && pos.Less(c.doc.Until)
}

// inHistory reports whether a message of the group is in a stream's store, so that the log is not needed for it.
func (g *group) inHistory(pos message.Position) bool {
	return g.consumer != nil && g.consumer.inHistory(pos)
}

// readHistory queues what a stream has from before the consumer was made. From then on the log has all.
func (c *consumer) readHistory(ctx context.Context, b *conn.Batch) bool {
	g := c.group
	g.mu.Lock()
	from, until := g.cursor.next, c.doc.Until
	done := !c.inHistory(from)
	g.mu.Unlock()
	if done {
		return g.readParked(ctx, b)
	}
	if first := c.history.Info().First; from.Less(first) {
		c.skip(first, !from.IsZero())
		return false
	}
	if !from.Less(c.history.End()) {
		return true // the rest is in the log
	}
	n := 0
	next, err := c.history.Kept(ctx, from, func(r router.Record) bool {
		n++
		return n <= followTurn && r.Position.Less(until) && c.readKept(r)
	})
	if err != nil {
		if ctx.Err() == nil {
			c.broker.log.Error("a consumer's history was not read", "consumer", c.doc.Name, "error", err)
		}
		return false
	}
	g.mu.Lock()
	if g.reads() && g.cursor.next.Less(next) {
		g.cursor.next = next
		g.changed()
	}
	g.mu.Unlock()
	g.feed(b) // and it asks for another turn, if there is room
	return false
}

// skip goes on where the stream does, which has let go of what was before.
func (c *consumer) skip(first message.Position, lost bool) {
	g := c.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reads() && g.cursor.next.Less(first) {
		if lost {
			c.broker.dropMany(message.DropStreamTrimmed, g.Name(), nil, time.Now(), 1)
		}
		g.cursor.next = first
		g.changed()
	}
	if g.lags() {
		c.broker.router.CatchUp(g)
	}
}

func (c *consumer) readKept(r router.Record) bool {
	g := c.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.reads() {
		return false
	}
	return r.Position.Less(g.cursor.next) || !g.wants(r.Message) || g.push(r)
}
