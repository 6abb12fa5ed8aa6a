package broker

import (
	"context"
	"errors"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// PendingMessage is a message on its way to one client.
type PendingMessage struct {
	Message  *message.Message // shared, and not to be changed
	QoS      mqtt.QoS
	PacketID uint16 // 0: it waits
	Released bool   // QoS 2: the client has it, and PUBREL is what is left
}

// InFlightOf lists what was sent to a client and is not acknowledged, in the order of its first transmission. What a session has that was
// not resumed since the broker's start is not listed.
func (b *Broker) InFlightOf(id string) ([]PendingMessage, error) {
	c := b.registry.get(id)
	if c == nil {
		return nil, ErrNoClient
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []PendingMessage
	for f := range c.session.InFlightDeliveries() {
		list = appendPending(list, &f.Delivery, f.PacketID, f.Released)
	}
	return list, nil
}

func appendPending(list []PendingMessage, d *session.Delivery, id uint16, released bool) []PendingMessage {
	if d.Message == nil {
		return list
	}
	d.Message.Keep() // it is shown after the lock is gone
	return append(list, PendingMessage{d.Message, d.QoS, id, released})
}

// QueuedFor lists what waits for a client, in order, up to a number: what its session has in memory, and then what the log has
// for it, as far as a budget of bytes to read goes. more says that there may be others. What was parked is not listed.
func (b *Broker) QueuedFor(ctx context.Context, id string, most int) (list []PendingMessage, more bool, err error) {
	c := b.registry.get(id)
	if c == nil {
		return nil, false, ErrNoClient
	}
	c.mu.Lock()
	for d := range c.session.QueuedDeliveries() {
		list = appendPending(list, d, 0, false)
	}
	for i := range c.kept {
		list = appendPending(list, &c.kept[i], 0, false)
	}
	behind, from, parked := c.durable.Load() && !c.cursor.live, c.logNext(), c.parked()
	c.mu.Unlock()
	if behind && len(list) <= most {
		if list, more, err = c.readLog(ctx, list, from, most); err != nil {
			return nil, false, err
		}
	}
	if len(list) > most {
		list, more = list[:most], true
	}
	return list, more || parked, nil
}

// readLog appends what the log has for the client from a place on, until there are more than a number.
func (c *client) readLog(ctx context.Context, list []PendingMessage, from message.Position, most int) (_ []PendingMessage, more bool, err error) {
	for left := int64(lagBytes); left > 0 && len(list) <= most; {
		blocks, next, err := c.broker.engine.Read(ctx, 0, from, lagReadBytes)
		var trimmed *storage.TrimmedError
		switch {
		case errors.As(err, &trimmed) && from.Less(trimmed.First):
			from = trimmed.First
			continue
		case err != nil:
			return nil, false, err
		case len(blocks) == 0:
			return list, false, nil
		}
		for i := range blocks {
			left -= 64
			for k := range blocks[i].Records {
				if m := blocks[i].Records[k].Message; m != nil {
					left -= messageBytes(m)
				}
			}
		}
		list = c.appendMatches(list, blocks, from)
		from = next
	}
	return list, true, nil
}

// appendMatches appends the messages of blocks that are the client's, from a place on.
func (c *client) appendMatches(list []PendingMessage, blocks []storage.Block, from message.Position) []PendingMessage {
	now := c.broker.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rouse() // the matcher may keep what it made
	match := c.matcher()
	var subs []*session.Subscription
	for i := range blocks {
		for k := range blocks[i].Records {
			m, pos := blocks[i].Records[k].Message, message.Position{Block: blocks[i].Seq, Index: uint32(k)}
			if m == nil || pos.Less(from) || m.Expired(now) {
				continue
			}
			if subs = match(subs[:0], m.Topic, pos); len(subs) == 0 {
				continue
			}
			if d, ok := session.Merge(m, c.id, subs); ok && d.QoS > mqtt.AtMostOnce {
				list = append(list, PendingMessage{Message: m, QoS: d.QoS})
			}
		}
	}
	c.doze()
	return list
}
