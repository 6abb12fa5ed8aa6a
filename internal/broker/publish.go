package broker

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/tracing"
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
	ops      []storage.Op             // state that changes with the message
	waiter   router.Waiter            // nil: nobody waits
	refused  func(again func() error) // as router.Publication has it
}

// publish routes a message of a client, or of the broker itself.
func (b *Broker) publish(batch *conn.Batch, m *message.Message, from publisher) (code mqtt.ReasonCode, waits bool, err error) {
	if b.cfg.MQTT.DelayedAvailable && strings.HasPrefix(m.Topic, delayedPrefix) {
		code, waits, err = b.delay(m, from)
	} else {
		code, waits, err = b.route(batch, m, from)
	}
	if err == nil { // or else it comes again
		batch.Published++
		if m.Retain {
			b.metrics.Retained.Inc()
		}
	}
	return code, waits, err
}

// route is publish without delays.
func (b *Broker) route(batch *conn.Batch, m *message.Message, from publisher) (code mqtt.ReasonCode, waits bool, err error) {
	p := router.Publication{Message: m, PacketID: from.packetID, KeepID: from.keepID, Ops: b.withRetained(from.ops, m), Refused: from.refused}
	if from.waiter != nil {
		p.Waiter = from.waiter
	}
	return b.router.Publish(batch, p)
}

// withRetained adds what keeps a retained message.
func (b *Broker) withRetained(ops []storage.Op, m *message.Message) []storage.Op {
	if m.Retain && b.keeps {
		ops = append(ops, state.PutRetained(m))
	}
	return ops
}

// delayed counts what waits for its delay.
type delayed struct {
	next  atomic.Uint64 // number of the last one
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
func (b *Broker) delay(m *message.Message, from publisher) (code mqtt.ReasonCode, waits bool, err error) {
	seconds, topic, ok := b.parseDelayed(m.Topic)
	if !ok {
		b.drop(message.DropLimit, "", m, time.Now())
		return mqtt.TopicNameInvalid, false, nil
	}
	if !b.delayed.add(1, messageBytes(m)) {
		b.drop(message.DropLimit, "", m, time.Now())
		return mqtt.QuotaExceeded, false, nil
	}
	wait := time.Duration(seconds) * time.Second
	due := m.Copy()
	due.Topic = topic
	due.PublishedAt = due.PublishedAt.Add(wait) // streams keep time by it
	if !due.ExpiresAt.IsZero() {
		due.ExpiresAt = due.ExpiresAt.Add(wait)
	}
	d := &state.DelayedMessage{Number: b.number(&b.delayed.next, state.DelayedNext), Due: b.clock.Now().Add(wait), Message: due}
	if !b.keeps {
		b.metrics.Delayed.Inc()
		b.publishDelayed(d)
		return mqtt.Success, false, nil
	}
	var pending router.Pending
	var waiting bool
	if from.waiter != nil {
		pending, waiting = from.waiter.Wait()
	}
	err = b.engine.Submit(0, storage.Unit{Ops: append(from.ops, state.PutDelayed(d))}, func(_ message.Position, err error) {
		if err == nil {
			b.metrics.Delayed.Inc()
			b.publishDelayed(d)
		} else {
			b.delayed.add(-1, -messageBytes(d.Message))
		}
		if err != nil && from.refused != nil {
			from.refused(func() error {
				_, _, err := b.delay(m, from)
				return err
			})
		}
		if waiting {
			from.waiter.Committed(pending, router.CodeOf(err))
		}
	})
	if err != nil {
		b.delayed.add(-1, -messageBytes(m))
		if waiting {
			from.waiter.Unwait()
		}
	}
	return mqtt.Success, waiting, err
}

// publishDelayed publishes a message when it is due, and forgets in the same commit that it waits.
func (b *Broker) publishDelayed(d *state.DelayedMessage) {
	size := messageBytes(d.Message)
	b.timers.afterAtLeast(d.Due.Sub(b.clock.Now()), func() {
		b.delayed.add(-1, -size)
		var ops []storage.Op
		if b.keeps {
			ops = []storage.Op{state.DeleteDelayed(d.Number)}
		}
		b.publishOwed(d.Message, ops, b.route)
	})
}

// publishing is Broker.publish, or Broker.route.
type publishing func(*conn.Batch, *message.Message, publisher) (code mqtt.ReasonCode, waits bool, err error)

// refusedRetry is when a message that the broker owes, and the engine refused, is published again.
const refusedRetry = time.Second

// publishOwed publishes a will or a delayed message, which nobody sends again: its publisher was told long ago that it is
// kept. While the engine refuses it, as on a full disk, it is tried again. publish is how: with a delay first, or not.
func (b *Broker) publishOwed(m *message.Message, ops []storage.Op, publish publishing) {
	batch, from := conn.NewBatch(), publisher{ops: ops, refused: b.owe}
	span := tracing.Of(m.Trace)
	if span != nil {
		from.waiter = unattended{span}
	}
	code, waits, err := publish(batch, m, from)
	if err == nil && !waits {
		span.End(code)
	}
	if err != nil {
		b.owe(func() error {
			b.publishOwed(m, ops, publish)
			return nil
		})
	}
	batch.Flush(b.metrics)
}

// owe has something tried again after a while, until it works or the broker stops: what is kept comes with the next start.
func (b *Broker) owe(again func() error) {
	b.timers.afterAtLeast(refusedRetry, func() {
		if err := again(); err != nil {
			b.owe(again)
		}
	})
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
	return seconds, topic, err == nil && seconds >= 0 && seconds <= b.conf().MQTT.DelayedMaxSeconds
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
