package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/stream"
)

// This file is streams that are declared while the broker runs. What they are is kept as documents, beside which those of
// the configuration stand: a name belongs to one of both, and the configuration comes first.

// streamKind is the kind of the documents.
const streamKind = "stream"

// What is wrong with a stream that is to be changed. Match them with errors.Is.
var (
	ErrNoStream         = stream.ErrUnknown
	ErrStreamConfigured = errors.New("the stream is the configuration's")
	ErrStreamInUse      = errors.New("the stream is read")
	ErrTooManyStreams   = errors.New("there are as many streams as may be")
)

// streamDocument is a stream as it is kept.
type streamDocument struct {
	Name        string   `json:"name"`
	Filters     []string `json:"filters"`
	KeepSeconds int64    `json:"keep_seconds"`
	KeepBytes   int64    `json:"keep_bytes"`
	LastValue   bool     `json:"last_value"`
}

func (d *streamDocument) config() stream.Config {
	return stream.Config{Filters: d.Filters, Keep: time.Duration(d.KeepSeconds) * time.Second, KeepBytes: d.KeepBytes, LastValue: d.LastValue}
}

// StreamInfo describes a stream.
type StreamInfo struct {
	Name       string
	Config     stream.Config
	Info       stream.Info
	Configured bool // by the configuration, which alone changes it
}

// declaredStreams are those of the configuration and those that were declared since.
func (b *Broker) declaredStreams() (map[string]stream.Config, error) {
	declared := make(map[string]stream.Config)
	for doc, err := range b.Documents().All(b.ctx, streamKind) {
		var d streamDocument
		if err == nil {
			err = json.Unmarshal(doc, &d)
		}
		if err != nil {
			return nil, fmt.Errorf("reading streams: %w", err)
		}
		declared[d.Name] = d.config()
	}
	for name, s := range b.cfg.Streams {
		if _, ok := declared[name]; ok {
			b.log.Warn("a stream that was declared over HTTP is the configuration's now", "stream", name)
			if err := b.Documents().Delete(b.ctx, streamKind, name); err != nil {
				return nil, err
			}
		}
		declared[name] = stream.Config{
			Filters: s.Filters, Keep: time.Duration(s.KeepSeconds) * time.Second, KeepBytes: s.KeepBytes, LastValue: s.LastValue,
		}
	}
	return declared, nil
}

// Streams lists the declared streams by name.
func (b *Broker) Streams() []StreamInfo {
	all := []StreamInfo{}
	for _, st := range b.streams.All() {
		all = append(all, b.streamInfo(st))
	}
	return all
}

func (b *Broker) streamInfo(st *stream.Stream) StreamInfo {
	_, configured := b.cfg.Streams[st.Name()]
	return StreamInfo{Name: st.Name(), Config: st.Config(), Info: st.Info(), Configured: configured}
}

// Stream describes one stream, or returns ErrNoStream.
func (b *Broker) Stream(name string) (StreamInfo, error) {
	if st := b.streams.Get(name); st != nil {
		return b.streamInfo(st), nil
	}
	return StreamInfo{}, ErrNoStream
}

// PutStream declares a stream, or changes what it is. It returns when that is durable.
func (b *Broker) PutStream(ctx context.Context, name string, c stream.Config) error {
	if _, ok := b.cfg.Streams[name]; ok {
		return ErrStreamConfigured
	}
	b.declaring.Lock()
	defer b.declaring.Unlock()
	if all := b.streams.All(); b.streams.Get(name) == nil && len(all) >= b.conf().Limits.MaxStreams && b.conf().Limits.MaxStreams > 0 {
		b.metrics.Hit(metrics.LimitStreams)
		return ErrTooManyStreams
	}
	doc, err := json.Marshal(streamDocument{name, c.Filters, int64(c.Keep / time.Second), c.KeepBytes, c.LastValue})
	if err != nil {
		return err
	}
	if err := b.Documents().Put(ctx, streamKind, name, doc); err != nil {
		return err
	}
	// From here on it is declared, if need be at the next start.
	return b.declareStream(context.WithoutCancel(ctx), name, c)
}

// DeleteStream ends a stream and forgets its history. It refuses while somebody subscribes to it or to its queue, and
// returns nil if there is no such stream.
func (b *Broker) DeleteStream(ctx context.Context, name string) error {
	if _, ok := b.cfg.Streams[name]; ok {
		return ErrStreamConfigured
	}
	b.declaring.Lock()
	defer b.declaring.Unlock()
	st := b.streams.Get(name)
	if st == nil {
		return nil
	}
	if b.readersOf(st) > 0 {
		return ErrStreamInUse
	}
	if err := b.Documents().Delete(ctx, streamKind, name); err != nil {
		return err
	}
	b.groups.endQueues(st)
	// What a crash leaves of it, the next start forgets.
	if err := b.streams.Remove(context.WithoutCancel(ctx), name); err != nil && !errors.Is(err, stream.ErrUnknown) {
		return err
	}
	return nil
}

// readersOf counts the subscriptions to a stream and the members of its queue.
func (b *Broker) readersOf(st *stream.Stream) (n int) {
	b.groups.each(func(g *group) {
		if g.stream == st {
			g.mu.Lock()
			n += g.members.Len()
			g.mu.Unlock()
		}
	})
	for _, c := range b.registry.all() {
		c.mu.Lock()
		for _, f := range c.followers {
			if f.stream == st {
				n++
			}
		}
		c.mu.Unlock()
	}
	return n
}

// endQueues ends the queues of a stream that is taken away. A stream of that name that is declared later begins with
// others.
func (gs *groups) endQueues(st *stream.Stream) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for key, g := range gs.byKey {
		if g.stream != st {
			continue
		}
		g.mu.Lock()
		g.declared = false
		g.mu.Unlock()
		gs.left(g)
		g.mu.Lock()
		g.submit(true) // before anything of a later one
		g.mu.Unlock()
		delete(gs.byKey, key)
	}
}

// History returns a part of a stream's history, or of what the log has.
func (b *Broker) History(ctx context.Context, q stream.Query) (*stream.Page, error) {
	return b.streams.History(ctx, q)
}

// Position is a place of the log as the API writes it.
func Position(p message.Position) string { return stream.FormatPosition(p) }

// ParseStart reads a place to begin at: earliest, latest, a time or a position.
func ParseStart(s string) (stream.Offset, error) { return stream.ParseOffset(s) }

// maxNameBytes bounds the names of streams and consumers.
const maxNameBytes = 128

// GoodName reports whether a stream or a consumer may be called so.
func GoodName(name string) bool { return config.GoodName(name) && len(name) <= maxNameBytes }
