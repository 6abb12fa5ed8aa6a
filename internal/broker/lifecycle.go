package broker

import (
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is what happens to a session between its connections, and its end.

// cause is why a session ended.
type cause uint8

const (
	endDiscarded cause = iota // clean start
	endExpired                // its expiry passed, or it ended with its connection
)

// linked returns the client's link, if it has one or one is just being settled, and then calls ended once that is over;
// otherwise nil.
func (c *client) linked(ended func()) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link
	if l == nil {
		l = c.leaving
	}
	if l != nil {
		l.ended = ended
	}
	return l
}

// disconnected settles what a connection leaves behind, once no packet of it will be handled any more.
func (b *Broker) disconnected(l *link) {
	c := l.client
	c.detach(l)
	b.rates.leave(l)
	b.connections.Add(-1)
	b.metrics.Disconnects.Inc()
	b.leave(c, l.will)
	b.settle(c)
	l.tellEnd()
	b.logs.client.Debug("client disconnected", "client", c.id, "address", l.conn.Info().RemoteAddr, "reason", l.conn.End().String())
	c.mu.Lock()
	l.expiry.cancel()
	ended := l.ended
	c.leaving = nil
	c.doze()
	c.mu.Unlock()
	if ended != nil {
		ended()
	}
}

// leave keeps that the session has no connection any more, and deals with its will.
func (b *Broker) leave(c *client, w *will) {
	c.mu.Lock()
	delay := time.Duration(0)
	if w != nil {
		delay = time.Duration(min(w.delaySeconds, c.expiry)) * time.Second
	}
	var ops []storage.Op
	switch {
	case c.expiry == 0: // it ends with its connection, after the will
	case w != nil:
		ops = c.sessionOps(false, w, b.clock.Now().Add(delay))
	default:
		ops = c.sessionOps(false, nil, time.Time{})
	}
	b.submitOps(ops)
	c.mu.Unlock()
	switch {
	case w == nil:
	case delay == 0:
		b.publishWill(c, w)
	default:
		b.delayWill(c, w, delay)
	}
}

// settle decides what becomes of a session without a connection.
func (b *Broker) settle(c *client) {
	c.mu.Lock()
	expiry := c.expiry
	c.mu.Unlock()
	switch expiry {
	case 0:
		b.end(c, endExpired)
	case mqtt.NeverExpires:
	default:
		b.expireAfter(c, time.Duration(expiry)*time.Second)
	}
}

// expireAfter ends the session after d, unless it is resumed before that.
func (b *Broker) expireAfter(c *client, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil || c.ended {
		return
	}
	epoch := c.epoch
	c.endTimer = b.timers.after(d, func() {
		b.registry.enter(c.id, func(leave func()) { // not while the client is about to resume it
			defer leave()
			c.mu.Lock()
			due := c.link == nil && c.epoch == epoch
			c.mu.Unlock()
			if due {
				b.metrics.SessionsExpired.Inc()
				b.end(c, endExpired)
			}
		})
	})
}

// cancelTimers keeps a resumed session alive and its will untold [MQTT-3.1.3-9].
func (c *client) cancelTimers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endTimer.cancel()
	if c.will != nil {
		c.willTimer.cancel()
		c.will = nil
	}
}

// end ends a session without a connection: its will is published if it still waits, its subscriptions and what it had
// not got are forgotten.
func (b *Broker) end(c *client, why cause) {
	c.mu.Lock()
	if c.ended || c.link != nil {
		c.mu.Unlock()
		return
	}
	c.rouse()
	c.ended = true
	w := c.will
	c.will = nil
	c.endTimer.cancel()
	c.willTimer.cancel()
	lost := len(c.kept)
	for f := range c.session.InFlightDeliveries() {
		if accountOf(&f.Delivery) == nil {
			lost++
		}
	}
	returned := c.session.TakeGroup(ofGroup)
	lost -= len(returned)
	c.returnAccounts(func(*account) bool { return true })
	c.kept = nil
	c.replays.Init()
	for key, sub := range c.subs.all() {
		if v := sub.versions(); !v.Ended {
			b.subscriptions.Add(-1)
			if sub.only {
				b.exclusive.release(sub.filter, c)
			}
		}
		c.forget(key, sub)
	}
	lost += c.closeAccounts()
	c.mu.Unlock()
	if c.durable.Load() || lost > 0 {
		b.dropMany(message.DropSessionEnded, c.id, nil, time.Now(), int64(lost))
	}
	b.registry.remove(c)
	b.metrics.SessionsEnded.Inc()
	if why == endDiscarded {
		b.metrics.SessionsDiscarded.Inc()
	}
	b.returnToGroups(returned)
	if w != nil {
		b.publishWill(c, w)
	}
	b.purge(c)
	b.logs.client.Debug("session ended", "client", c.id, "discarded", why == endDiscarded)
}
