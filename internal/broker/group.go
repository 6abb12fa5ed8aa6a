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
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/internal/summary"
	"github.com/barid-mqtt/barid/mqtt"
)

// group is a shared-subscription group. To the router it is one subscriber, and it gives what it gets to its members.
//
// With a durable member, or declared, it is durable: a cursor into the log like a session's, with a bounded queue of what
// it has read and not given. What it gives goes through four steps, which are the same for all durable groups:
//
//  1. take: the tail, or the worker that reads for a group that lags, queues a record (this file).
//  2. feed: the head of the queue gets a member with room in its window, an identifier, and an entry in the member's
//     account (assign.go). What came back from members stands before what is new.
//  3. commit: the group's place and all accounts that changed go into one unit (ledger.go).
//  4. send: once that is kept, the members send it.
//
// So a message is in one place at any time: in the queue, or in one account. Acknowledgements take it out of the account,
// and are kept with the next unit, a tenth of a second later at most; PUBREC is kept before PUBREL. A group that is not
// durable gives messages at once, and keeps nothing.
type group struct {
	// Static after construction.
	broker *Broker
	key    groupKey
	seq    uint64
	stream *stream.Stream // that it consumes: it is a declared queue (queue.go); nil: none

	consumer *consumer // of the HTTP API, whose requests are its members (consumer.go); nil: members are clients

	routed router.Place // guarded by groups.mu

	durable atomic.Bool
	refuses atomic.Bool // no more may wait for it, and what would have to is refused
	waiting atomic.Bool // it lags, or its queue is not empty: it wants to hear of members that have room

	mu       sync.Mutex // guards what follows, and the accounts; nothing but the engine's queue is called while it is held
	members  *share.Group[*member]
	declared bool
	cursor   cursor    // of what is read into the queue
	queue    []queued  // what is to be given: first what came back
	back     int       // how many in the queue came back
	bytes    int64     // of the others
	feeding  bool      // somebody is in feed
	denied   []*member // that may not have the head of the queue

	parkedTo message.Position // before it, what the group still gets was parked (groupparked.go)
	lag      backlog          // what the log has for it from there on, as far as it was counted
	shelf    backlog          // what is parked for it and was not read

	rewound  bool                  // the cursor went back in this turn of reading
	accounts map[*account]struct{} // that have entries
	ledger   ledger                // what is to be kept
	dirty    bool                  // listed by the keeper
}

// queued is a message in a group's queue. After a restart, the message of what came back is read when it is needed.
type queued struct {
	position message.Position // zero: it is not from the log
	message  *message.Message // nil: not read yet
}

// member is a client in a group.
type member struct {
	client  *client
	account *account
	sub     atomic.Pointer[session.Subscription]
}

// over reports whether the group is no more. The caller holds g.mu.
func (g *group) over() bool { return g.members.Len() == 0 && !g.declared }

// idle reports whether nothing is left of the group. The caller holds g.mu.
func (g *group) idle() bool { return g.over() && len(g.accounts) == 0 && g.ledger.clean() }

// refresh works out whether the group is durable: a member is that and takes more than QoS 0.
func (g *group) refresh() {
	g.mu.Lock()
	defer g.mu.Unlock()
	durable := g.declared || g.members.Any(func(m *member) bool {
		return m.client.durable.Load() && m.sub.Load().QoS > mqtt.AtMostOnce
	})
	switch {
	case durable && !g.durable.Load(): // from here on its place in the log counts
		g.cursor, g.lag, g.shelf = cursor{next: g.beginning()}, backlog{}, backlog{}
		if place, ok := g.broker.groups.places[g.key]; ok {
			g.cursor.next = place.next
			g.parkedTo, g.ledger.parkedTo = place.parkedTo, place.parkedTo
		}
		g.waiting.Store(true)
		g.durable.Store(true)
		g.changed()
		g.broker.router.CatchUp(g)
	case !durable && g.durable.Load():
		g.durable.Store(false)
		if !g.cursor.live && len(g.queue) == 0 {
			g.broker.drop(message.DropGroupEnded, g.Name(), nil, time.Now()) // what it had not read yet
		}
		g.changed()
	}
	if g.over() {
		g.broker.dropMany(message.DropGroupEnded, g.Name(), nil, time.Now(), int64(len(g.queue)))
		g.queue, g.back, g.bytes = nil, 0, 0
	}
}

// Seq implements router.Subscriber.
func (g *group) Seq() uint64 { return g.seq }

// Overlaps implements router.Subscriber: a group has one filter, unless it consumes a stream.
func (g *group) Overlaps() bool { return g.stream != nil || g.consumer != nil }

// Durable implements router.Subscriber.
func (g *group) Durable() bool { return g.durable.Load() }

// Deliver implements router.Subscriber: it gives a message that did not go through the log to a member with room in its
// queue.
func (g *group) Deliver(b *conn.Batch, m *message.Message, _ []*session.Subscription) {
	m.Keep() // members may give it back
	key := share.Key{ClientID: m.ClientID, Topic: m.Topic}
	reason := message.DropQueueFull
	if m.QoS == mqtt.AtMostOnce {
		reason = message.DropSlowConsumer
	}
	var denied []*member
	for tries := 0; tries < 8; { // a member that was ready may not be any more
		g.mu.Lock()
		to, ok := g.members.Pick(key, func(m *member) (int, bool) {
			return int(m.client.load.Load()), m.client.ready.Load() && !slices.Contains(denied, m)
		})
		all := g.members.Len()
		g.mu.Unlock()
		if !ok {
			if len(denied) > 0 && len(denied) >= all {
				reason = message.DropNotAuthorized
			}
			break
		}
		d, ok := session.Merge(m, to.client.id, []*session.Subscription{to.sub.Load()})
		if !ok {
			tries++
			continue
		}
		d.Group = g
		taken, refused := to.client.offer(b, d)
		switch {
		case taken:
			return
		case refused:
			denied = append(denied, to)
		default:
			tries++
		}
	}
	g.broker.drop(reason, g.Name(), m, b.Now)
}

// isOnline reports whether a member has a connection.
func isOnline(m *member) bool { return m.client.online.Load() }

// hasOnline reports whether a member has a connection.
func (g *group) hasOnline() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.attended()
}

// attended reports whether somebody is there who could get a message. The caller holds g.mu.
func (g *group) attended() bool {
	if g.consumer != nil {
		return g.consumer.attended()
	}
	return g.members.Any(isOnline)
}

// full reports whether the queue takes nothing that is new. The caller holds g.mu.
func (g *group) full() bool {
	return len(g.queue)-g.back >= g.broker.cfg.Session.QueueMemoryMessages || g.bytes >= queueBytes
}

// push queues a record. It returns false, and the cursor stops there, if the queue is full or nobody is there who could
// get it. The caller holds g.mu.
func (g *group) push(r router.Record) bool {
	if g.full() || len(g.queue) == 0 && !g.attended() {
		g.cursor.stop(r.Position)
		g.waiting.Store(true)
		return false
	}
	g.queue = append(g.queue, queued{r.Position, r.Message})
	g.bytes += messageBytes(r.Message)
	g.cursor.next = r.Position.Next()
	return true
}

// Tail implements router.Subscriber.
func (g *group) Tail(b *conn.Batch, r router.Record, _ []*session.Subscription) {
	g.mu.Lock()
	wanted := !r.Position.Less(g.cursor.next) && g.wants(r.Message)
	pushed := wanted && g.cursor.live && g.push(r)
	if wanted && !pushed {
		g.lagsBy(r.Message)
	}
	g.mu.Unlock()
	if pushed {
		g.feed(b)
		b.AtEnd(g)
	}
}

// EndBatch implements conn.Ender: what a turn has brought is given, and what was given is committed.
func (g *group) EndBatch(b *conn.Batch) {
	g.feed(b)
	g.commit(b)
}

// Lag implements router.Reader.
func (g *group) Lag() (from message.Position, ok bool) {
	if !g.fetch() {
		return from, false
	}
	b := conn.NewBatch()
	g.EndBatch(b)
	b.Flush(g.broker.metrics)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rewound = false
	return g.cursor.next, g.lags()
}

// lags reports whether the group has to read the log, and may. The caller holds g.mu.
func (g *group) lags() bool {
	return !g.cursor.live && g.durable.Load() && !g.full() && g.attended()
}

// Read implements router.Reader.
func (g *group) Read(b *conn.Batch, blk storage.Block) bool {
	b.AtEnd(g)
	for {
		more, ok := g.readSome(blk)
		g.feed(b)
		if !more {
			return ok
		}
	}
}

// readSome queues records of a block from the group's place on. more says that the queue became full over it; ok is false
// if no more of the log is to be read now.
func (g *group) readSome(blk storage.Block) (more, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cursor.live || !g.durable.Load() || g.rewound { // it asks again
		return false, false
	}
	pushed := false
	for i := range blk.Records {
		m, pos := blk.Records[i].Message, message.Position{Block: blk.Seq, Index: uint32(i)}
		if m == nil || pos.Less(g.cursor.next) || !g.wants(m) {
			continue
		}
		if g.tooOld(m) {
			g.caughtUp(&g.lag, messageBytes(m))
			continue
		}
		if !g.push(router.Record{Position: pos, Message: m}) {
			return pushed, false
		}
		g.caughtUp(&g.lag, messageBytes(m))
		pushed = true
	}
	if end := (message.Position{Block: blk.Seq + 1}); g.cursor.next.Less(end) {
		g.cursor.next = end
	}
	return false, true
}

// Asks implements router.Asking.
func (g *group) Asks() *summary.Question { return summary.Ask(g.matched()) }

// Join implements router.Reader.
func (g *group) Join(next message.Position, begun func() uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.durable.Load() || g.rewound { // it asks again
		return true
	}
	if !g.cursor.join(next, begun) {
		return false
	}
	g.waiting.Store(len(g.queue) > 0)
	g.lag = backlog{}
	g.judge()
	if g.consumer != nil {
		g.consumer.wakeAll() // who does not wait hears that there is nothing
	}
	return true
}

// Lost implements router.Reader. What the log has forgotten, a queue's stream has taken over, unless it has a gap.
func (g *group) Lost(first message.Position) {
	if g.stream != nil && !g.stream.End().Less(first) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cursor.next.Less(g.parkedTo) { // it was parked meanwhile
		return
	}
	if !g.cursor.live && g.cursor.next.Less(first) {
		g.cursor.next = first
		g.broker.drop(message.DropLogTrimmed, g.Name(), nil, time.Now())
	}
}

// place returns where the group would read on if it were restored. The caller holds g.mu.
func (g *group) place() message.Position {
	if len(g.queue) > g.back {
		return g.queue[g.back].position
	}
	return g.cursor.place(g.broker.router.Begun())
}

// unread moves the cursor back to the first of what is new in the queue, when nobody is there who could get it. The
// caller holds g.mu.
func (g *group) unread() {
	if len(g.queue) == g.back || g.queue[g.back].position.IsZero() || g.attended() {
		return
	}
	g.cursor.stop(g.queue[g.back].position)
	g.rewound = true
	g.unqueued(g.queue[g.back:])
	clear(g.queue[g.back:])
	g.queue, g.bytes = g.queue[:g.back], 0
	g.waiting.Store(true)
}

// comeBack queues, in the order of the log, what members have not completed. The caller holds g.mu.
func (g *group) comeBack(qs []queued) {
	if len(qs) == 0 {
		return
	}
	if g.over() {
		g.broker.dropMany(message.DropGroupEnded, g.Name(), qs[0].message, time.Now(), int64(len(qs)))
		return
	}
	back := append(slices.Clone(g.queue[:g.back]), qs...)
	slices.SortStableFunc(back, func(a, b queued) int { return a.position.Compare(b.position) })
	g.queue = append(back, g.queue[g.back:]...)
	g.back = len(back)
	g.waiting.Store(true)
	g.changed()
	g.broker.router.CatchUp(g)
}

// giveBack takes messages back that are in no account, of groups that are not durable.
func (g *group) giveBack(ds []session.Delivery) {
	qs := make([]queued, 0, len(ds))
	for i := range ds {
		qs = append(qs, queued{ds[i].Position, ds[i].Message})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.comeBack(qs)
}

// returnToGroups gives back what a client that is gone was given by groups that are not durable.
func (b *Broker) returnToGroups(ds []session.Delivery) {
	for len(ds) > 0 {
		n := 1
		for n < len(ds) && ds[n].Group == ds[0].Group {
			n++
		}
		ds[0].Group.(*group).giveBack(ds[:n])
		ds = ds[n:]
	}
}
