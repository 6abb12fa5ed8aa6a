package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// Parking lets the log forget what only sessions without a connection still wait for. One pass over the log copies, for
// each of them, what it is to get: the deliveries one by one, a body once for all. Then the session's place moves to where
// the pass ended, and what is before it is parked: it is read from there when the session comes back. So a session
// that sleeps holds its own messages, not everybody's.
//
// A parked message counts only if it lies before the session's kept place: what a crash leaves of an unfinished pass
// is not read, and the next pass writes over it.

// parkBytes is the size of the log beyond which sleeping sessions are parked.
const parkBytes = 64 << 20

// parkUnitOps is how many parked messages are committed at a time.
const parkUnitOps = 2000

// parking is one session's part of a pass.
type parking struct {
	from  message.Position // where it stood
	epoch uint64
	count int64
}

// pass is one pass over the log.
type pass struct {
	b    *Broker
	to   message.Position
	lags map[*client]*parking
	ops  []storage.Op
}

// maybePark starts a pass if the log is large and sessions without a connection hold it.
func (b *Broker) maybePark(logBytes int64) {
	if !b.keeps || logBytes < b.parkBytes || !b.parking.CompareAndSwap(false, true) {
		return
	}
	b.work(func() {
		defer b.parking.Store(false)
		if err := b.park(); err != nil && b.ctx.Err() == nil {
			b.log.Error("sleeping sessions were not parked", "error", err)
		}
	})
}

// park parks all sleeping sessions, and forgets bodies that nobody waits for any more.
func (b *Broker) park() error {
	p := &pass{b: b, to: message.Position{Block: b.router.Begun()}, lags: make(map[*client]*parking)}
	from := p.to
	for _, c := range b.registry.all() {
		if l := c.parkable(p.to); l != nil {
			p.lags[c] = l
			if l.from.Less(from) {
				from = l.from
			}
		}
	}
	if len(p.lags) == 0 {
		return nil
	}
	if err := p.copy(from); err != nil {
		return err
	}
	for c, l := range p.lags {
		if err := p.finish(c, l); err != nil {
			return err
		}
	}
	return errors.Join(p.flush(), b.sweepBodies())
}

// parkable returns the session's part of a pass up to a place; nil: it has none.
func (c *client) parkable(to message.Position) *parking {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := c.cursor.next
	if c.link != nil || c.leaving != nil || c.ended || !c.durable.Load() || !from.Less(to) {
		return nil
	}
	return &parking{from: from, epoch: c.epoch}
}

// copy reads the log from a place to the pass's end and parks what is in it.
func (p *pass) copy(from message.Position) error {
	batch := conn.NewBatch()
	for from.Less(p.to) {
		blocks, next, err := p.b.engine.Read(p.b.ctx, 0, from, 1<<20)
		var trimmed *storage.TrimmedError
		switch {
		case errors.As(err, &trimmed):
			from = trimmed.First
			continue
		case err != nil:
			return fmt.Errorf("reading the log: %w", err)
		case len(blocks) == 0:
			return nil
		}
		for _, blk := range blocks {
			if blk.Seq < p.to.Block {
				p.copyBlock(batch, blk)
			}
		}
		if err := p.flush(); err != nil {
			return err
		}
		from = next
	}
	return nil
}

func (p *pass) copyBlock(batch *conn.Batch, blk storage.Block) {
	for i, rec := range blk.Records {
		pos := message.Position{Block: blk.Seq, Index: uint32(i)}
		if p.b.expired(rec.Message, batch.Now) {
			continue
		}
		parked := false
		p.b.router.Targets(rec.Message.Topic, pos, func(to router.Subscriber, subs []*session.Subscription) {
			c, ok := to.(*client)
			l := p.lags[c]
			if !ok || l == nil || pos.Less(l.from) {
				return
			}
			ordinal := uint8(0)
			c.each(rec.Message, subs, func(d session.Delivery) {
				if d.QoS == mqtt.AtMostOnce {
					return
				}
				d.Position = pos
				m := &state.ParkedMessage{Delivery: flightOf(session.InFlight{Delivery: d}), Ordinal: ordinal, Bytes: delayedSize(rec.Message)}
				p.ops = append(p.ops, state.PutParked(c.owner(), m))
				ordinal++
				l.count++
				parked = true
			})
		})
		if parked {
			p.ops = append(p.ops, state.PutBody(pos, rec.Message))
		}
	}
}

// flush commits what was gathered, in units that are not too large, and waits for it.
func (p *pass) flush() error {
	for len(p.ops) > 0 {
		n := min(len(p.ops), parkUnitOps)
		if err := p.b.commitOps(p.ops[:n]); err != nil {
			return err
		}
		p.ops = p.ops[n:]
	}
	p.ops = nil
	return nil
}

// commitOps commits ops and waits for that, or for the broker's end. It is for workers.
func (b *Broker) commitOps(ops []storage.Op) error {
	done := make(chan error, 1)
	if err := b.submit(storage.Unit{Ops: ops}, func(_ message.Position, err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

// finish moves a session's place to the end of the pass, unless it was resumed meanwhile: then it reads the log itself.
func (p *pass) finish(c *client, l *parking) error {
	if err := p.keepBodies(c); err != nil {
		return err
	}
	c.mu.Lock()
	if c.link != nil || c.epoch != l.epoch || c.ended || c.cursor.next != l.from {
		c.mu.Unlock()
		return nil
	}
	c.cursor.next = p.to
	c.parkedTo = p.to
	c.parked = c.parked || l.count > 0
	if c.asleep != nil {
		c.asleep.Next = p.to
	}
	ops, kept := c.snapshotOps()
	c.mu.Unlock()
	err := p.b.commitOps(ops)
	kept.settle(err)
	if err != nil {
		return err
	}
	return p.b.capParked(c)
}

// keepBodies keeps the messages that a session has in flight, whose place in the log goes as well.
func (p *pass) keepBodies(c *client) error {
	c.mu.Lock()
	asleep := c.asleep
	if asleep == nil {
		for f := range c.session.InFlightDeliveries() {
			if pos := f.Delivery.Position; !pos.IsZero() && !f.Released {
				p.ops = append(p.ops, state.PutBody(pos, f.Delivery.Message))
			}
		}
	}
	c.mu.Unlock()
	if asleep == nil {
		return nil
	}
	var blk storage.Block
	for i := range asleep.Flights {
		f := &asleep.Flights[i]
		if f.Position.IsZero() || f.Released {
			continue
		}
		x, err := p.b.flight(f, &blk)
		if err != nil {
			return err
		}
		if x.Delivery.Message != nil {
			p.ops = append(p.ops, state.PutBody(f.Position, x.Delivery.Message))
		}
	}
	return p.flush()
}

// capParked drops the oldest parked messages of a session that has more than it may.
func (b *Broker) capParked(c *client) error {
	maxN, maxBytes := b.cfg.Session.QueueMaxMessages, b.cfg.Session.QueueMaxBytes
	if maxN == 0 && maxBytes == 0 {
		return nil
	}
	type entry struct {
		key   []byte
		bytes int64
	}
	var all []entry
	var bytes int64
	for kv, err := range b.engine.Scan(b.ctx, state.Of(state.Parked, c.id, c.incarnation)) {
		if err != nil {
			return err
		}
		_, m, err := state.DecodeParked(kv)
		if err != nil {
			return err
		}
		all = append(all, entry{kv.Key, m.Bytes})
		bytes += m.Bytes
	}
	var drop []storage.Op
	for n := int64(len(all)); n > 0 && (maxN > 0 && n > maxN || maxBytes > 0 && bytes > maxBytes); n-- {
		oldest := all[len(drop)]
		bytes -= oldest.bytes
		drop = append(drop, state.Delete(oldest.key))
	}
	b.metrics.Drop(message.DropQueueFull, int64(len(drop)))
	for len(drop) > 0 {
		n := min(len(drop), parkUnitOps)
		if err := b.commitOps(drop[:n]); err != nil {
			return err
		}
		drop = drop[n:]
	}
	return nil
}

// sweepBodies forgets bodies that no parked message and nothing in flight refers to.
func (b *Broker) sweepBodies() error {
	used := make(map[message.Position]struct{})
	for _, c := range b.registry.all() {
		c.usedBodies(used)
	}
	for kv, err := range b.engine.Scan(b.ctx, state.Parked) {
		if err != nil {
			return err
		}
		if _, m, err := state.DecodeParked(kv); err == nil {
			used[m.Delivery.Position] = struct{}{}
		}
	}
	var ops []storage.Op
	for kv, err := range b.engine.Scan(b.ctx, state.Bodies) {
		if err != nil {
			return err
		}
		pos, _, err := state.DecodeBody(kv)
		if _, ok := used[pos]; err == nil && !ok {
			ops = append(ops, state.Delete(kv.Key))
		}
	}
	for len(ops) > 0 {
		n := min(len(ops), parkUnitOps)
		if err := b.commitOps(ops[:n]); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// usedBodies adds the places of what the session has under way.
func (c *client) usedBodies(used map[message.Position]struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.session.InFlightDeliveries() {
		used[f.Delivery.Position] = struct{}{}
	}
	if c.asleep != nil {
		for i := range c.asleep.Flights {
			used[c.asleep.Flights[i].Position] = struct{}{}
		}
	}
	for _, p := range c.taken {
		used[p.Delivery.Position] = struct{}{}
	}
}

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
	c.dirtied()
	if body == nil {
		c.broker.metrics.Drop(message.DropLogTrimmed, 1)
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
			c.taken = c.taken[:i]
			c.parked, c.parkedNext = true, placeOf(p)
			return
		}
	}
}
