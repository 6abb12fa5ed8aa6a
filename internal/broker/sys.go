package broker

import (
	"runtime/metrics"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/retain"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/sys"
)

// sysTopics is the $SYS tree: its retained messages, which are apart from those of clients and their limits. Only the
// timers' goroutine writes to it.
type sysTopics struct {
	tree     *sys.Tree
	retained *retain.Store
	version  string
	last     time.Time
}

// WithVersion has the broker tell version as its own.
func WithVersion(version string) Option { return func(b *Broker) { b.sys.version = version } }

// publishSys publishes what has changed in the $SYS tree, when it is time.
func (b *Broker) publishSys(now time.Time) {
	interval := time.Duration(b.conf().MQTT.SysIntervalSeconds) * time.Second
	if interval == 0 || now.Sub(b.sys.last) < interval {
		return
	}
	elapsed := now.Sub(b.sys.last)
	if b.sys.last.IsZero() {
		elapsed = now.Sub(b.started)
	}
	b.sys.last = now
	batch := conn.NewBatch()
	batch.Now = now
	b.sys.tree.Update(now, elapsed, b.state(), func(topic, value string) {
		if old, ok := b.sys.retained.Get(topic); ok && string(old.Message.Payload) == value {
			return
		}
		m := &message.Message{Topic: topic, Payload: []byte(value), PublishedAt: now}
		_ = b.sys.retained.Set(m, message.Position{}) // without limits there is no error
		_, _, _ = b.router.Publish(batch, router.Publication{Message: m, Own: true})
	})
	batch.Flush(b.metrics)
}

// state counts what is there now.
func (b *Broker) state() sys.State {
	h := b.engine.Health()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return sys.State{
		Version: b.sys.version, Started: b.started,
		Connected: b.connections.Load(), Sessions: int64(b.registry.len()), Subscriptions: b.subscriptions.Load(),
		Shared: int64(b.groups.len()), Retained: int64(b.retained.Len()),
		StoreMessages: int64(b.retained.Len()), StoreBytes: b.retained.Bytes() + h.LogBytes,
		HeapBytes: int64(heap[0].Value.Uint64()),
	}
}

// retainedFor is where the retained messages are that a filter may match.
func (b *Broker) retainedFor(filter string) *retain.Store {
	if strings.HasPrefix(filter, "$SYS") {
		return b.sys.retained
	}
	return b.retained
}
