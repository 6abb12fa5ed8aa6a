package broker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/stream"
)

// openStreams opens the streams that are declared.
func (b *Broker) openStreams() error {
	declared, err := b.declaredStreams()
	if err != nil {
		return err
	}
	b.streams, err = stream.Open(stream.Options{
		Engine: b.engine, Router: b.router, Metrics: b.metrics, Logger: b.log, Trace: b.trace,
		Seq: func() uint64 { return b.seq.Add(1) }, Now: b.clock.Now, Expired: b.expired, Retired: b.retired,
	}, declared)
	if err != nil {
		return fmt.Errorf("opening streams: %w", err)
	}
	return nil
}

// historyInterval is how often it is looked how far back the log is kept for its history.
const historyInterval = 5 * time.Second

// history is how far back the log is kept, though everybody has read it, as storage.keep_seconds and storage.keep_bytes
// say.
type history struct {
	looking atomic.Bool
	looked  time.Time                        // owned by the timers' goroutine
	from    atomic.Pointer[message.Position] // nil: it was never looked
}

// floor returns the place from which on the log is to be kept for its history; ok is false if it is not to be.
func (h *history) floor(b *Broker) (pos message.Position, ok bool) {
	cfg := &b.conf().Storage
	if cfg.KeepSeconds == 0 && cfg.KeepBytes == 0 {
		return pos, false
	}
	if now := time.Now(); now.Sub(h.looked) >= historyInterval && h.looking.CompareAndSwap(false, true) {
		h.looked = now
		b.work(func() {
			defer h.looking.Store(false)
			if from, err := b.historyFrom(b.ctx, now); err == nil {
				h.from.Store(&from)
			} else if b.ctx.Err() == nil {
				b.log.Error("the log's history was not looked through", "error", err)
			}
		})
	}
	if from := h.from.Load(); from != nil {
		return *from, true
	}
	return message.Position{}, true
}

// historyFrom returns the first place that is neither too old nor too far back in bytes.
func (b *Broker) historyFrom(ctx context.Context, now time.Time) (from message.Position, err error) {
	if s := b.conf().Storage.KeepSeconds; s > 0 {
		if from, err = b.streams.Locate(ctx, now.Add(-time.Duration(s)*time.Second)); err != nil {
			return from, err
		}
	}
	if limit := b.conf().Storage.KeepBytes; limit > 0 {
		pos, err := b.bytesBack(ctx, limit)
		if err != nil {
			return from, err
		}
		if from.Less(pos) {
			from = pos
		}
	}
	return from, nil
}

// bytesBack returns the first place from which on the log holds no more than so many bytes.
func (b *Broker) bytesBack(ctx context.Context, limit int64) (message.Position, error) {
	h := b.engine.Health()
	low, high := h.First.Block, h.Next.Block
	for low < high {
		middle := low + (high-low)/2
		size, err := b.engine.Size(ctx, 0, message.Position{Block: middle})
		var trimmed *storage.TrimmedError
		switch {
		case errors.As(err, &trimmed):
			low = min(max(trimmed.First.Block, middle+1), high)
		case err != nil:
			return message.Position{}, err
		case size > limit:
			low = middle + 1
		default:
			high = middle
		}
	}
	return message.Position{Block: low}, nil
}

// declareStream makes a stream or changes what it is, with those who read it.
func (b *Broker) declareStream(ctx context.Context, name string, c stream.Config) error {
	if err := b.streams.Declare(ctx, name, c); err != nil {
		return err
	}
	st := b.streams.Get(name)
	b.groups.each(func(g *group) {
		if g.stream == st && !g.routed.IsNowhere() {
			g.enter()
		}
	})
	for _, c := range b.registry.all() {
		c.mu.Lock()
		for _, f := range c.followers {
			if f.stream == st && f.filter == "" {
				f.enter()
			}
		}
		c.mu.Unlock()
	}
	return nil
}
