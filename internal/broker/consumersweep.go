package broker

import (
	"context"
	"time"
)

// This file is what consumers need once a second, whether somebody asks them or not.

// sweep takes what was given out often enough to the dead letters, gives back memory of consumers that nobody asks, and ends
// those that nobody has asked for as long as they say. The timers' goroutine calls it, so what takes time is done elsewhere.
func (cs *consumers) sweep(now time.Time) {
	for _, c := range cs.all() {
		g := c.group
		g.mu.Lock()
		g.unread()
		c.collect(cs.broker.clock.At(now))
		bury, idle := c.buries(now), c.idle(now)
		keep := !idle && c.keepsUse()
		g.mu.Unlock()
		if bury {
			cs.broker.work(func() { c.bury(cs.broker.ctx) })
		}
		if idle {
			cs.broker.log.Info("consumer ended: nobody has used it for idle_expiry_seconds", "consumer", c.doc.Name)
			cs.work(c, "consumer not ended", func(ctx context.Context) error { return c.end(ctx) })
		}
		if keep {
			cs.work(c, "the use of a consumer was not kept", c.keepUse)
		}
	}
}

// work does something that may fail beside.
func (cs *consumers) work(c *consumer, failed string, fn func(context.Context) error) {
	b := cs.broker
	b.work(func() {
		if err := fn(b.ctx); err != nil && b.ctx.Err() == nil {
			b.log.Error(failed, "consumer", c.doc.Name, "error", err)
		}
	})
}

// idle reports whether nobody has used the consumer for as long as it says. The caller holds g.mu.
func (c *consumer) idle(now time.Time) bool {
	limit := c.doc.Config.IdleExpiry
	if limit == 0 || c.ended || len(c.pollers) > 0 || c.ending {
		return false
	}
	c.ending = c.broker.clock.At(now).Sub(c.doc.Used) >= limit
	return c.ending
}

// end ends the consumer; if that fails, it is tried again.
func (c *consumer) end(ctx context.Context) error {
	err := c.broker.DeleteConsumer(ctx, c.doc.Name)
	if err != nil {
		c.group.mu.Lock()
		c.ending = false
		c.group.mu.Unlock()
	}
	return err
}

// usePrecision is by how much what is kept of a consumer's last use may be too old: a twentieth of what it may be idle for, and
// from a second to a minute.
func usePrecision(idle time.Duration) time.Duration {
	return min(max(idle/20, time.Second), time.Minute)
}

// keepsUse reports whether the consumer was used, and that is to be kept. The caller holds g.mu.
func (c *consumer) keepsUse() bool {
	limit := c.doc.Config.IdleExpiry
	due := c.broker.keeps && limit > 0 && !c.ended && !c.ending && c.doc.Used.Sub(c.usedKept) >= usePrecision(limit)
	if due {
		c.usedKept = c.doc.Used // also if that fails: later is soon enough
	}
	return due
}

// keepUse keeps when the consumer was last used.
func (c *consumer) keepUse(ctx context.Context) error {
	b := c.broker
	b.declaring.Lock()
	defer b.declaring.Unlock()
	c.group.mu.Lock()
	d, ended := c.doc, c.ended
	c.group.mu.Unlock()
	if ended {
		return nil
	}
	put, err := d.op()
	if err != nil {
		return err
	}
	return b.commit(ctx, put)
}

// resume goes on counting for how long nobody has used a consumer, after a restart. While the broker did not run, nobody
// could; and what was not kept counts for the consumer.
func (c *consumer) resume(now time.Time) {
	used := c.doc.Used.Add(c.broker.clock.Break() + usePrecision(c.doc.Config.IdleExpiry))
	if used.After(now) {
		used = now
	}
	c.doc.Used = used
}
