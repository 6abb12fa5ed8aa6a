package broker

import (
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/index"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/summary"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is the side of a client that the router sees: router.Subscriber and router.Reader.

// Seq implements router.Subscriber.
func (c *client) Seq() uint64 { return c.seq }

// Overlaps implements router.Subscriber.
func (c *client) Overlaps() bool { return c.overlaps.Load() }

// Durable implements router.Subscriber.
func (c *client) Durable() bool { return c.durable.Load() }

// Deliver implements router.Subscriber.
func (c *client) Deliver(b *conn.Batch, m *message.Message, subs []*session.Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.each(&b.Tally, m, subs, func(d session.Delivery) {
		if c.link == nil {
			if !c.keep(d) {
				c.drop(message.DropOffline, d.Message, b.Now)
			}
			return
		}
		c.enqueue(b, d)
	})
}

// keep has a message without a place in the log wait for the next connection, within the limits of a queue. It reports
// false where such messages are not to wait, or do not fit. The caller holds c.mu.
func (c *client) keep(d session.Delivery) bool {
	cfg := &c.broker.conf().Session
	if !cfg.QueueQoS0 || !c.durable.Load() || len(c.kept) >= cfg.QueueMemoryMessages || c.keptLen >= queueBytes {
		return false
	}
	c.rouse()
	d.Message.Keep()
	c.kept = append(c.kept, d)
	c.keptLen += int64(len(d.Message.Topic) + len(d.Message.Payload) + len(d.Message.Properties))
	return true
}

// each calls fn for every copy of m that the client gets for the subscriptions that matched: one for all of them, or
// one each, as configured.
func (c *client) each(t *metrics.Tally, m *message.Message, subs []*session.Subscription, fn func(session.Delivery)) {
	if c.broker.cfg.MQTT.Overlap != config.OverlapEach || len(subs) == 1 {
		if d, ok := session.Merge(m, c.id, subs); ok {
			fn(d)
		} else if m.ClientID == c.id {
			t.NoLocal++
		}
		return
	}
	for i := range subs {
		if d, ok := session.Merge(m, c.id, subs[i:i+1]); ok {
			fn(d)
		} else if m.ClientID == c.id {
			t.NoLocal++
		}
	}
}

// enqueue sends a delivery at once if nothing is before it, and queues it otherwise. The caller holds c.mu.
func (c *client) enqueue(b *conn.Batch, d session.Delivery) {
	if c.link != nil && !c.mayReceive(d.Message.Topic) {
		c.drop(message.DropNotAuthorized, d.Message, b.Now)
		return
	}
	if c.replays.Len() == 0 && c.pass(b, &d) {
		return
	}
	if d.QoS == mqtt.AtMostOnce && c.broker.memory.Tight() {
		c.broker.metrics.Hit(metrics.LimitMemoryQoS0)
		c.drop(message.DropMemory, d.Message, b.Now)
		return
	}
	logged := !d.Position.IsZero() // take has seen that there is room
	if !logged && c.holdsTooMuch() || c.session.Enqueue(d) != message.NotDropped {
		reason := message.DropQueueFull
		if d.QoS == mqtt.AtMostOnce {
			reason = message.DropSlowConsumer
		}
		c.drop(reason, d.Message, b.Now)
		return
	}
	c.tellQueued(d.Message, d.QoS, b.Now, "in memory, for the client's connection")
	c.pump(b)
}

// pass sends a delivery past the empty queue of a client that keeps up. The caller holds c.mu.
func (c *client) pass(b *conn.Batch, d *session.Delivery) bool {
	if c.holds == c.link || c.broker.expired(d.Message, b.Now) {
		return false // the queue is where it is dropped, and counted
	}
	w := c.link.conn.Begin(b)
	defer w.End()
	if !w.Room() {
		return false
	}
	id, ok := c.session.Pass(d)
	if ok {
		c.write(w, d, id, c.repeats(d))
		c.load.Store(int32(c.session.InFlight()))
		c.noteMemory()
	}
	return ok
}

// offer gives a member of a shared group a message. It reports whether the member took it, and if not, whether it may
// not have it.
func (c *client) offer(b *conn.Batch, d session.Delivery) (taken, denied bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil && !c.mayReceive(d.Message.Topic) {
		return false, true
	}
	if c.link == nil || c.session.Enqueue(d) != message.NotDropped {
		c.ready.Store(false)
		return false, false
	}
	c.pump(b)
	return true, false
}

// Tail implements router.Subscriber.
func (c *client) Tail(b *conn.Batch, r router.Record, subs []*session.Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Position.Less(c.cursor.next):
	case !c.cursor.live:
		c.lags(r.Message)
	case !c.take(b, r, subs):
		c.lags(r.Message)
	}
}

// take queues a record's copies and moves the cursor past it. Without room for them the cursor stops there, and take
// returns false. The caller holds c.mu.
func (c *client) take(b *conn.Batch, r router.Record, subs []*session.Subscription) bool {
	if c.session.Room() < len(subs) && c.session.Queued() > 0 || c.holdsTooMuch() {
		c.cursor.stop(r.Position)
		return false
	}
	c.cursor.next = r.Position.Next()
	old := !c.cursor.live && c.broker.tooOld(r.Message, b.Now)
	c.each(&b.Tally, r.Message, subs, func(d session.Delivery) {
		if d.QoS == mqtt.AtMostOnce {
			return // it went, or was dropped, when it was published
		}
		if old {
			c.drop(message.DropQueueAge, r.Message, b.Now)
			return
		}
		d.Position = r.Position
		c.enqueue(b, d)
	})
	return true
}

// Lag implements router.Reader.
func (c *client) Lag() (from message.Position, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursor.moved = false // a new turn
	ok = c.link != nil && c.durable.Load() && !c.cursor.live && c.session.Room() > 0
	return c.logNext(), ok
}

// Read implements router.Reader.
func (c *client) Read(b *conn.Batch, blk storage.Block) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || c.cursor.live || c.cursor.moved {
		return false
	}
	match := c.matcher()
	var subs []*session.Subscription
	for i, rec := range blk.Records {
		pos := message.Position{Block: blk.Seq, Index: uint32(i)}
		if rec.Message == nil || pos.Less(c.cursor.next) {
			continue
		}
		if subs = match(subs[:0], rec.Message.Topic, pos); len(subs) == 0 {
			continue
		}
		if !c.take(b, router.Record{Position: pos, Message: rec.Message}, subs) {
			return false
		}
		c.broker.metrics.CatchUp.Observe(b.Now.Sub(rec.Message.PublishedAt))
		c.lag.take(messageBytes(rec.Message))
		if c.full.Load() {
			c.judge()
		}
	}
	if end := (message.Position{Block: blk.Seq + 1}); c.cursor.next.Less(end) {
		c.cursor.next = end
	}
	return true
}

// naiveMatches is up to how many subscriptions are compared one by one when the log is read.
const naiveMatches = 8

// matcher returns a function that finds the client's own subscriptions that match a topic at a position of the log. The
// caller holds c.mu.
func (c *client) matcher() func(dst []*session.Subscription, topic string, pos message.Position) []*session.Subscription {
	if c.subs.len() <= naiveMatches {
		return func(dst []*session.Subscription, topic string, pos message.Position) []*session.Subscription {
			for _, s := range c.subs.all() {
				if s.routed() && mqtt.MatchTopic(s.filter, topic) {
					if v := s.versions().At(pos); v != nil {
						dst = append(dst, v)
					}
				}
			}
			return dst
		}
	}
	x := c.lookup
	if x == nil {
		x = index.New[*subscription]()
		for _, s := range c.subs.all() {
			if s.routed() {
				x.Add(s.filter, s)
			}
		}
		c.lookup = x
	}
	var found []*subscription
	return func(dst []*session.Subscription, topic string, pos message.Position) []*session.Subscription {
		found = x.Match(topic, found[:0])
		for _, s := range found {
			if v := s.versions().At(pos); v != nil {
				dst = append(dst, v)
			}
		}
		return dst
	}
}

// Asks implements router.Asking.
func (c *client) Asks() *summary.Question {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asks == nil && c.link != nil {
		c.asks = summary.Ask(c.filters(nil))
	}
	return c.asks
}

// filters appends the filters by which the client reads the log. The caller holds c.mu.
func (c *client) filters(dst []string) []string {
	for _, s := range c.subs.all() {
		if s.routed() && len(dst) <= summary.FiltersMax {
			dst = append(dst, s.filter)
		}
	}
	return dst
}

// Join implements router.Reader.
func (c *client) Join(next message.Position, begun func() uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return true
	}
	if !c.cursor.join(next, begun) {
		return false
	}
	c.resubscribed()
	c.lag = backlog{}
	c.judge()
	c.prune()
	return true
}

// Lost implements router.Reader.
func (c *client) Lost(first message.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cursor.live && !c.cursor.moved && c.cursor.next.Less(first) {
		c.cursor.next = first
		c.drop(message.DropLogTrimmed, nil, time.Now())
	}
}
