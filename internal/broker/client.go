package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/retain"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/mqtt"
)

// client is a session with its owner's business: its connection if it has one, its subscriptions, and its place in the
// log if it is durable.
type client struct {
	// Static after construction.
	broker      *Broker
	id          string
	seq         uint64
	incarnation uint64
	created     int64 // second since 1970 in which this process made it

	durable  atomic.Bool  // it outlives its connection
	overlaps atomic.Bool  // two of its subscriptions may match one topic
	ready    atomic.Bool  // it has a connection and room for a message of a shared group
	full     atomic.Bool  // no more may wait for it, and what would have to is refused
	online   atomic.Bool  // it has a connection
	room     atomic.Bool  // and room in its window for a message that a shared group assigns
	load     atomic.Int32 // messages in flight and queued
	grown    atomic.Bool  // it holds memory that it may not need any more

	mu        sync.Mutex // guards what follows; conn's lock may be taken while it is held
	*awake               // what a session without a connection can mostly do without, see doze
	*past                // what most sessions do not have, see doze
	subs      subscriptions
	plain     int32 // subs that are not shared
	wild      int32 // and have wildcards
	cursor    cursor
	epoch     uint64           // counts its connections
	expiry    uint32           // seconds that the session lives without a connection
	lastID    uint16           // the packet identifier that was assigned last, while it dozes
	ended     bool             //
	dirty     bool             // listed by the keeper
	stored    bool             // the engine has an entry of it
	leftAt    moment           // when the last connection ended; zero: it has not
	endTimer  timer            //
	lag       backlog          // what the log has for it that was not taken, as far as it was counted
	persisted message.Position // from where on the log is needed to read on from what the engine has of it
	lost      *LostCounts      // since this process made the client; nil: nothing
}

// topics are the filters of what the subscription may get.
func (s *subscription) topics() []string {
	if s.follows != nil {
		return streamTopics(s.follows.stream, s.filter)
	}
	return []string{s.filter}
}

// matches reports whether a message of a topic may be for the subscription.
func (s *subscription) matches(topic string) bool {
	if s.follows != nil {
		return s.follows.wants(topic)
	}
	return mqtt.MatchTopic(s.filter, topic)
}

// newest returns the version in force or about to be; nil: none.
func (s *subscription) newest() *session.Subscription {
	v := s.versions()
	if v == nil || v.Ended {
		return nil
	}
	return v
}

func (s *subscription) versions() *session.Subscription {
	switch {
	case s.routed():
		return s.entry.Subscription()
	case s.follows != nil:
		return s.follows.sub.Load()
	}
	return s.member.sub.Load()
}

// past returns the versions that a new one comes in front of. One whose commit is pending is left out: it is of the same
// packet, or of a connection that is gone, and never was in force.
func (s *subscription) past() *session.Subscription {
	if s == nil {
		return nil
	}
	v := s.versions()
	for v != nil && v.From == message.MaxPosition {
		v = v.Prev
	}
	return v
}

func (s *subscription) set(v *session.Subscription) {
	switch {
	case s.routed():
		s.entry.Set(v)
	case s.follows != nil:
		s.follows.sub.Store(v)
	default:
		s.member.sub.Store(v)
	}
}

// replay is the job of sending a subscription its retained messages. It is pulled as the client takes them, so that its
// size is that of a cursor, whatever is retained.
type replay struct {
	key     string // of the subscription
	of      *subscription
	version *session.Subscription // that asked for it
	after   string                // the topic of the last one that was taken
	asOf    uint64                // which change of the store was the last before the subscription
	epoch   uint64                // of the connection that subscribed
}

// replayEntries is how many retained messages are fetched at a time.
const replayEntries = 32

// queueBytes bounds the memory of one client's queue; what is durable stays in the log beyond it.
const queueBytes = 4 << 20

// groupIDs is how many packet identifiers of a session are for what shared groups give it. One that outlives the process
// has some for them alone, see session.Assign.
func (b *Broker) groupIDs(durable bool) int {
	if b.keeps && durable {
		return 16 << 10
	}
	return 0
}

func (b *Broker) newClient(id string, durable bool) *client {
	c := &client{broker: b, id: id, seq: b.seq.Add(1), created: b.clock.Now().Unix(), awake: &dozing, past: &noPast}
	c.incarnation = b.number(&b.incarnation, state.Incarnation)
	c.durable.Store(durable)
	c.cursor.next = b.logEnd()
	return c
}

// attach gives the session its connection. The caller holds c.mu, and pumps it afterwards.
func (c *client) attach(l *link) {
	c.rouse()
	c.link = l
	c.epoch++
	c.holds, c.held, c.coming = nil, 0, nil
	c.releases, c.releasing = nil, false // PUBREL comes again by itself
	c.paused = false
	c.session.Attach(session.Connection{Version: l.version, ReceiveMaximum: int(l.receiveMaximum)})
	c.session.EnqueueFront(c.kept)
	c.kept, c.keptLen = nil, 0
	c.online.Store(true)
	c.setPresent(true)
}

// setPresent tells the router whether the session has a connection. The caller holds c.mu.
func (c *client) setPresent(present bool) {
	if !c.durable.Load() {
		return
	}
	for _, s := range c.subs.all() {
		if s.routed() {
			c.broker.router.SetPresent(s.filter, &s.entry, present)
		}
	}
}

// detach ends a link: what was queued from the log is read again from there, what a shared group assigned goes back to
// it, and the rest is dropped or, in a durable session, kept.
func (c *client) detach(l *link) {
	c.mu.Lock()
	if c.link != l {
		c.mu.Unlock()
		return
	}
	c.link, c.leaving = nil, l
	c.resubscribed()
	c.ready.Store(false)
	c.room.Store(false)
	c.online.Store(false)
	c.setPresent(false)
	c.followersLeave()
	c.returnAccounts(func(a *account) bool { return !c.durable.Load() || a.group.hasOnline() })
	returned := c.session.TakeGroup(ofGroup)
	unsent := c.session.Detach()
	c.broker.memory.Note(&c.noted, 0)
	c.cursor.leave(c.broker.router.Begun())
	for _, d := range unsent {
		switch {
		case followed(d):
			d.Group.(*follower).cursor.rewind(d.Position)
		case ofGroup(d):
			returned = append(returned, d)
		case !d.Position.IsZero() && d.Position.Less(c.parkedTo):
			c.cursor.rewind(d.Position)
			c.shelf.put(messageBytes(d.Message))
		case !d.Position.IsZero():
			c.cursor.rewind(d.Position)
			c.lags(d.Message)
		case c.durable.Load() && d.QoS > 0:
			c.kept = append(c.kept, d)
		default:
			c.drop(message.DropOffline, d.Message, time.Now())
		}
	}
	c.load.Store(int32(c.session.InFlight()))
	c.dirtied()
	c.mu.Unlock()
	c.broker.returnToGroups(returned)
}

// returnAccounts gives groups back what they gave the client and it was not sent, and QoS 1 that it did not acknowledge,
// if sent says so: it stays for a durable member that comes back [MQTT-4.4.0-1], unless another is there for it. QoS 2
// stays [MQTT-4.8.2-4]. The caller holds c.mu.
func (c *client) returnAccounts(sent func(*account) bool) {
	if len(c.accounts) == 0 {
		return
	}
	unsent := c.session.TakeUnsent(func(session.Delivery) bool { return true })
	for _, a := range c.accounts {
		all := sent(a)
		if all {
			c.session.TakeGroup(func(d session.Delivery) bool { return d.Group == a })
		}
		a.takeBack(unsent, all)
		a.close()
	}
}

// ofGroup reports whether a delivery was given by a group without an entry in an account: that is not durable.
func ofGroup(d session.Delivery) bool {
	_, ok := d.Group.(*group)
	return ok
}

// oldest returns the place of the log that the client still needs; ok is false if it needs none.
func (c *client) oldest(begun uint64) (pos message.Position, ok bool) {
	if !c.durable.Load() {
		return pos, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	pos = later(c.placeLocked(begun), c.parkedTo)
	if c.broker.keeps {
		pos = c.oldestKept(pos)
	}
	return pos, !c.ended
}

// oldestKept is the place from which the log is needed to restore the session: not after what the engine has of it, and
// not after what is in flight. The caller holds c.mu.
func (c *client) oldestKept(pos message.Position) message.Position {
	if c.persisted.Less(pos) {
		c.dirtied() // so that the next look gets further
		if !c.persisted.IsZero() {
			pos = c.persisted
		}
	}
	consider := func(p message.Position) {
		if !p.IsZero() && !p.Less(c.parkedTo) && p.Less(pos) {
			pos = p
		}
	}
	if c.asleep != nil {
		for i := range c.asleep.Flights {
			consider(c.asleep.Flights[i].Position)
		}
		return pos
	}
	for f := range c.session.InFlightDeliveries() {
		if f.Delivery.Group == nil { // a group looks after its own
			consider(f.Delivery.Position)
		}
	}
	return pos
}

// pump sends what the connection takes. The caller holds c.mu.
func (c *client) pump(b *conn.Batch) {
	l := c.link
	if l == nil {
		return
	}
	if c.session.Sends() || c.replays.Len() > 0 {
		c.pumpInto(b, l)
	}
	c.noteGrowth()
	c.noteMemory()
	room := c.session.Room() > 0
	c.ready.Store(room)
	c.room.Store(c.session.Assignable())
	c.load.Store(int32(c.session.InFlight() + c.session.Queued()))
	c.wantMore(b, room)
}

func (c *client) pumpInto(b *conn.Batch, l *link) {
	w, now := l.conn.Begin(b), c.broker.clock.At(b.Now)
	defer w.End()
	for c.holds != l && w.Room() {
		s, ok := c.session.Next(now)
		if ok {
			c.send(w, &s)
		} else if !c.refill(b) {
			break
		}
	}
}

func (c *client) send(w conn.Writer, s *session.Send) {
	switch s.Kind {
	case session.SendPubrel:
		w.Pubrel(s.PacketID, mqtt.Success)
	case session.Dropped:
		c.drop(s.Reason, s.Delivery.Message, time.Now())
		s.Delivery.Message.Release()
	case session.SendPublish:
		if !c.mayReceive(s.Delivery.Message.Topic) {
			c.discard(s.PacketID, &s.Delivery, message.DropNotAuthorized)
			if s.PacketID == 0 {
				s.Delivery.Message.Release()
			}
			return
		}
		c.write(w, &s.Delivery, s.PacketID, s.Dup || c.repeats(&s.Delivery))
		if s.PacketID == 0 {
			s.Delivery.Message.Release()
		}
	}
}

// repeats reports whether a delivery may have been sent before the broker crashed.
func (c *client) repeats(d *session.Delivery) bool {
	return d.QoS > 0 && d.Group == nil && !d.Position.IsZero() && d.Position.Less(c.mayRepeat)
}

// write sends a delivery, or treats it as sent if it is larger than the client takes.
func (c *client) write(w conn.Writer, d *session.Delivery, id uint16, dup bool) {
	if id != 0 {
		c.dirtied()
	}
	if !w.Publish(d, conn.Topic(d.Message, c.link.mount), id, dup) {
		c.discard(id, d, message.DropTooLarge)
		return
	}
	if t := c.broker.tracer; t != nil {
		t.Deliver(d.Message, c.id, d.QoS, dup)
	}
}

// discard treats a delivery that is not sent as if it had been, and completed.
func (c *client) discard(id uint16, d *session.Delivery, why message.DropReason) {
	if id != 0 {
		c.dirtied()
	}
	c.drop(why, d.Message, time.Now())
	c.session.Discard(id)
	if a := accountOf(d); a != nil && id != 0 {
		a.completed(id)
	}
}

// refill queues the next retained messages of the first replay. It reports whether there is something to send now.
func (c *client) refill(b *conn.Batch) bool {
	for c.replays.Len() > 0 && c.session.Queued() == 0 {
		r := c.replays.Front().Value.(*replay)
		entries, more := c.broker.retainedFor(r.of.filter).Scan(r.of.filter, r.after, c.broker.clock.At(b.Now), replayEntries, c.broker.entries.get())
		queued := 0
		for _, e := range entries {
			r.after = e.Message.Topic
			d, ok := session.Merge(e.Message, c.id, []*session.Subscription{r.version})
			if ok && !c.cameSince(r, &e, &d) && c.mayReceive(e.Message.Topic) {
				d.Retain = true
				if c.session.Enqueue(d) == message.NotDropped {
					queued++
				}
			}
		}
		c.broker.entries.put(entries)
		if !more {
			c.cancelReplay(r.of)
		}
		if queued > 0 {
			return true
		}
	}
	return false
}

// cameSince reports whether a retained message came after the subscription, and so comes to it as any other message. With
// QoS 0 it may have passed while the client was away. The caller holds c.mu.
func (c *client) cameSince(r *replay, e *retain.Entry, d *session.Delivery) bool {
	return e.Change > r.asOf && (d.QoS > mqtt.AtMostOnce || r.epoch == uint64(c.epoch))
}

// wantMore asks for a turn of reading the log, if the client itself has room for it, and lets its groups see that they
// may give it something. The caller holds c.mu.
func (c *client) wantMore(b *conn.Batch, room bool) {
	if room && c.durable.Load() && !c.cursor.live && c.session.Room() >= c.broker.cfg.Session.QueueMemoryMessages/2 {
		c.broker.router.CatchUp(c)
	}
	c.followersWantMore()
	for g := range c.groups {
		if g.waiting.Load() {
			b.AtEnd(g)
		}
	}
}

// entryPool keeps the slices that retained messages are scanned into.
type entryPool struct{ pool sync.Pool }

func (p *entryPool) get() []retain.Entry {
	if v := p.pool.Get(); v != nil {
		return (*v.(*[]retain.Entry))[:0]
	}
	return make([]retain.Entry, 0, replayEntries)
}

func (p *entryPool) put(s []retain.Entry) {
	clear(s)
	p.pool.Put(&s)
}
