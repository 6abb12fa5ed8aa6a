package broker

import "time"

// trimInterval is how often connected sessions that have grown are looked at, to give back what they do not use any more.
// Those that lose their connection give it back at once.
const trimInterval = time.Minute

// noteGrowth has the session looked at if it has grown. The caller holds c.mu.
func (c *client) noteGrowth() {
	if !c.grown.Load() && c.session.Grown() {
		c.grown.Store(true)
	}
}

// trimSessions trims those of the sessions that have grown which are quiet now, when it is time.
func (b *Broker) trimSessions(now time.Time) {
	if now.Sub(b.trimmed) < trimInterval {
		return
	}
	b.trimmed = now
	for _, c := range b.registry.all() {
		if c.grown.Load() {
			c.trimIfQuiet()
		}
	}
}

func (c *client) trimIfQuiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.awake == &dozing: // which has given back all, and shares what it has
		c.grown.Store(false)
	case c.session.Quiet():
		c.session.Trim()
		c.grown.Store(false)
	}
}
