package broker

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/mqtt"
)

// delayedPrefix is that of topics whose messages are published later: $delayed/<seconds>/<topic>.
const delayedPrefix = "$delayed/"

// maxDelayed and maxDelayedBytes bound what waits for its delay; beyond them it is refused with 0x97.
const (
	maxDelayed      = 1_000_000
	maxDelayedBytes = 256 << 20
)

// publisher is what the router has to know of where a message comes from.
type publisher struct {
	packetID uint16
	keepID   bool
	waiter   router.Waiter // nil: nobody waits
}

// publish routes a message of a client, or of the broker itself.
func (b *Broker) publish(batch *conn.Batch, m *message.Message, from publisher) (code mqtt.ReasonCode, waits bool, err error) {
	if b.cfg.MQTT.DelayedAvailable && strings.HasPrefix(m.Topic, delayedPrefix) {
		return b.delay(m), false, nil
	}
	p := router.Publication{Message: m, PacketID: from.packetID, KeepID: from.keepID}
	if from.waiter != nil {
		p.Waiter = from.waiter
	}
	return b.router.Publish(batch, p)
}

// delayed counts what waits for its delay.
type delayed struct {
	mu    sync.Mutex
	n     int
	bytes int64
}

func (d *delayed) add(n int, bytes int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n > 0 && (d.n+n > maxDelayed || d.bytes+bytes > maxDelayedBytes) {
		return false
	}
	d.n += n
	d.bytes += bytes
	return true
}

// delay keeps a message until its time has come. Its expiry interval counts from then on.
func (b *Broker) delay(m *message.Message) mqtt.ReasonCode {
	seconds, topic, ok := b.parseDelayed(m.Topic)
	if !ok {
		b.metrics.Drop(message.DropLimit, 1)
		return mqtt.TopicNameInvalid
	}
	size := int64(len(m.Topic) + len(m.Payload) + len(m.Properties))
	if !b.delayed.add(1, size) {
		b.metrics.Drop(message.DropLimit, 1)
		return mqtt.QuotaExceeded
	}
	wait := time.Duration(seconds) * time.Second
	b.timers.after(wait, func() {
		b.delayed.add(-1, -size)
		due := *m
		due.Topic = topic
		if !due.ExpiresAt.IsZero() {
			due.ExpiresAt = due.ExpiresAt.Add(wait)
		}
		batch := conn.NewBatch()
		if _, _, err := b.router.Publish(batch, router.Publication{Message: &due}); err != nil {
			b.log.Error("delayed message not published", "topic", topic, "error", err)
		}
		batch.Flush(b.metrics)
	})
	return mqtt.Success
}

// destination is where a message for topic ends up: somewhere else if it is delayed.
func (b *Broker) destination(topic string) string {
	if b.cfg.MQTT.DelayedAvailable && strings.HasPrefix(topic, delayedPrefix) {
		if _, to, ok := b.parseDelayed(topic); ok {
			return to
		}
	}
	return topic
}

func (b *Broker) parseDelayed(given string) (seconds int64, topic string, ok bool) {
	number, topic, ok := strings.Cut(given[len(delayedPrefix):], "/")
	if !ok || topic == "" {
		return 0, "", false
	}
	seconds, err := strconv.ParseInt(number, 10, 64)
	return seconds, topic, err == nil && seconds >= 0 && seconds <= b.cfg.MQTT.DelayedMaxSeconds
}

// exclusive are the topics of $exclusive/ and who has them.
type exclusive struct {
	mu     sync.Mutex
	owners map[string]*client
}

func (e *exclusive) take(filter string, c *client) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if owner := e.owners[filter]; owner != nil && owner != c {
		return false
	}
	e.owners[filter] = c
	return true
}

func (e *exclusive) release(filter string, c *client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.owners[filter] == c {
		delete(e.owners, filter)
	}
}
