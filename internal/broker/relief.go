package broker

import (
	"fmt"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file keeps what connected sessions hold in memory within limits.memory_max_bytes. What is
// shed, in this order: at seven eighths of the limit new clients, at fifteen sixteenths QoS 0 that would have to wait, at
// the limit the speed of publishers. An eighth past it, whoever holds more than a little gets nothing new: a durable session reads it from the log
// later. And after patience, who holds most is disconnected, so that a few clients that take nothing do not slow
// everybody for long.

// patience is for how many seconds in a row the memory may be nearly full before somebody is disconnected for it.
const patience = 5

// pause holds back a publisher while the memory is full, once for each PUBLISH.
func (l *link) pause() bool {
	m := l.client.broker.memory
	if l.slowed || !m.Full() {
		l.slowed = false
		return false
	}
	l.slowed = true
	l.client.broker.metrics.Hit(metrics.LimitMemoryPause)
	m.Pause(l.conn)
	return true
}

// heldBytes is what the session has in memory for its connection. The caller holds c.mu.
func (c *client) heldBytes() int64 { return c.session.QueuedBytes() + c.session.InFlightBytes() }

// noteMemory counts what the session holds. The caller holds c.mu.
func (c *client) noteMemory() {
	if c.link != nil {
		c.broker.memory.Note(&c.noted, c.heldBytes())
	}
}

// holdsTooMuch reports whether the session is one of those that the memory is spent on. The caller holds c.mu.
func (c *client) holdsTooMuch() bool {
	return c.broker.memory.Overdrawn() && c.heldBytes() > conn.LittleBytes
}

// relieve disconnects the client that holds most memory, if it has been nearly full for too long, and says in an alarm that it
// is. It runs once a second.
func (b *Broker) relieve() {
	high := b.memory.High()
	used, limit := b.memory.Used(), b.cfg.Limits.MemoryMaxBytes
	b.alarms.Set(memoryAlarm, high,
		fmt.Sprintf("%d of %d bytes of limits.memory_max_bytes are used: new clients are refused; look for clients that do not read", used, limit),
		map[string]any{"used_bytes": used, "limit_bytes": limit})
	if !high {
		b.fullFor = 0
		return
	}
	if b.fullFor++; b.fullFor < patience {
		return
	}
	var worst *link
	most := int64(conn.LittleBytes)
	for _, c := range b.registry.all() {
		c.mu.Lock()
		if l := c.link; l != nil {
			if n := c.heldBytes() + l.conn.HeldBytes(); n > most {
				worst, most = l, n
			}
		}
		c.mu.Unlock()
	}
	if worst == nil {
		return
	}
	b.metrics.Hit(metrics.LimitMemoryHolder)
	b.log.Warn("client disconnected for the memory that it takes", "client", worst.client.id, "bytes", most,
		"limit", limit)
	b.fullFor = 0 // what it holds takes a moment to go
	worst.conn.Close(mqtt.QuotaExceeded, "the server's memory is full, and this client takes most of it")
}
