package broker

import (
	"sync"
	"time"
)

// trimInterval is how often connected sessions that have grown are looked at, to give back what they do not use any more.
// Those that lose their connection give it back at once.
const trimInterval = time.Minute

// grown lists the sessions that hold memory for more than they usually have under way.
type grown struct {
	mu      sync.Mutex
	clients []*client
	last    time.Time // owned by the timers' goroutine
}

// noteGrowth lists the session if it has grown. The caller holds c.mu.
func (c *client) noteGrowth() {
	if c.grown || !c.session.Grown() {
		return
	}
	c.grown = true
	g := &c.broker.grown
	g.mu.Lock()
	g.clients = append(g.clients, c)
	g.mu.Unlock()
}

// trimSessions trims those of the listed sessions that are quiet now, when it is time. The others stay listed.
func (b *Broker) trimSessions(now time.Time) {
	g := &b.grown
	if now.Sub(g.last) < trimInterval {
		return
	}
	g.last = now
	g.mu.Lock()
	listed := g.clients
	g.clients = nil
	g.mu.Unlock()
	var busy []*client
	for _, c := range listed {
		if !c.trimIfQuiet() {
			busy = append(busy, c)
		}
	}
	g.mu.Lock()
	g.clients = append(g.clients, busy...)
	g.mu.Unlock()
}

// trimIfQuiet reports whether the session need not be looked at again before it grows.
func (c *client) trimIfQuiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && !c.session.Quiet() {
		return false
	}
	if c.awake != &dozing {
		c.session.Trim()
	}
	c.grown = false
	return true
}
