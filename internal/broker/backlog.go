package broker

import (
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
)

// This file is how much waits for a session, and what happens when that is more than may.

// backlog is what waits for a session in one place. After a restart it is counted afresh, and until then it says less
// than there is.
type backlog struct{ messages, bytes int64 }

func (l *backlog) put(bytes int64) {
	l.messages++
	l.bytes += bytes
}

// take takes one off. What was not counted cannot be taken off.
func (l *backlog) take(bytes int64) {
	l.messages, l.bytes = max(0, l.messages-1), max(0, l.bytes-bytes)
}

// limit is what may wait for a session. 0: no limit.
type limit struct{ messages, bytes int64 }

func (b *Broker) queueLimit() limit {
	return limit{b.conf().Session.QueueMaxMessages, b.conf().Session.QueueMaxBytes}
}

// excess returns what is over the limit.
func (l limit) excess(have backlog) (over backlog) {
	if l.messages > 0 {
		over.messages = max(0, have.messages-l.messages)
	}
	if l.bytes > 0 {
		over.bytes = max(0, have.bytes-l.bytes)
	}
	return over
}

func (l *backlog) isZero() bool { return l.messages <= 0 && l.bytes <= 0 }

// waiting is what waits for the session in the log and parked. The caller holds c.mu.
func (c *client) waiting() backlog {
	return backlog{c.lag.messages + c.shelf.messages, c.lag.bytes + c.shelf.bytes}
}

// lags counts a message that the log holds for the session and that the tail does not give it. The caller holds c.mu.
func (c *client) lags(m *message.Message) {
	c.lag.put(messageBytes(m))
	if w := c.broker.trace.Watch(); w != nil {
		c.tellQueued(m, m.QoS, time.Now(), "in the log, until the client can take it")
	}
	if over := c.broker.queueLimit().excess(c.waiting()); !over.isZero() {
		c.broker.overLimit(c)
	}
	c.judge()
}

// judge works out whether the session refuses messages. The caller holds c.mu.
func (c *client) judge() {
	if c.broker.cfg.Session.OnFull != config.Reject {
		return
	}
	l, have := c.broker.queueLimit(), c.waiting()
	c.full.Store(l.messages > 0 && have.messages >= l.messages || l.bytes > 0 && have.bytes >= l.bytes)
}

// Full implements router.Bounded.
func (c *client) Full() bool { return c.full.Load() }

// overLimit has the oldest that waits for a session dropped soon, where that is what is configured.
func (b *Broker) overLimit(c *client) {
	if b.cfg.Session.OnFull == config.DropOldest {
		b.over.Store(true)
	}
}

func messageBytes(m *message.Message) int64 {
	return int64(len(m.Topic) + len(m.Payload) + len(m.Properties))
}

// tooOld reports whether a message has waited for a session longer than it may.
func (b *Broker) tooOld(m *message.Message, now time.Time) bool {
	age := b.conf().Session.QueueMaxSeconds
	return age > 0 && !m.PublishedAt.IsZero() && now.Sub(m.PublishedAt) > time.Duration(age)*time.Second
}
