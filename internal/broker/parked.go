package broker

import (
	"context"
	"errors"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

// This file is how sessions read what was parked for them. A session's place may lie before parkedTo: from there on it
// reads what was parked, up to parkedTo, and then the log. What is parked before its place is past, and what is parked from
// parkedTo on belongs to a pass that is not finished: neither is read, in this life or the next, and the sweep removes it.

// logNext is the first place of the log that the session has not read. The caller holds c.mu.
func (c *client) logNext() message.Position {
	return later(c.cursor.next, c.parkedTo)
}

func later(x, y message.Position) message.Position {
	if x.Less(y) {
		return y
	}
	return x
}

// parked reports whether parked messages may wait for the session. The caller holds c.mu.
func (c *client) parked() bool { return c.cursor.next.Less(c.parkedTo) }

// parkedCopies are the deliveries of one parked message to one session.
type parkedCopies struct {
	pos message.Position
	all []*state.ParkedMessage
}

// ReadParked implements router.Parked: it queues parked messages as far as there is room, and reports whether none is
// left.
func (c *client) ReadParked(ctx context.Context, b *conn.Batch) bool {
	c.mu.Lock()
	from, to, epoch := c.cursor.next, c.parkedTo, c.epoch
	c.mu.Unlock()
	if !from.Less(to) {
		return true
	}
	var copies parkedCopies
	for kv, err := range c.broker.engine.ScanFrom(ctx, state.Of(state.Parked, c.id, c.incarnation), state.ParkedKey(c.owner(), from)) {
		if err != nil {
			return false
		}
		_, m, err := state.DecodeParked(kv)
		if err != nil {
			c.broker.log.Error("parked message not read", "client", c.id, "error", err)
			continue
		}
		pos := m.Delivery.Position
		if !pos.Less(to) {
			break
		}
		if pos != copies.pos && !c.takeParked(ctx, b, epoch, &copies) {
			return false
		}
		copies.pos, copies.all = pos, append(copies.all, m)
	}
	if !c.takeParked(ctx, b, epoch, &copies) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || c.epoch != epoch || c.cursor.moved {
		return false
	}
	c.cursor.next, c.shelf = to, backlog{} // nothing was parked since: that moves the place
	c.dirtied()
	return true
}

// body reads the body of a parked message; nil: it is gone.
func (b *Broker) body(ctx context.Context, pos message.Position) (*message.Message, error) {
	key := state.BodyKey(pos)
	value, err := b.engine.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, m, err := state.DecodeBody(storage.KV{Key: key, Value: value})
	return m, err
}

// takeParked queues a parked message's copies and moves the session's place past it. It returns false if the session takes
// no more, or is not the one that asked.
func (c *client) takeParked(ctx context.Context, b *conn.Batch, epoch uint64, copies *parkedCopies) bool {
	if len(copies.all) == 0 {
		return true
	}
	body, err := c.broker.body(ctx, copies.pos)
	if err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	room := c.session.Room()
	if c.link == nil || c.epoch != epoch || c.cursor.moved || room == 0 || room < len(copies.all) && c.session.Queued() > 0 || c.holdsTooMuch() {
		return false
	}
	c.cursor.next = copies.pos.Next()
	c.broker.upkeep.unswept.Store(true)
	c.dirtied()
	for _, m := range copies.all {
		c.shelf.take(m.Bytes)
		switch d := &m.Delivery; {
		case body == nil:
			c.drop(message.DropLogTrimmed, nil, b.Now)
		case c.broker.tooOld(body, b.Now):
			c.drop(message.DropQueueAge, body, b.Now)
		default:
			c.enqueue(b, session.Delivery{Message: body, QoS: d.QoS, Retain: d.Retain, SubscriptionIDs: d.SubscriptionIDs, Position: d.Position})
		}
	}
	copies.all = copies.all[:0]
	if c.full.Load() {
		c.judge()
	}
	return true
}
