package broker

import (
	"errors"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/stream"
)

// ErrTooManyTaps says that there are as many taps as may be. Match it with errors.Is.
var ErrTooManyTaps = errors.New("there are as many streams of events as may be")

// What a tap holds for who reads it.
const (
	tapMessages = 256
	tapBytes    = 1 << 20
)

// Tap hears of what is published, for a stream of events. Where a stream has all that its filters match, it holds nothing:
// it only says that there may be something new in the stream. Otherwise it holds what was published, up to a limit, past
// which messages are dropped for it (slow_consumer). It asks for nothing to be kept.
type Tap struct {
	// Static after construction.
	broker *Broker
	seq    uint64
	stream *stream.Stream // nil: none has all that the filters match
	from   message.Position
	wake   chan struct{}

	routed router.Place // owned by who makes and closes it

	mu     sync.Mutex // guards what follows
	queue  []*message.Message
	bytes  int
	missed int
}

// Tap begins to listen.
func (b *Broker) Tap(filters []string) (*Tap, error) {
	if n := b.taps.Add(1); b.cfg.Consumers.MaxEventStreams > 0 && n > int64(b.cfg.Consumers.MaxEventStreams) {
		b.taps.Add(-1)
		b.metrics.Hit(metrics.LimitEventStreams)
		return nil, ErrTooManyTaps
	}
	t := &Tap{broker: b, seq: b.seq.Add(1), stream: b.streams.Covering(filters), wake: make(chan struct{}, 1)}
	t.from = b.logEnd()
	t.routed.Enter(b.router, t, filters, message.Position{}, func(v *session.Subscription) {
		v.RetainAsPublished, v.Follows = true, t.stream != nil
	})
	return t, nil
}

// Close ends it.
func (t *Tap) Close() {
	t.routed.Leave(t.broker.router)
	t.broker.taps.Add(-1)
}

// Stream names the stream that has all; empty: none does.
func (t *Tap) Stream() string {
	if t.stream == nil {
		return ""
	}
	return t.stream.Name()
}

// From is the place of the log when it began.
func (t *Tap) From() message.Position { return t.from }

// Wake has something when there may be something new.
func (t *Tap) Wake() <-chan struct{} { return t.wake }

// Take returns what is held, and how many messages were dropped since the last time.
func (t *Tap) Take() (all []*message.Message, missed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, missed = t.queue, t.missed
	t.queue, t.bytes, t.missed = nil, 0, 0
	return all, missed
}

func (t *Tap) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Seq implements router.Subscriber.
func (t *Tap) Seq() uint64 { return t.seq }

// Overlaps implements router.Subscriber.
func (t *Tap) Overlaps() bool { return true }

// Name is what traces call the reader of events.
func (t *Tap) Name() string { return "events over HTTP" }

// Durable implements router.Subscriber.
func (t *Tap) Durable() bool { return false }

// Deliver implements router.Subscriber.
func (t *Tap) Deliver(_ *conn.Batch, m *message.Message, _ []*session.Subscription) {
	size := len(m.Topic) + len(m.Payload) + len(m.Properties)
	t.mu.Lock()
	full := len(t.queue) >= tapMessages || t.bytes >= tapBytes
	if full {
		t.missed++
	} else {
		m.Keep()
		t.queue = append(t.queue, m)
		t.bytes += size
	}
	t.mu.Unlock()
	if full {
		t.broker.drop(message.DropSlowConsumer, t.Name(), m, time.Now())
	}
	t.signal()
}

// Tail implements router.Subscriber.
func (t *Tap) Tail(*conn.Batch, router.Record, []*session.Subscription) { t.signal() }
