package broker

import (
	"context"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

// This file is what requests do with a consumer: take, acknowledge, give back.

// settleWait is how long a request that does not want to wait does so for a consumer that is still reading the log.
const settleWait = 2 * time.Second

// Poll gives out up to max messages of a consumer, of so many bytes but at least one, and waits for the first of them. What it
// returns is kept as given out. Whoever gets it acknowledges it, gives it back with Return, or has its lease run out.
func (b *Broker) Poll(ctx context.Context, name string, max, maxBytes int, wait time.Duration) ([]Leased, error) {
	c := b.consumers.get(name)
	if c == nil {
		return nil, ErrNoConsumer
	}
	if !b.consumers.enter() {
		b.metrics.Hit(metrics.LimitConsumerWaiting)
		return nil, ErrTooManyWaiting
	}
	defer b.consumers.leave()
	for end := time.Now().Add(wait); ; {
		batch, err := c.next(ctx, max, maxBytes, end)
		if err != nil || len(batch) == 0 {
			return nil, err
		}
		if batch, err = c.complete(ctx, batch, maxBytes); err != nil || len(batch) > 0 {
			return batch, err
		}
	}
}

func (cs *consumers) enter() bool {
	if cs.waiting == nil {
		return true
	}
	select {
	case cs.waiting <- struct{}{}:
		return true
	default:
		return false
	}
}

func (cs *consumers) leave() {
	if cs.waiting != nil {
		<-cs.waiting
	}
}

// next waits until there is something to take or the time is over, and takes it.
func (c *consumer) next(ctx context.Context, max, maxBytes int, end time.Time) (batch []Leased, err error) {
	g, p := c.group, &poller{wake: make(chan struct{}, 1)}
	patience := time.Now().Add(settleWait)
	g.mu.Lock()
	defer g.mu.Unlock()
	defer func() {
		if len(batch) == 0 && c.available() { // it may have been woken for that, and another is to take it
			c.wakeOne()
		}
	}()
	for {
		if c.ended {
			return nil, ErrNoConsumer
		}
		c.doc.Used, c.polledAt = c.broker.clock.Now(), time.Now()
		if batch = c.take(max, maxBytes); len(batch) > 0 {
			return c.taken(ctx, batch)
		}
		now := time.Now()
		left := end.Sub(now)
		if settled := g.cursor.live || g.full() || c.blocked(); !settled {
			left = maxDuration(left, patience.Sub(now))
		}
		if left <= 0 {
			return nil, nil
		}
		if len(c.due) > 0 {
			left = min(left, maxDuration(0, c.due[0].at.Sub(c.broker.clock.Now())))
		}
		c.pollers = append(c.pollers, p)
		if g.lags() {
			c.broker.router.CatchUp(g)
		}
		err := c.await(ctx, p, left)
		c.leaves(p)
		if err != nil {
			return nil, err
		}
	}
}

func maxDuration(a, b time.Duration) time.Duration {
	if a > b {
		return a
	}
	return b
}

// blocked reports whether it takes an acknowledgement, or time, before anything is given out. The caller holds g.mu.
func (c *consumer) blocked() bool {
	return c.account.n >= c.broker.cfg.Consumers.MaxInFlight || c.doc.Config.ordered() && c.account.n > len(c.ready)
}

// await waits for a signal. The caller holds g.mu, which is free meanwhile.
func (c *consumer) await(ctx context.Context, p *poller, d time.Duration) error {
	c.group.mu.Unlock()
	defer c.group.mu.Lock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.wake:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.broker.ctx.Done():
		return ErrStopping
	}
	return nil
}

// leaves takes a request from those that wait. The caller holds g.mu.
func (c *consumer) leaves(p *poller) {
	for i, other := range c.pollers {
		if other == p {
			c.pollers = append(c.pollers[:i:i], c.pollers[i+1:]...)
			return
		}
	}
}

// taken waits until what was taken is kept. The caller holds g.mu, which is free meanwhile.
func (c *consumer) taken(ctx context.Context, batch []Leased) ([]Leased, error) {
	g := c.group
	done := g.barrier()
	if c.available() {
		c.wakeOne()
	}
	if g.lags() {
		c.broker.router.CatchUp(g)
	}
	g.mu.Unlock()
	err := awaitKept(ctx, done)
	g.mu.Lock()
	if err != nil {
		c.returned(batch, true)
		return nil, err
	}
	return batch, nil
}

// returned gives back what was taken. The caller holds g.mu.
func (c *consumer) returned(batch []Leased, uncounted bool) {
	for i := range batch {
		c.release(&batch[i], uncounted)
	}
	c.counters.Returned += uint64(len(batch))
	c.counted(metrics.ConsumedReturned, int64(len(batch)))
	c.wakeOne()
}

// complete reads the messages that have to be read, and takes out what is not to be given to anybody any more.
func (c *consumer) complete(ctx context.Context, batch []Leased, room int) (good []Leased, err error) {
	var blk storage.Block
	for i := range batch {
		l := &batch[i]
		if l.Message == nil {
			if room <= 0 && len(good) > 0 {
				c.Return(batch[i:])
				return good, nil
			}
			if l.Message, err = c.read(ctx, l.Position, &blk); err != nil {
				c.Return(append(good, batch[i:]...))
				return nil, err
			}
		}
		switch {
		case l.Message == nil:
			c.drop(l, c.gone(l.Position))
		case c.broker.expired(l.Message, time.Now()):
			c.drop(l, message.DropExpired)
		default:
			room -= len(l.Message.Topic) + len(l.Message.Payload) + len(l.Message.Properties)
			good = append(good, *l)
		}
	}
	return good, nil
}

// read returns a message that was given out before; nil: it is gone.
func (c *consumer) read(ctx context.Context, pos message.Position, blk *storage.Block) (*message.Message, error) {
	if c.inHistory(pos) {
		if m, err := c.history.At(ctx, pos); m != nil || err != nil {
			return m, err
		}
	}
	f, err := c.broker.flight(&state.Flight{Position: pos}, blk)
	return f.Delivery.Message, err
}

// gone is why a message cannot be read.
func (c *consumer) gone(pos message.Position) message.DropReason {
	if c.inHistory(pos) {
		return message.DropStreamTrimmed
	}
	return message.DropLogTrimmed
}

// drop ends a message that nobody gets.
func (c *consumer) drop(l *Leased, why message.DropReason) {
	c.broker.drop(why, c.group.Name(), l.Message, time.Now())
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	c.finish(l.Position)
}

// Return gives back what Poll returned and nobody has seen: its deliveries do not count it.
func (c *consumer) Return(batch []Leased) {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	c.returned(batch, true)
}

// ReturnLeased gives back what Poll returned for a request whose sender is gone.
func (b *Broker) ReturnLeased(name string, batch []Leased) {
	if c := b.consumers.get(name); c != nil {
		c.Return(batch)
	}
}

// Acknowledge ends messages of a consumer. It returns when that is durable, with those that are not given out: they were
// acknowledged before, or never were the consumer's.
func (b *Broker) Acknowledge(ctx context.Context, name string, ids []message.Position) (unknown []message.Position, err error) {
	return b.answerLeases(ctx, name, ids, func(c *consumer, pos message.Position) bool {
		ok := c.finish(pos)
		if ok {
			c.counters.Acknowledged++
			c.counted(metrics.ConsumedAcknowledged, 1)
		}
		return ok
	})
}

// Reject gives messages of a consumer back, which come again after a delay. It returns as Acknowledge does.
func (b *Broker) Reject(ctx context.Context, name string, ids []message.Position, delay time.Duration) (unknown []message.Position, err error) {
	return b.answerLeases(ctx, name, ids, func(c *consumer, pos message.Position) bool {
		e := c.entry(pos)
		if e == nil {
			return false
		}
		c.unready(pos)
		c.until(e, c.broker.clock.Now().Add(delay))
		c.counters.Returned++
		c.counted(metrics.ConsumedReturned, 1)
		return true
	})
}

// answerLeases does something with each message, and waits until that is kept.
func (b *Broker) answerLeases(ctx context.Context, name string, ids []message.Position, do func(*consumer, message.Position) bool) (unknown []message.Position, err error) {
	c := b.consumers.get(name)
	if c == nil {
		return nil, ErrNoConsumer
	}
	g := c.group
	g.mu.Lock()
	if c.ended {
		g.mu.Unlock()
		return nil, ErrNoConsumer
	}
	c.doc.Used, c.polledAt = b.clock.Now(), time.Now()
	for _, pos := range ids {
		if !do(c, pos) {
			unknown = append(unknown, pos)
		}
	}
	done := g.barrier()
	c.wakeAll() // there is room, or an earlier end of a lease
	g.mu.Unlock()
	return unknown, awaitKept(ctx, done)
}
