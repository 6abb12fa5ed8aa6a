package broker

import (
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

// receipts is what a connection knows of the messages that its client may receive. It is guarded by client.mu.
//
// Most subscriptions are granted as a whole: then there is nothing to ask at a delivery. Where one is wider than what is
// granted, or was granted before rules changed, each delivery is judged by its topic.
type receipts struct {
	known   bool   // what follows is as of version
	version uint64 // of the permissions
	all     bool   // every subscription is granted as a whole
	cache   auth.Cache
}

// mayReceive reports whether the client may get messages of a topic. It is asked when one is about to be sent, so it goes
// by the rules of now, also for what has waited in a session, in a shared group or as a retained message. The caller holds
// c.mu, and c.link is not nil.
func (c *client) mayReceive(topic string) bool {
	p, l := c.broker.permissions, c.link
	if p.Open(l.identity) {
		return true
	}
	r := &l.receipts
	if version := p.Version(); !r.known || r.version != version {
		r.known, r.version = true, version
		r.all = c.judgeSubscriptions()
	}
	if r.all {
		return true
	}
	if d, _ := r.cache.Check(p, l.identity, auth.Access{Action: auth.Receive, Topic: topic}); d == auth.Allow {
		return true
	}
	return c.grantedWhole(topic)
}

// grantedWhole reports whether a subscription that is granted as a whole may be the reason for a delivery, where another
// is not. It is a function of its own, as one that returns from within an iteration allocates its result at its beginning.
func (c *client) grantedWhole(topic string) bool {
	for _, s := range c.subs.all() {
		if s.whole && s.matches(topic) {
			return true
		}
	}
	return false
}

// judgeSubscriptions brings up to date which subscriptions are granted as a whole, and reports whether all are. The
// caller holds c.mu.
func (c *client) judgeSubscriptions() bool {
	all := true
	for _, s := range c.subs.all() {
		v := s.newest()
		if v == nil {
			continue
		}
		whole, known := true, true
		for _, topic := range s.topics() {
			d, _ := c.broker.permissions.Check(c.link.identity, subscribing(topic, v.QoS))
			whole, known = whole && d == auth.Allow, known && d != auth.Unknown
		}
		if known {
			s.grant(whole)
		} // otherwise who granted it, or did not, has not been asked again
		all = all && s.whole
	}
	return all
}

// permit has what is not known of a session's subscriptions asked for before the session is resumed, and then calls next.
func (k *connecting) permit(c *client, next func()) {
	p, id := k.broker.permissions, k.link.identity
	if !p.Slow(id) {
		next()
		return
	}
	var unknown []auth.Access
	c.mu.Lock()
	for _, s := range c.subs.all() {
		v := s.newest()
		if v == nil {
			continue
		}
		for _, topic := range s.topics() {
			a := subscribing(topic, v.QoS)
			if d, _ := p.Check(id, a); d == auth.Unknown {
				unknown = append(unknown, a)
			}
		}
	}
	c.mu.Unlock()
	k.broker.beside(func() {
		for _, a := range unknown {
			p.Ask(k.broker.ctx, id, a)
		}
		next()
	})
}

// permitted judges the subscriptions of a session that has just been attached, while what permit found out is known. What
// was granted to whoever had the session before does not count. The caller holds c.mu.
func (c *client) permitted() {
	p, l := c.broker.permissions, c.link
	if !p.Slow(l.identity) {
		return
	}
	for _, s := range c.subs.all() {
		s.grant(false)
	}
	l.receipts.known, l.receipts.version = true, p.Version()
	l.receipts.all = c.judgeSubscriptions()
}

// expireAccess ends a connection when the identity of its client does. The caller holds c.mu.
func (l *link) expireAccess() {
	l.expiry.cancel()
	l.expiry = timer{}
	if at := l.identity.ExpiresAt; !at.IsZero() {
		l.expiry = l.client.broker.timers.after(time.Until(at), func() {
			l.client.mu.Lock()
			expired := l.identity.ExpiresAt.Equal(at) // the client has not authenticated again
			l.client.mu.Unlock()
			if expired {
				l.conn.CloseAfterInput(mqtt.MaximumConnectTime, "the credentials have expired")
			}
		})
	}
}
