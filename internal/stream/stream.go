package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// pendingChunks is how many chunks may wait to be written. Past it the stream reads the log later.
const pendingChunks = 4

// Stream is one declared stream. To the router it is a subscriber, and a reader of the log when it lags behind.
type Stream struct {
	// Static after construction.
	s    *Streams
	name string
	seq  uint64

	sweep    atomic.Bool   // ages and sizes are to be looked at
	flushing chan struct{} // held by who writes to the store, and so changes state and chunks
	routed   router.Place  // owned by who declares

	mu           sync.Mutex // guards what follows
	cfg          Config
	state        state.Stream  // as it is in the store
	chunks       []state.Chunk // in the store, in order
	pending      []router.Record
	pendingBytes int64
	live         bool             // it belongs to the tail
	next         message.Position // before it, all that matches is pending or in the store
	ended        bool
	nextAged     time.Time // last values: before it none is too old
}

// Name returns the stream's name.
func (st *Stream) Name() string { return st.name }

// Config returns what the stream is declared as.
func (st *Stream) Config() Config {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.cfg
}

// End returns the place up to which the stream's own store is complete. The log has what comes after it.
func (st *Stream) End() message.Position {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.state.Next
}

// Info counts what a stream has in its own store.
type Info struct {
	Messages uint64
	Bytes    int64
	First    message.Position // what was before it was let go
	Next     message.Position // the log has what comes from here on
}

// Info describes the stream's store.
func (st *Stream) Info() Info {
	st.mu.Lock()
	defer st.mu.Unlock()
	return Info{Messages: st.state.Count, Bytes: st.state.Bytes, First: st.state.First, Next: st.state.Next}
}

// Matches reports whether a topic belongs to the stream.
func (st *Stream) Matches(topic string) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return !st.ended && matchesAny(st.cfg.Filters, topic)
}

func matchesAny(filters []string, topic string) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return mqtt.MatchTopic(f, topic) })
}

// Shows reports whether the stream still shows a message at a moment that time.Now returned: it is neither too old, by the
// machine's clock, nor expired. What is not shown any more is let go of soon after, or with the chunk that it is in.
func (st *Stream) Shows(m *message.Message, now time.Time) bool {
	return !st.s.o.Expired(m, now) && !st.TooOld(m, now)
}

// TooOld reports whether a message is older than the stream keeps them, at a moment that time.Now returned.
func (st *Stream) TooOld(m *message.Message, now time.Time) bool {
	st.mu.Lock()
	keep := st.cfg.Keep
	st.mu.Unlock()
	return keep > 0 && m.PublishedAt.Before(now.Add(-keep))
}

// restore reads what the store has of the stream.
func (st *Stream) restore(ctx context.Context) error {
	key := state.StreamHead(st.name)
	value, err := st.s.o.Engine.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	head, err := state.DecodeStream(storage.KV{Key: key, Value: value})
	if err != nil {
		return err
	}
	var chunks []state.Chunk
	for kv, err := range st.s.o.Engine.Scan(ctx, state.Chunks(st.name)) {
		if err != nil {
			return err
		}
		c, err := state.DecodeChunk(st.name, kv)
		if err != nil {
			return err
		}
		chunks = append(chunks, *c)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.state, st.chunks, st.next = *head, chunks, head.Next
	st.cfg = Config{Filters: head.Filters, LastValue: head.LastValue}
	return nil
}

// become makes the stream what it is declared as.
func (st *Stream) become(ctx context.Context, c Config) error {
	old := st.Config()
	known := len(old.Filters) > 0
	if known && old.LastValue != c.LastValue {
		if err := st.restart(ctx); err != nil {
			return err
		}
		known = false
	}
	same := known && slices.Equal(old.Filters, c.Filters)
	if known && !same {
		if err := st.finish(ctx); err != nil { // what the old filters matched up to now
			return err
		}
	}
	st.enter(c)
	if same {
		return nil
	}
	end := st.s.o.Engine.Health().Next // what is published from now on is appended, at this place or after it
	st.mu.Lock()
	head := st.state
	head.Name, head.Filters, head.LastValue = st.name, c.Filters, c.LastValue
	if !known {
		head.Next, head.First, st.next = end, end, end
		st.pending, st.pendingBytes = nil, 0
	}
	if !known || !CoversAll(old.Filters, c.Filters) {
		head.Complete, head.CompleteSince = end, time.Now()
	}
	st.mu.Unlock()
	return st.keep(ctx, head)
}

// keep keeps what the stream is.
func (st *Stream) keep(ctx context.Context, head state.Stream) error {
	st.flushing <- struct{}{}
	defer func() { <-st.flushing }()
	if err := st.s.commit(ctx, []storage.Op{state.PutStream(&head)}); err != nil {
		return err
	}
	st.kept(head)
	return nil
}

// kept notes what the store has now.
func (st *Stream) kept(head state.Stream) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if head.Complete.Less(st.state.Complete) { // a gap was found meanwhile
		head.Complete, head.CompleteSince = st.state.Complete, st.state.CompleteSince
	}
	st.state = head
}

// enter puts the stream's filters where the router finds them, in place of those before.
func (st *Stream) enter(c Config) {
	st.mu.Lock()
	st.cfg = c
	st.mu.Unlock()
	st.routed.Enter(st.s.o.Router, st, c.Filters, message.Position{}, func(v *session.Subscription) { v.Stream = true })
}

// end takes the stream from the router.
func (st *Stream) end() {
	st.mu.Lock()
	st.ended, st.pending, st.pendingBytes = true, nil, 0
	st.mu.Unlock()
	st.routed.Leave(st.s.o.Router)
	st.flushing <- struct{}{} // what was being written is
	st.mu.Lock()
	st.chunks = nil
	st.mu.Unlock()
	<-st.flushing
}

// restart forgets the stream's history.
func (st *Stream) restart(ctx context.Context) error {
	st.flushing <- struct{}{}
	defer func() { <-st.flushing }()
	if err := st.s.purge(ctx, st.name); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.state, st.chunks = state.Stream{Name: st.name}, nil
	st.pending, st.pendingBytes, st.live = nil, 0, false
	return nil
}

// finish takes what the log has up to its end into the store.
func (st *Stream) finish(ctx context.Context) error {
	end := st.s.o.Engine.Health().Next
	for {
		if err := st.Flush(ctx); err != nil {
			return err
		}
		st.mu.Lock()
		from, live := st.next, st.live
		st.mu.Unlock()
		if live || !from.Less(end) {
			return st.Flush(ctx)
		}
		blocks, _, err := st.s.o.Engine.Read(ctx, 0, from, 1<<20)
		var trimmed *storage.TrimmedError
		switch {
		case errors.As(err, &trimmed):
			st.Lost(trimmed.First)
		case err != nil:
			return err
		case len(blocks) == 0:
			return st.Flush(ctx)
		}
		for _, blk := range blocks {
			if !st.Read(nil, blk) {
				break
			}
		}
	}
}

// Seq implements router.Subscriber.
func (st *Stream) Seq() uint64 { return st.seq }

// Overlaps implements router.Subscriber.
func (st *Stream) Overlaps() bool { return true }

// Durable implements router.Subscriber.
func (st *Stream) Durable() bool { return true }

// Deliver implements router.Subscriber. All that a stream gets comes through the log.
func (st *Stream) Deliver(*conn.Batch, *message.Message, []*session.Subscription) {}

// Tail implements router.Subscriber.
func (st *Stream) Tail(_ *conn.Batch, r router.Record, _ []*session.Subscription) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.live && !r.Position.Less(st.next) {
		st.take(r)
	}
}

// take takes a record, or stops at it if too much is pending. The caller holds st.mu.
func (st *Stream) take(r router.Record) bool {
	if st.pendingBytes >= pendingChunks*st.chunkBytes() {
		st.live, st.next = false, r.Position
		return false
	}
	st.pending = append(st.pending, r)
	st.pendingBytes += sizeOf(r.Message)
	st.next = r.Position.Next()
	if st.pendingBytes >= st.chunkBytes() {
		st.s.wakeWriter()
	}
	return true
}

func sizeOf(m *message.Message) int64 { return int64(message.EncodedBound(m)) }

// chunkBytes is the size of a chunk: smaller ones where few bytes are kept, since they are let go of as a whole. The caller
// holds st.mu.
func (st *Stream) chunkBytes() int64 {
	size := st.s.o.ChunkBytes
	if k := st.cfg.KeepBytes; k > 0 {
		size = min(size, max(4096, k/8))
	}
	return size
}

// Lag implements router.Reader.
func (st *Stream) Lag() (from message.Position, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.next, !st.live && !st.ended && st.pendingBytes < pendingChunks*st.chunkBytes()
}

// Read implements router.Reader.
func (st *Stream) Read(_ *conn.Batch, blk storage.Block) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.live || st.ended {
		return false
	}
	for i, rec := range blk.Records {
		pos := message.Position{Block: blk.Seq, Index: uint32(i)}
		if pos.Less(st.next) || !matchesAny(st.cfg.Filters, rec.Message.Topic) {
			continue
		}
		if !st.take(router.Record{Position: pos, Message: rec.Message}) {
			return false
		}
	}
	if end := (message.Position{Block: blk.Seq + 1}); st.next.Less(end) {
		st.next = end
	}
	return true
}

// Join implements router.Reader.
func (st *Stream) Join(next message.Position, begun func() uint64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.next.Less(next) {
		st.next = next
	}
	st.live = true // before begun is looked at: dispatch moves begun before it looks at live
	if begun() > st.next.Block {
		st.live = false
	}
	return st.live || st.ended
}

// Lost implements router.Reader.
func (st *Stream) Lost(first message.Position) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.live || !st.next.Less(first) {
		return
	}
	st.next = first
	st.state.Complete, st.state.CompleteSince = first, time.Now() // kept with the next commit
	st.s.o.Metrics.Drop(message.DropLogTrimmed, 1)
	st.s.o.Trace.Note(trace.Dropped, message.DropLogTrimmed, "stream "+st.name, nil, time.Now(), 1, func(e *trace.Event) {
		e.Text = fmt.Sprintf("its history has a gap before block %d", first.Block)
	})
	st.s.o.Logger.Error("the log was trimmed before the stream had read it: its history has a gap", "stream", st.name, "until_block", first.Block)
}
