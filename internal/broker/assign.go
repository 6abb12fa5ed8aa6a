package broker

import (
	"cmp"
	"slices"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/share"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file gives what is in a group's queue to members, and sends it once that is kept.

// feed gives the head of the queue to members for as long as one has room. Whoever calls it commits afterwards. One
// goroutine at a time feeds; what others bring meanwhile, it finds.
func (g *group) feed(b *conn.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.consumer != nil {
		g.consumer.feed()
		return
	}
	if g.feeding {
		return
	}
	g.feeding, g.denied = true, nil
	for g.feedOne(b.Now) {
	}
	g.feeding = false
	g.unread()
	if g.lags() {
		g.broker.router.CatchUp(g)
	}
}

// feedOne gives the head of the queue to a member, or does something about it. It returns false when that has to wait.
// The caller holds g.mu, which is free for a moment.
func (g *group) feedOne(now time.Time) bool {
	if len(g.queue) == 0 {
		g.waiting.Store(!g.cursor.live && g.durable.Load())
		return false
	}
	head := g.queue[0]
	switch {
	case head.message == nil: // a worker has to read it
		g.broker.router.CatchUp(g)
		return false
	case g.broker.expired(head.message, now):
		g.broker.drop(message.DropExpired, g.Name(), head.message, now)
		g.pop()
		return true
	}
	key := share.Key{ClientID: head.message.ClientID, Topic: head.message.Topic}
	m, ok := g.members.Pick(key, g.usable())
	if !ok && len(g.denied) > 0 && len(g.denied) == g.members.Len() { // or nothing after it would reach anyone
		g.broker.drop(message.DropNotAuthorized, g.Name(), head.message, now)
		g.pop()
		return true
	}
	if !ok {
		g.waiting.Store(true)
		if m, ok = g.members.Pick(key, g.usable()); !ok { // a member that got room before it could see that we wait
			return false
		}
	}
	g.mu.Unlock()
	denied := m.client.assign(m, head)
	g.mu.Lock()
	if denied && len(g.queue) > 0 && g.queue[0] == head && !slices.Contains(g.denied, m) {
		g.denied = append(g.denied, m)
	}
	return true
}

// usable returns who can get the head of the queue. The caller holds g.mu.
func (g *group) usable() share.Usable[*member] {
	if len(g.denied) == 0 {
		return hasRoom
	}
	return func(m *member) (int, bool) {
		load, ok := hasRoom(m)
		return load, ok && !slices.Contains(g.denied, m)
	}
}

// hasRoom reports whether a member has room in its window, and its subscription is in force: before it is, a queue's
// backlog would come before SUBACK.
func hasRoom(m *member) (load int, ok bool) {
	s := m.sub.Load()
	return int(m.client.load.Load()), m.client.room.Load() && !s.Ended && s.From != message.MaxPosition
}

// pop removes the head of the queue. The caller holds g.mu.
func (g *group) pop() {
	if g.back > 0 {
		g.back--
	} else {
		g.bytes -= messageBytes(g.queue[0].message)
	}
	g.denied = nil
	g.queue[0] = queued{}
	if g.queue = g.queue[1:]; len(g.queue) == 0 {
		g.queue = nil
	}
	g.changed()
}

// assign takes the head of a group's queue for a member, if both are as they were. It reports whether the member may not
// have it.
func (c *client) assign(m *member, head queued) (denied bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := m.account
	g := a.group
	d, ok := session.Merge(head.message, c.id, []*session.Subscription{m.sub.Load()})
	if c.link == nil || !ok || !c.session.Assignable() {
		c.room.Store(c.link != nil && c.session.Assignable())
		return false
	}
	if !c.mayReceive(head.message.Topic) {
		return true
	}
	d.Position, d.Group = head.position, a
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 || g.queue[0] != head {
		return false
	}
	id := uint16(0)
	if d.QoS > mqtt.AtMostOnce {
		id, _ = c.session.Assign(&d)
		a.add(id, d)
	}
	g.pop()
	g.ledger.sends = append(g.ledger.sends, send{client: c, link: c.link, id: id, delivery: d})
	c.load.Store(int32(c.session.InFlight() + c.session.Queued()))
	c.room.Store(c.session.Assignable())
	return false
}

// send is something for a client that has to be kept first.
type send struct {
	client   *client
	link     *link // of then; what a later one gets, the session says
	id       uint16
	pubrel   bool
	delivery session.Delivery
}

// dispatch sends what is kept.
func (b *Broker) dispatch(batch *conn.Batch, sends []send) {
	slices.SortStableFunc(sends, func(x, y send) int { return cmp.Compare(x.client.seq, y.client.seq) })
	for len(sends) > 0 {
		n := 1
		for n < len(sends) && sends[n].client == sends[0].client {
			n++
		}
		sends[0].client.sendKept(batch, sends[:n])
		sends = sends[n:]
	}
}

// sendKept sends what is kept for the client, as far as its connection is the same.
func (c *client) sendKept(b *conn.Batch, sends []send) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range sends {
		s := &sends[i]
		switch {
		case s.link != c.link && s.id == 0:
			c.drop(message.DropOffline, s.delivery.Message, b.Now)
		case s.link != c.link: // it went back to the group, or is sent again
		case s.pubrel:
			c.link.conn.PubrelSoon(s.id)
		case s.id == 0:
			c.enqueue(b, s.delivery)
		default:
			c.session.Kept(s.id, &s.delivery)
		}
	}
	c.pump(b)
}

// fetchMax is how many messages that came back are read at a time.
const fetchMax = 256

// fetch reads messages that came back before a restart, and reports whether it could. It is for workers.
func (g *group) fetch() bool {
	for {
		var at []message.Position
		g.mu.Lock()
		for i := 0; i < g.back && len(at) < fetchMax; i++ {
			if q := &g.queue[i]; q.message == nil {
				at = append(at, q.position)
			} else if len(at) == 0 {
				break // there is something to give before
			}
		}
		g.mu.Unlock()
		if len(at) == 0 {
			return true
		}
		found := make(map[message.Position]*message.Message, len(at))
		var blk storage.Block
		for _, pos := range at {
			f, err := g.flight(&state.Flight{Position: pos}, &blk)
			if err != nil {
				if g.broker.ctx.Err() == nil {
					g.broker.log.Error("a message of a shared group was not read", "group", g.key.name, "error", err)
				}
				return false
			}
			found[pos] = f.Delivery.Message
		}
		g.fetched(found)
	}
}

// fetched puts messages into their places, and drops those that the log does not have any more.
func (g *group) fetched(found map[message.Position]*message.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rest := make([]queued, 0, len(g.queue))
	for _, q := range g.queue {
		if m, ok := found[q.position]; ok && q.message == nil {
			if m == nil {
				g.back--
				g.broker.drop(g.trimmed(), g.Name(), nil, time.Now())
				g.changed()
				continue
			}
			q.message = m
		}
		rest = append(rest, q)
	}
	g.queue = rest
}

// submitGroups has what a client's groups still have to commit submitted, so that nothing of the client's last connection
// is committed after the next one's CONNECT. The caller holds c.mu.
func (c *client) submitGroups() {
	for _, a := range c.accounts {
		a.group.mu.Lock()
		a.group.submit(true)
		a.group.mu.Unlock()
	}
}
