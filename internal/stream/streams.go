// Package stream keeps the history of declared streams: of all messages that a stream's filters match, in the order of
// the log.
//
// To the router a stream is a durable subscriber: what it matches is appended to the log, whatever its QoS. From there it
// goes into the stream's own store, so that nobody's history holds the log:
//
//	the stream's store              the log
//	First …… chunks …… state.Next │ …… pending …… end
//	                              └ the log is needed from here on
//
// Messages are gathered in memory (pending) until they make a chunk, and a chunk is kept together with the place up to
// which the store is complete (state.Next), in one commit. So after a crash the stream goes on reading the log at that place,
// misses nothing and has nothing twice. A stream of last values has an entry for each topic instead of chunks.
//
// One goroutine writes for all streams. What is in memory is bounded: pending messages, and some 80 bytes a chunk.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/trace"
)

// ErrUnknown says that no stream of that name is declared.
var ErrUnknown = errors.New("stream: not declared")

// Config is what a stream is declared as.
type Config struct {
	Filters   []string      // topic filters, valid ones, without $share
	Keep      time.Duration // age of the oldest message; 0: no limit
	KeepBytes int64         // size of the messages as they are kept; 0: no limit
	LastValue bool          // only the last message of each topic
}

// Options make Streams.
type Options struct {
	Engine  storage.Engine
	Router  *router.Router
	Metrics *metrics.Metrics
	Logger  *slog.Logger
	Trace   *trace.Spine  // remembers what a stream lost; nil: nobody does
	Seq     func() uint64 // numbers subscribers
	// Now is the clock by which messages get too old to be kept. It goes on as a stopwatch does. nil: the machine's.
	Now func() time.Time
	// Expired reports whether a message has expired at a moment that time.Now returned. nil: by the machine's clock.
	Expired func(m *message.Message, moment time.Time) bool
	// Retired is told what a stream has let go of by age or size: n messages from first on and before end. It may take locks
	// that are held when a stream's methods are called. nil: nobody wants to know.
	Retired func(st *Stream, first, end message.Position, n uint64)
	// HoldBytes is how much of the log a stream may hold with messages that are not enough for a chunk. 0: 16 MiB.
	HoldBytes int64
	// ChunkBytes is the size of a chunk, unless one message is larger. 0: 256 KiB.
	ChunkBytes int64
}

// Streams are the declared streams.
type Streams struct {
	// Static after construction.
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // something for the writer
	wg     sync.WaitGroup
	cache  chunkCache

	declaring chan struct{} // held by who declares or removes

	mu     sync.Mutex // guards what follows
	byName map[string]*Stream
}

// Open restores the streams that are declared and forgets those that are not any more. Close ends it.
func Open(o Options, declared map[string]Config) (*Streams, error) {
	if o.HoldBytes == 0 {
		o.HoldBytes = 16 << 20
	}
	if o.ChunkBytes == 0 {
		o.ChunkBytes = 256 << 10
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Retired == nil {
		o.Retired = func(*Stream, message.Position, message.Position, uint64) {}
	}
	if o.Expired == nil {
		o.Expired = (*message.Message).Expired
	}
	s := &Streams{o: o, wake: make(chan struct{}, 1), declaring: make(chan struct{}, 1), byName: make(map[string]*Stream)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	err := s.forgetUndeclared(declared)
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if err == nil {
			err = s.Declare(s.ctx, name, declared[name])
		}
	}
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.wg.Go(s.write)
	return s, nil
}

// Close ends the writer. What is not in the streams' own stores is in the log.
func (s *Streams) Close() {
	s.cancel()
	s.wg.Wait()
}

// Get returns a declared stream, or nil.
func (s *Streams) Get(name string) *Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byName[name]
}

// All lists the streams by name.
func (s *Streams) All() []*Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Stream, 0, len(s.byName))
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		all = append(all, s.byName[name])
	}
	return all
}

// Oldest returns the place from which some stream needs the log; ok is false if none does.
func (s *Streams) Oldest() (pos message.Position, ok bool) {
	for _, st := range s.All() {
		if next := st.End(); !ok || next.Less(pos) {
			pos, ok = next, true
		}
	}
	return pos, ok
}

// Sweep has the writer look at ages and sizes. It does not block.
func (s *Streams) Sweep() {
	for _, st := range s.All() {
		st.sweep.Store(true)
	}
	s.wakeWriter()
}

func (s *Streams) wakeWriter() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Declare makes a stream, or changes what it is. It may take a while.
//
// A stream that gets other filters keeps its history, which is complete for them from now on only, unless all that they match
// was matched before. One that changes between all messages and last values begins anew.
func (s *Streams) Declare(ctx context.Context, name string, c Config) error {
	defer s.enter()()
	st := s.Get(name)
	fresh := st == nil
	if fresh {
		st = &Stream{s: s, name: name, seq: s.o.Seq(), flushing: make(chan struct{}, 1)}
		if err := st.restore(ctx); err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	if err := st.become(ctx, c); err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	s.mu.Lock()
	s.byName[name] = st
	s.mu.Unlock()
	s.o.Router.CatchUp(st)
	return nil
}

func (s *Streams) enter() (leave func()) {
	s.declaring <- struct{}{}
	return func() { <-s.declaring }
}

// Remove ends a stream and forgets its history.
func (s *Streams) Remove(ctx context.Context, name string) error {
	defer s.enter()()
	st := s.Get(name)
	if st == nil {
		return ErrUnknown
	}
	s.mu.Lock()
	delete(s.byName, name)
	s.mu.Unlock()
	st.end()
	return s.purge(ctx, name)
}

// forgetUndeclared forgets streams that the store has and the configuration does not.
func (s *Streams) forgetUndeclared(declared map[string]Config) error {
	from := state.Streams
	for {
		name, ok, err := s.nextStored(from)
		if err != nil || !ok {
			return err
		}
		if _, ok := declared[name]; !ok {
			s.o.Logger.Warn("stream is not declared any more: its history is forgotten", "stream", name)
			if err := s.purge(s.ctx, name); err != nil {
				return fmt.Errorf("stream %s: %w", name, err)
			}
		}
		from = state.AfterStream(name)
	}
}

// nextStored returns the first stream in the store whose keys are not before one.
func (s *Streams) nextStored(from []byte) (name string, ok bool, err error) {
	for kv, err := range s.o.Engine.ScanFrom(s.ctx, state.Streams, from) {
		if err != nil {
			return "", false, err
		}
		name, err := state.StreamName(kv.Key)
		return name, true, err
	}
	return "", false, nil
}

// purge forgets all that the store has of a stream. What it is goes last, so that a crash does not leave the rest.
func (s *Streams) purge(ctx context.Context, name string) error {
	var ops []storage.Op
	head := string(state.StreamHead(name))
	for kv, err := range s.o.Engine.Scan(ctx, state.OfStream(name)) {
		if err != nil {
			return err
		}
		if string(kv.Key) != head {
			ops = append(ops, state.Delete(kv.Key))
		}
		if len(ops) >= unitOps {
			if err := s.commit(ctx, ops); err != nil {
				return err
			}
			ops = nil
		}
	}
	return s.commit(ctx, append(ops, state.Delete([]byte(head))))
}

// busyRetry is how long a commit waits for room in the engine's queue.
const busyRetry = 20 * time.Millisecond

// commit commits ops and waits for that.
func (s *Streams) commit(ctx context.Context, ops []storage.Op) error {
	done := make(chan error, 1)
	for {
		err := s.o.Engine.Submit(0, storage.Unit{Ops: ops}, func(_ message.Position, err error) { done <- err })
		if err == nil {
			break
		}
		if !errors.Is(err, storage.ErrBusy) {
			return err
		}
		if err := s.pause(ctx, busyRetry); err != nil {
			return err
		}
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *Streams) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}
