package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/internal/summary"
	"github.com/barid-mqtt/barid/mqtt"
)

// What a follower may have waiting in its client's queue, so that a history does not push out what comes now.
const (
	followQueue      = 256
	followQueueBytes = 1 << 20
)

// followTurn is how many records of a stream's store a follower reads before others have their turn.
const followTurn = 1000

// follower is a subscription to a stream, $stream/<name>: a reader of its own, with a place of its own in the stream's
// store and in the log. It stands still while its client is away or has enough to do, and holds nothing meanwhile.
type follower struct {
	// Static after construction.
	client *client
	stream *stream.Stream
	seq    uint64
	key    string // of the subscription
	filter string // of the stream's messages, those that match it; "": all

	sub atomic.Pointer[session.Subscription]

	// Guarded by client.mu.
	routed router.Place
	cursor cursor
	since  time.Time // not zero: the cursor is to go to the first message that was published then
	begun  bool      // the subscription is committed
	ended  bool
}

// newFollower makes a follower that the router knows, and that does not read yet. The caller holds c.mu.
func (c *client) newFollower(st *stream.Stream, key, filter string, version *session.Subscription) *follower {
	f := &follower{client: c, stream: st, seq: c.broker.seq.Add(1), key: key, filter: filter}
	f.sub.Store(version)
	f.enter()
	c.rouse()
	c.followers = append(c.followers, f)
	return f
}

// enter puts the follower where the router finds it: by its own filter, or those of the stream.
func (f *follower) enter() {
	f.routed.Enter(f.client.broker.router, f, f.filters(), message.Position{}, func(v *session.Subscription) { v.Follows = true })
}

// filters are the follower's own, or those of the stream.
func (f *follower) filters() []string {
	if f.filter == "" {
		return f.stream.Config().Filters
	}
	return []string{f.filter}
}

// close ends the follower. The caller holds the client's lock.
func (f *follower) close() {
	f.ended = true
	f.routed.Leave(f.client.broker.router)
	for i, other := range f.client.followers {
		if other == f {
			f.client.followers = append(f.client.followers[:i:i], f.client.followers[i+1:]...)
		}
	}
}

// start moves the follower to where a SUBSCRIBE said, once that is committed at pos. A nil offset leaves it where it is.
// The caller holds the client's lock.
func (f *follower) start(o *stream.Offset, pos message.Position) {
	if o != nil {
		f.cursor = cursor{next: o.Place(pos), moved: true}
		f.since = o.Since
	}
	f.begun = true
}

// Seq implements router.Subscriber.
func (f *follower) Seq() uint64 { return f.seq }

// Overlaps implements router.Subscriber.
func (f *follower) Overlaps() bool { return true }

// Durable implements router.Subscriber: what it gets comes through the log.
func (f *follower) Durable() bool { return true }

// Deliver implements router.Subscriber. It is not called, since all comes through the log.
func (f *follower) Deliver(*conn.Batch, *message.Message, []*session.Subscription) {}

// Tail implements router.Subscriber.
func (f *follower) Tail(b *conn.Batch, r router.Record, _ []*session.Subscription) {
	f.client.mu.Lock()
	defer f.client.mu.Unlock()
	if f.cursor.live && !f.ended && !r.Position.Less(f.cursor.next) && f.wants(r.Message.Topic) {
		f.take(b, r)
	}
}

// wants reports whether a topic belongs to what the follower reads.
func (f *follower) wants(topic string) bool {
	return (f.filter == "" || mqtt.MatchTopic(f.filter, topic)) && f.stream.Matches(topic)
}

// room reports whether the client can take a message of the follower. The caller holds the client's lock.
func (f *follower) room() bool {
	c := f.client
	return c.link != nil && c.session.Assignable() && c.session.Room() > 0 && c.session.QueuedBytes() < followQueueBytes &&
		c.session.Queued() < min(followQueue, max(1, c.broker.cfg.Session.QueueMemoryMessages/4))
}

// take gives the client a record and moves the cursor past it. Without room the cursor stops there, and take returns
// false. The caller holds the client's lock.
func (f *follower) take(b *conn.Batch, r router.Record) bool {
	c := f.client
	if !f.room() {
		f.cursor.stop(r.Position)
		return false
	}
	f.cursor.next = r.Position.Next()
	c.dirtied()
	d, ok := session.Merge(r.Message, c.id, []*session.Subscription{f.sub.Load()})
	if !ok {
		return true // it was published by the client itself, or the subscription has just ended
	}
	d.Group, d.Position = f, r.Position
	if d.QoS > mqtt.AtMostOnce {
		return f.give(b, d)
	}
	c.enqueue(b, d)
	return true
}

// give puts a delivery in flight. Where a follower is among the client's other deliveries does not follow from the log, so
// its identifiers are those that are kept for such, and the others come back the same after a crash. QoS 2 is
// kept before it is sent, or another message might get its identifier then. The caller holds the client's lock.
func (f *follower) give(b *conn.Batch, d session.Delivery) bool {
	c := f.client
	id, ok := c.session.Assign(&d)
	if !ok {
		f.cursor.stop(d.Position)
		return false
	}
	if d.QoS == mqtt.ExactlyOnce && c.broker.keeps && c.durable.Load() {
		c.given = append(c.given, send{client: c, link: c.link, id: id, delivery: d})
		c.keepGiven()
		return true
	}
	c.session.Kept(id, &d)
	c.pump(b)
	return true
}

// keepGiven has the state kept that has what followers gave, and sends it after that: one commit for all that came since
// the last. The caller holds c.mu.
func (c *client) keepGiven() {
	if c.giving || len(c.given) == 0 || c.link == nil {
		return
	}
	l, sends := c.link, c.given
	c.given, c.giving = nil, true
	err := c.submitState(nil, func(_ message.Position, err error) {
		b := conn.NewBatch()
		b.Now = time.Now()
		if err != nil {
			l.conn.Close(mqtt.ServerUnavailable, "")
		} else {
			c.sendKept(b, sends)
		}
		c.mu.Lock()
		c.giving = false
		c.keepGiven()
		c.mu.Unlock()
		b.Flush(c.broker.metrics)
	})
	if err != nil {
		c.giving = false
		l.conn.Close(mqtt.ServerBusy, "the server is busy")
	}
}

// Lag implements router.Reader.
func (f *follower) Lag() (from message.Position, ok bool) {
	f.client.mu.Lock()
	defer f.client.mu.Unlock()
	f.cursor.moved = false // a new turn
	return f.cursor.next, f.begun && !f.ended && !f.cursor.live && f.room()
}

// ReadParked implements router.Parked: it offers what the stream's store has before the log.
func (f *follower) ReadParked(ctx context.Context, b *conn.Batch) bool {
	c := f.client
	c.mu.Lock()
	from, since := f.cursor.next, f.since
	c.mu.Unlock()
	if !since.IsZero() {
		f.seek(ctx, since)
		return false
	}
	if !from.Less(f.stream.End()) {
		return true
	}
	n := 0
	next, err := f.stream.Kept(ctx, from, func(r router.Record) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		n++
		return f.reads() && n <= followTurn && (!f.wants(r.Message.Topic) || f.take(b, r))
	})
	if err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.reads() && f.cursor.next.Less(next) {
		f.cursor.next = next
		c.dirtied()
	}
	c.broker.router.CatchUp(f) // for the rest, if there is room
	return false
}

// reads reports whether the turn goes on. The caller holds the client's lock.
func (f *follower) reads() bool {
	return f.client.link != nil && !f.ended && !f.cursor.live && !f.cursor.moved
}

// seek finds the place that belongs to a time.
func (f *follower) seek(ctx context.Context, since time.Time) {
	at, err := f.stream.Locate(ctx, since)
	if err != nil {
		return
	}
	c := f.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.since.Equal(since) && !f.cursor.moved {
		f.since, f.cursor.next = time.Time{}, at
		c.dirtied()
		c.broker.router.CatchUp(f)
	}
}

// Read implements router.Reader.
func (f *follower) Read(b *conn.Batch, blk storage.Block) bool {
	f.client.mu.Lock()
	defer f.client.mu.Unlock()
	if !f.reads() {
		return false
	}
	for i, rec := range blk.Records {
		pos := message.Position{Block: blk.Seq, Index: uint32(i)}
		if rec.Message == nil || pos.Less(f.cursor.next) || !f.wants(rec.Message.Topic) || !f.stream.Shows(rec.Message, b.Now) {
			continue
		}
		if !f.take(b, router.Record{Position: pos, Message: rec.Message}) {
			return false
		}
	}
	if end := (message.Position{Block: blk.Seq + 1}); f.cursor.next.Less(end) {
		f.cursor.next = end
	}
	return true
}

// Asks implements router.Asking.
func (f *follower) Asks() *summary.Question { return summary.Ask(f.filters()) }

// Join implements router.Reader.
func (f *follower) Join(next message.Position, begun func() uint64) bool {
	f.client.mu.Lock()
	defer f.client.mu.Unlock()
	if f.client.link == nil || f.ended {
		return true
	}
	return f.cursor.join(next, begun)
}

// Lost implements router.Reader. What the log has forgotten, the stream's store has, unless the stream has a gap.
func (f *follower) Lost(first message.Position) {
	end := f.stream.End()
	f.client.mu.Lock()
	defer f.client.mu.Unlock()
	if !f.cursor.live && f.cursor.next.Less(first) && end.Less(first) {
		f.cursor.next = first
		f.client.drop(message.DropLogTrimmed, nil, time.Now())
	}
}

// cursorOp keeps where the follower would read on if it were restored. The caller holds the client's lock.
func (f *follower) cursorOp() storage.Op {
	pos := f.cursor.place(f.client.broker.router.Begun())
	if first, ok := f.client.session.OldestOf(f); ok && first.Less(pos) {
		pos = first
	}
	return state.PutStreamCursor(f.client.owner(), f.key, state.StreamCursor{Next: pos, Since: f.since})
}

// followersWantMore asks for a turn for each follower that is behind and has room. The caller holds c.mu.
func (c *client) followersWantMore() {
	for _, f := range c.followers {
		if f.begun && !f.cursor.live && f.room() && c.windowOpen() {
			c.broker.router.CatchUp(f)
		}
	}
}

// followersLeave takes the followers out of the tail, since the client has no connection any more, and moves them back to
// what they gave it and was not sent. The caller holds c.mu.
func (c *client) followersLeave() {
	for _, f := range c.followers {
		f.cursor.leave(c.broker.router.Begun())
	}
	for _, x := range c.session.TakeUnsent(followed) {
		x.Delivery.Group.(*follower).cursor.rewind(x.Delivery.Position)
	}
	c.given = nil
}

// followed reports whether a delivery was read from a stream.
func followed(d session.Delivery) bool {
	_, ok := d.Group.(*follower)
	return ok
}

// windowOpen reports whether a quarter of the window is free, so that it is worth reading for. The caller holds c.mu.
func (c *client) windowOpen() bool {
	window := min(c.broker.cfg.Session.InFlightMax, int(c.link.receiveMaximum))
	return window-c.session.InFlight() >= max(1, window/4)
}
