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

// This file is how sessions read what was parked for them.

// ReadParked implements router.Parked: it queues parked messages as far as there is room, and reports whether none is
// left.
func (c *client) ReadParked(ctx context.Context, b *conn.Batch) bool {
	c.mu.Lock()
	parked, epoch, next := c.parked, c.epoch, c.parkedNext
	c.mu.Unlock()
	if !parked {
		return true
	}
	for kv, err := range c.broker.engine.Scan(ctx, state.Of(state.Parked, c.id, c.incarnation)) {
		if err != nil {
			return false
		}
		_, m, err := state.DecodeParked(kv)
		if err != nil {
			c.broker.log.Error("parked message not read", "client", c.id, "error", err)
			continue
		}
		if placeOf(m).before(next) { // taken, and not yet forgotten by the store
			continue
		}
		body, err := c.broker.body(ctx, m.Delivery.Position)
		if err != nil {
			return false
		}
		if !c.takeParked(b, epoch, m, body) {
			return false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || c.epoch != epoch {
		return false
	}
	c.parked = false
	c.recall()
	c.shelf = backlog{}
	return true
}

// parkedPlace is a place among a session's parked messages.
type parkedPlace struct {
	pos     message.Position
	ordinal int
}

func placeOf(m *state.ParkedMessage) parkedPlace {
	return parkedPlace{m.Delivery.Position, int(m.Ordinal)}
}

func (p parkedPlace) before(q parkedPlace) bool {
	if c := p.pos.Compare(q.pos); c != 0 {
		return c < 0
	}
	return p.ordinal < q.ordinal
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

// takeParked queues one parked message. It returns false if the session takes no more, or is not the one that asked.
func (c *client) takeParked(b *conn.Batch, epoch uint64, m *state.ParkedMessage, body *message.Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || c.epoch != epoch || c.session.Room() == 0 {
		return false
	}
	c.taken = append(c.taken, m)
	c.parkedNext = parkedPlace{m.Delivery.Position, int(m.Ordinal) + 1}
	c.recall()
	c.shelf.take(m.Bytes)
	c.dirtied()
	if body == nil {
		c.drop(message.DropLogTrimmed, nil, b.Now)
		return true
	}
	if c.broker.tooOld(body, b.Now) {
		c.drop(message.DropQueueAge, body, b.Now)
		return true
	}
	d := &m.Delivery
	c.enqueue(b, session.Delivery{Message: body, QoS: d.QoS, Retain: d.Retain, SubscriptionIDs: d.SubscriptionIDs, Position: d.Position})
	return true
}

// untake gives a parked message back that was taken and not sent. The caller holds c.mu.
func (c *client) untake(pos message.Position) {
	for i, p := range c.taken {
		if !p.Delivery.Position.Less(pos) {
			for _, back := range c.taken[i:] {
				c.shelf.put(back.Bytes)
			}
			c.taken = c.taken[:i]
			c.parked, c.parkedNext = true, placeOf(p)
			return
		}
	}
}
