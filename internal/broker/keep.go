package broker

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is what the broker hands to an engine that outlives the process: the changes of sessions that go with a
// commit, and the snapshots in between. With an engine that does not, keeps is false and none of it is made.

// flushInterval is how often changed sessions are kept: what a client acknowledged since may come again after a crash.
const flushInterval = 100 * time.Millisecond

// keeper collects the sessions and groups that changed.
type keeper struct {
	mu      sync.Mutex
	clients []*client
	groups  []*group
	marked  time.Time        // when the clock's mark was last kept; like the next, the keeper's own
	end     message.Position // of the log then
	stop    chan struct{}
	wg      sync.WaitGroup
}

// owner names the session's entries in the store.
func (c *client) owner() state.Owner { return state.Owner{ClientID: c.id, Incarnation: c.incarnation} }

// dirtied notes that the session's snapshot is out of date. The caller holds c.mu.
func (c *client) dirtied() {
	if c.dirty || !c.broker.keeps || !c.durable.Load() {
		return
	}
	c.dirty = true
	k := &c.broker.keeper
	k.mu.Lock()
	k.clients = append(k.clients, c)
	k.mu.Unlock()
}

// dirtied has the keeper submit what the group has to keep. The caller holds g.mu.
func (g *group) dirtied() {
	if g.dirty || !g.broker.keeps {
		return
	}
	g.dirty = true
	k := &g.broker.keeper
	k.mu.Lock()
	k.groups = append(k.groups, g)
	k.mu.Unlock()
}

func (b *Broker) startKeeper() {
	if !b.keeps {
		return
	}
	b.keeper.stop = make(chan struct{})
	b.keeper.wg.Go(func() {
		t := time.NewTicker(flushInterval)
		defer t.Stop()
		for {
			select {
			case <-b.keeper.stop:
				b.keeper.marked = time.Time{}
				b.flushState(time.Now())
				return
			case now := <-t.C:
				b.flushState(now)
			}
		}
	})
}

// stopKeeper keeps what changed last, and ends the goroutine.
func (b *Broker) stopKeeper() {
	if b.keeper.stop != nil {
		close(b.keeper.stop)
		b.keeper.wg.Wait()
	}
}

// flushState keeps what has changed.
func (b *Broker) flushState(now time.Time) {
	k := &b.keeper
	k.mu.Lock()
	clients, groups := k.clients, k.groups
	k.clients, k.groups = nil, nil
	k.mu.Unlock()
	if b.markDue(now, len(clients)+len(groups) > 0) {
		b.submitOps(b.markOps())
	}
	for _, g := range groups {
		g.mu.Lock()
		g.dirty = false
		g.submit(true)
		g.mu.Unlock()
	}
	for _, c := range clients {
		c.mu.Lock()
		c.dirty = false
		if !c.ended {
			c.submitSnapshot()
		}
		c.mu.Unlock()
	}
}

// submitSnapshot submits the session's state, with ops, and reports whether the engine took it; if not, the keeper submits
// it later. The caller holds c.mu, as all do who submit it: no older state is submitted after a newer.
func (c *client) submitSnapshot(more ...storage.Op) bool {
	if c.submitState(more, func(message.Position, error) {}) != nil {
		c.dirtied()
		return false
	}
	return true
}

// submitState submits the session's state as it is, with ops. The caller holds c.mu.
func (c *client) submitState(more []storage.Op, done func(message.Position, error)) error {
	ops, p := c.snapshot()
	return c.broker.engine.Submit(0, storage.Unit{Ops: append(ops, more...)}, func(pos message.Position, err error) {
		p.settle(err)
		done(pos, err)
	})
}

// placed is a session in a commit, with the place in the log that the commit settles.
type placed struct {
	client *client
	next   message.Position
}

// settle notes what the commit kept, or that it has to be tried again.
func (p placed) settle(err error) {
	c := p.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.dirtied()
		return
	}
	c.persisted = p.next
	c.doze()
}

// snapshot is what keeps the session's place and what is under way. The caller holds c.mu.
func (c *client) snapshot() (ops []storage.Op, p placed) {
	if s := c.asleep; s != nil { // not resumed since the start: what was kept then is what there is
		return []storage.Op{state.PutSnapshot(c.owner(), s)}, placed{c, later(s.Next, s.ParkedTo)}
	}
	s := &state.Snapshot{Next: c.placeLocked(c.broker.router.Begun()), LastID: c.lastPacketID(), ParkedTo: c.parkedTo}
	for f := range c.session.InFlightDeliveries() {
		if accountOf(&f.Delivery) == nil { // those are their groups' to keep
			s.Flights = append(s.Flights, flightOf(f))
		}
	}
	for i := range c.kept {
		s.Kept = append(s.Kept, flightOf(session.InFlight{Delivery: c.kept[i]}))
	}
	for e := c.replays.Front(); e != nil; e = e.Next() {
		r := e.Value.(*replay)
		s.Replays = append(s.Replays, state.Replay{Key: r.key, After: r.after})
	}
	for _, key := range slices.Sorted(maps.Keys(c.coming)) {
		s.Replays = append(s.Replays, state.Replay{Key: key})
	}
	ops = append(ops, state.PutSnapshot(c.owner(), s))
	for _, f := range c.followers {
		if f.begun {
			ops = append(ops, f.cursorOp())
		}
	}
	return ops, placed{c, later(s.Next, s.ParkedTo)}
}

// placeLocked is where the session would read on if it were restored. The caller holds c.mu.
func (c *client) placeLocked(begun uint64) message.Position {
	pos := c.cursor.place(begun)
	if first, ok := c.session.OldestQueued(); ok && first.Less(pos) {
		pos = first
	}
	return pos
}

func flightOf(f session.InFlight) state.Flight {
	d := &f.Delivery
	x := state.Flight{ID: f.PacketID, Released: f.Released, QoS: d.QoS, Retain: d.Retain, SubscriptionIDs: d.SubscriptionIDs, Position: d.Position}
	if d.Position.IsZero() || followed(*d) {
		x.Position = message.Position{} // a stream may let go of it meanwhile
		if !f.Released {
			x.Body = d.Message
		}
	}
	return x
}

// sessionOps keep what CONNECT and the end of a connection change. The caller holds c.mu.
func (c *client) sessionOps(connected bool, w *will, due time.Time) (ops []storage.Op) {
	if !c.broker.keeps || !c.durable.Load() && w == nil {
		return nil
	}
	s := &state.Session{ClientID: c.id, Incarnation: c.incarnation, ExpirySeconds: c.expiry, Unsettled: connected}
	if connected {
		c.leftAt = 0
	} else {
		if c.leftAt == 0 {
			c.leftAt = momentOf(c.broker.clock.Now())
		}
		s.LeftAt = c.leftAt.time()
		s.Unsettled = c.lastSent()
	}
	if w != nil {
		m := w.message
		s.Will = &state.Will{Message: &m, Expires: w.expires, Expiry: w.expiry, DelaySeconds: w.delaySeconds, ID: w.id}
		s.WillDue = due
	}
	c.stored = true
	return append(ops, state.PutSession(s))
}

// lastSent has kept what was sent over a connection that has ended; mayRepeat is true if a restart could still repeat what
// was sent before. The caller holds c.mu.
func (c *client) lastSent() (mayRepeat bool) {
	if !c.durable.Load() {
		return false
	}
	if c.dirty && c.asleep == nil && !c.submitSnapshot() {
		return true
	}
	return c.placeLocked(c.broker.router.Begun()).Less(c.mayRepeat)
}

// keepReleases has the state kept in which the client's PUBREC packets are known, and sends the PUBREL packets after
// that: one commit for all that came since the last. The caller holds c.mu.
func (c *client) keepReleases() {
	if c.releasing || len(c.releases) == 0 || c.link == nil {
		return
	}
	l, ids := c.link, c.releases
	c.releases, c.releasing = nil, true
	err := c.submitState(nil, func(_ message.Position, err error) {
		if err != nil {
			l.conn.Close(mqtt.ServerUnavailable, "")
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.releasing = false
		if c.link == l { // a later connection gets its PUBREL packets when it is attached
			for _, id := range ids {
				l.conn.PubrelSoon(id)
			}
		}
		c.keepReleases()
	})
	if err != nil {
		c.releasing = false
		l.conn.Close(mqtt.ServerBusy, "the server is busy")
	}
}

// subscriptionOps keep changed subscriptions that are in force from a place on. The caller holds c.mu.
func (c *client) subscriptionOps(changes []change, from message.Position) (ops []storage.Op) {
	if !c.broker.keeps || !c.durable.Load() {
		return nil
	}
	for _, ch := range changes {
		ops = append(ops, c.subscriptionOp(ch.key, ch.sub, from))
		if o := ch.offset; o != nil {
			ops = append(ops, state.PutStreamCursor(c.owner(), ch.key, state.StreamCursor{Next: o.Place(from), Since: o.Since}))
		}
	}
	return ops
}

func (c *client) subscriptionOp(key string, sub *subscription, end message.Position) storage.Op {
	s := &state.Subscription{Key: key, Filter: sub.filter, Exclusive: sub.only, Versions: sub.versions()}
	if sub.group != nil {
		s.Share = sub.group.key.name
	}
	return state.PutSubscription(c.owner(), s, end)
}

// inboundOps keep the identifier of a QoS 2 message of a durable session until it is released.
func (l *link) inboundOps(qos mqtt.QoS, id uint16) []storage.Op {
	c := l.client
	if qos != mqtt.ExactlyOnce || !c.broker.keeps || !c.durable.Load() {
		return nil
	}
	return []storage.Op{state.PutInboundID(c.owner(), id)}
}

// submit submits a unit, again after a while for as long as the engine is busy. The caller answers for the order: nothing
// that has to come after the unit is submitted before it is done.
func (b *Broker) submit(u storage.Unit, done func(message.Position, error)) error {
	err := b.engine.Submit(0, u, done)
	if !errors.Is(err, storage.ErrBusy) {
		return err
	}
	time.AfterFunc(busyRetry, func() {
		if err := b.submit(u, done); err != nil {
			done(message.Position{}, err)
		}
	})
	return nil
}

// submitOps submits ops that nobody waits for.
func (b *Broker) submitOps(ops []storage.Op) {
	if len(ops) == 0 {
		return
	}
	if err := b.engine.Submit(0, storage.Unit{Ops: ops}, func(_ message.Position, err error) {
		if err != nil {
			b.log.Warn("session state not kept", "error", err)
		}
	}); err != nil {
		b.log.Warn("session state not kept", "error", err)
	}
}

// purge forgets all that the store holds of a session that has ended: at once that there is a session, and then what
// belonged to it. What a crash leaves of that belongs to an incarnation that nobody reads.
func (b *Broker) purge(c *client) {
	if !b.keeps || !c.stored {
		return
	}
	b.submitOps([]storage.Op{state.DeleteSession(c.id), state.DeleteWillPublished(c.owner())})
	if !c.durable.Load() {
		return
	}
	o := c.owner()
	b.upkeep.unswept.Store(true)
	b.work(func() {
		var ops []storage.Op
		for _, space := range [][]byte{state.Subscriptions, state.Snapshots, state.InboundIDs, state.Parked, state.StreamCursors} {
			for kv, err := range b.engine.Scan(b.ctx, state.Of(space, o.ClientID, o.Incarnation)) {
				if err != nil {
					return
				}
				ops = append(ops, state.Delete(kv.Key))
			}
		}
		b.submitOps(ops)
	})
}
