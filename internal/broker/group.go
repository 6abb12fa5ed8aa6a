package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/share"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// groups are the shared-subscription groups, by name and filter.
type groups struct {
	broker *Broker
	mu     sync.Mutex
	byKey  map[groupKey]*group
	places map[groupKey]message.Position // where groups read on that are being restored; nil otherwise
}

type groupKey struct{ name, filter string }

// group is a shared-subscription group. To the router it is one subscriber, and it assigns what it gets to its members.
// With a durable member it has a place in the log of its own, so that messages wait for members to come back.
type group struct {
	// Static after construction.
	broker *Broker
	key    groupKey
	seq    uint64
	entry  *router.Entry

	durable atomic.Bool
	lagging atomic.Bool // it has something for members that it could not give away

	mu       sync.Mutex // guards what follows; no other lock is taken while it is held
	members  *share.Group[*member]
	cursor   cursor
	returned []session.Delivery // what members gave back, before anything new
	dirty    bool               // listed by the keeper
}

// member is a client in a group.
type member struct {
	client *client
	sub    atomic.Pointer[session.Subscription]
}

// join adds a member to a group, which it makes if need be.
func (gs *groups) join(name, filter string, m *member) *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	key := groupKey{name, filter}
	g := gs.byKey[key]
	if g == nil {
		b := gs.broker
		g = &group{broker: b, key: key, seq: b.seq.Add(1)}
		g.members = share.New[*member](b.shareStrategy, g.seq)
		g.cursor.next = b.logEnd()
		g.lagging.Store(true) // until it has joined the tail
		all := session.NewSubscription(mqtt.FilterOptions{Filter: filter, QoS: mqtt.ExactlyOnce, RetainAsPublished: true}, 0, nil)
		g.entry = router.NewEntry(g, all.Committed(g.cursor.next))
		gs.byKey[key] = g
		b.router.Add(filter, g.entry)
	}
	g.mu.Lock()
	g.members.Add(m)
	g.mu.Unlock()
	g.refresh()
	return g
}

// leave removes a member. A group without members ends.
func (gs *groups) leave(g *group, m *member) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g.mu.Lock()
	g.members.Remove(m)
	empty := g.members.Len() == 0
	lost := len(g.returned)
	g.mu.Unlock()
	if !empty {
		g.refresh()
		return
	}
	g.broker.metrics.Drop(message.DropGroupEnded, int64(lost))
	delete(gs.byKey, g.key)
	g.broker.router.Remove(g.key.filter, g.entry)
	if g.broker.keeps {
		g.broker.submitOps([]storage.Op{state.DeleteGroup(g.key.name, g.key.filter)})
	}
}

// find returns a group, or nil.
func (gs *groups) find(name, filter string) *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.byKey[groupKey{name, filter}]
}

// each calls fn for every group.
func (gs *groups) each(fn func(*group)) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, g := range gs.byKey {
		fn(g)
	}
}

func (gs *groups) len() int {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return len(gs.byKey)
}

// refresh works out whether a member is durable and takes more than QoS 0.
func (g *group) refresh() {
	g.mu.Lock()
	defer g.mu.Unlock()
	durable := slices.ContainsFunc(g.members.Members(), func(m *member) bool {
		return m.client.durable.Load() && m.sub.Load().QoS > mqtt.AtMostOnce
	})
	if durable && !g.durable.Load() { // from here on its place in the log counts
		g.cursor = cursor{next: g.broker.logEnd()}
		if place, ok := g.broker.groups.places[g.key]; ok {
			g.cursor.next = place
		}
		g.lagging.Store(true)
		g.durable.Store(true)
		g.dirtied()
		g.broker.router.CatchUp(g)
	}
	g.durable.Store(durable)
}

// Seq implements router.Subscriber.
func (g *group) Seq() uint64 { return g.seq }

// Overlaps implements router.Subscriber: a group has one filter.
func (g *group) Overlaps() bool { return false }

// Durable implements router.Subscriber.
func (g *group) Durable() bool { return g.durable.Load() }

// Deliver implements router.Subscriber.
func (g *group) Deliver(b *conn.Batch, m *message.Message, _ []*session.Subscription) {
	if !g.assign(b, session.Delivery{Message: m}) {
		reason := message.DropQueueFull
		if m.QoS == mqtt.AtMostOnce {
			reason = message.DropSlowConsumer
		}
		g.broker.metrics.Drop(reason, 1)
	}
}

// Tail implements router.Subscriber.
func (g *group) Tail(b *conn.Batch, r router.Record, _ []*session.Subscription) {
	g.mu.Lock()
	mine := g.cursor.live && !r.Position.Less(g.cursor.next)
	g.mu.Unlock()
	if mine {
		g.take(b, r)
	}
}

// take assigns a record and moves the cursor past it, or stops the cursor there. Only the tail, while the group is live,
// or the worker that reads for it, while it is not, calls take.
func (g *group) take(b *conn.Batch, r router.Record) bool {
	ok := g.assign(b, session.Delivery{Message: r.Message, Position: r.Position})
	g.mu.Lock()
	defer g.mu.Unlock()
	if !ok {
		g.cursor.stop(r.Position)
		g.lagging.Store(true)
		return false
	}
	g.cursor.next = r.Position.Next()
	g.dirtied()
	return true
}

// assign gives a message to a member that can take it; false: none can. A message that no member may have is dropped, or
// nothing after it would reach anyone.
func (g *group) assign(b *conn.Batch, d session.Delivery) bool {
	key := share.Key{ClientID: d.Message.ClientID, Topic: d.Message.Topic}
	var denied []*member
	for tries := 0; tries < 8; { // a member that was ready may not be any more
		g.mu.Lock()
		m, ok := g.members.Pick(key, func(m *member) (int, bool) {
			return int(m.client.load.Load()), m.client.ready.Load() && !slices.Contains(denied, m)
		})
		all := g.members.Len()
		g.mu.Unlock()
		if !ok {
			if len(denied) == 0 || len(denied) < all {
				return false
			}
			g.broker.metrics.Drop(message.DropNotAuthorized, 1)
			return true
		}
		taken, refused := g.offer(b, m, d)
		switch {
		case taken:
			return true
		case refused:
			denied = append(denied, m)
		default:
			tries++
		}
	}
	return false
}

// hasReady reports whether a member can take a message now.
func (g *group) hasReady() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.members.Members(), func(m *member) bool { return m.client.ready.Load() })
}

// offer gives a message to one member, as its own subscription says. The delivery's place in the log is the group's
// business, not the member's.
func (g *group) offer(b *conn.Batch, m *member, d session.Delivery) (taken, denied bool) {
	sub := m.sub.Load()
	mine, ok := session.Merge(d.Message, m.client.id, []*session.Subscription{sub})
	if !ok {
		return false, false // it is about to leave
	}
	mine.Group = g
	return m.client.offer(b, mine)
}

// giveBack takes what a member that is gone had not completed, and gives it to others.
func (g *group) giveBack(b *conn.Batch, ds []session.Delivery) {
	g.mu.Lock()
	g.returned = append(g.returned, ds...)
	g.dirtied()
	empty := g.members.Len() == 0
	if empty {
		g.broker.metrics.Drop(message.DropGroupEnded, int64(len(g.returned)))
		g.returned = nil
	}
	g.mu.Unlock()
	if !empty {
		g.drain(b)
	}
}

// drain assigns what was given back. It reports whether nothing is left.
func (g *group) drain(b *conn.Batch) bool {
	for {
		g.mu.Lock()
		if len(g.returned) == 0 {
			g.mu.Unlock()
			return true
		}
		d := g.returned[0]
		g.returned = g.returned[1:]
		g.dirtied()
		g.mu.Unlock()
		if g.assign(b, session.Delivery{Message: d.Message}) {
			continue
		}
		g.mu.Lock()
		g.returned = slices.Insert(g.returned, 0, d)
		g.mu.Unlock()
		g.lagging.Store(true)
		return false
	}
}

// Lag implements router.Reader.
func (g *group) Lag() (from message.Position, ok bool) {
	b := conn.NewBatch()
	clear := g.drain(b)
	b.Flush(g.broker.metrics)
	g.mu.Lock()
	defer g.mu.Unlock()
	if clear && g.cursor.live {
		g.lagging.Store(false)
	}
	return g.cursor.next, clear && g.durable.Load() && !g.cursor.live && g.members.Len() > 0
}

// Read implements router.Reader.
func (g *group) Read(b *conn.Batch, blk storage.Block) bool {
	for i, rec := range blk.Records {
		pos := message.Position{Block: blk.Seq, Index: uint32(i)}
		g.mu.Lock()
		next := g.cursor.next
		g.mu.Unlock()
		if pos.Less(next) || rec.Message.QoS == mqtt.AtMostOnce || !mqtt.MatchTopic(g.key.filter, rec.Message.Topic) {
			continue
		}
		if !g.take(b, router.Record{Position: pos, Message: rec.Message}) {
			return false
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if end := (message.Position{Block: blk.Seq + 1}); g.cursor.next.Less(end) {
		g.cursor.next = end
	}
	return true
}

// Join implements router.Reader.
func (g *group) Join(next message.Position, begun func() uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.cursor.join(next, begun) {
		return false
	}
	if len(g.returned) == 0 {
		g.lagging.Store(false)
	}
	return true
}

// Lost implements router.Reader.
func (g *group) Lost(first message.Position) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.cursor.live && g.cursor.next.Less(first) {
		g.cursor.next = first
		g.broker.metrics.Drop(message.DropLogTrimmed, 1)
	}
}

// oldest returns the place of the log that the group still needs; ok is false if it needs none.
func (g *group) oldest(begun uint64) (pos message.Position, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cursor.place(begun), g.durable.Load()
}

// returnToGroups gives back what a client that is gone was assigned by groups.
func (b *Broker) returnToGroups(ds []session.Delivery) {
	if len(ds) == 0 {
		return
	}
	batch := conn.NewBatch()
	batch.Now = time.Now()
	for len(ds) > 0 {
		g := ds[0].Group.(*group)
		n := 1
		for n < len(ds) && ds[n].Group == ds[0].Group {
			n++
		}
		g.giveBack(batch, ds[:n])
		ds = ds[n:]
	}
	batch.Flush(b.metrics)
}
