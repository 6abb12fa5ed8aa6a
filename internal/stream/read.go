package stream

import (
	"context"
	"errors"
	"sort"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

// Kept calls fn for what the stream's own store has from a place on, in order, until fn returns false, and returns the
// place to go on from: that of the record that fn did not take, or one from which the log has to be read.
//
// Messages that are too old or have expired are left out. fn must not keep a lock that the writer needs.
func (st *Stream) Kept(ctx context.Context, from message.Position, fn func(router.Record) bool) (next message.Position, err error) {
	return st.Records(ctx, from, func(r router.Record) bool { return !st.Shows(r.Message, time.Now()) || fn(r) })
}

// At returns the message at a place of the stream, from its own store or the log, whether it is shown or not; nil if it is
// gone.
func (st *Stream) At(ctx context.Context, pos message.Position) (m *message.Message, err error) {
	for !pos.Less(st.End()) {
		blocks, _, err := st.s.o.Engine.Read(ctx, 0, message.Position{Block: pos.Block}, 1)
		var trimmed *storage.TrimmedError
		switch {
		case err != nil && !errors.As(err, &trimmed):
			return nil, err
		case err == nil && len(blocks) > 0 && blocks[0].Seq == pos.Block && int(pos.Index) < len(blocks[0].Records):
			return blocks[0].Records[pos.Index].Message, nil
		case !pos.Less(st.End()): // otherwise the stream has taken it over meanwhile
			return nil, nil
		}
	}
	_, err = st.Records(ctx, pos, func(r router.Record) bool {
		if r.Position == pos {
			m = r.Message
		}
		return false
	})
	return m, err
}

// Records is Kept with what the stream does not show any more.
func (st *Stream) Records(ctx context.Context, from message.Position, fn func(router.Record) bool) (next message.Position, err error) {
	st.mu.Lock()
	last := st.cfg.LastValue
	if from.Less(st.state.First) {
		from = st.state.First
	}
	st.mu.Unlock()
	if last {
		return st.keptValues(ctx, from, fn)
	}
	for {
		end := st.End() // before the look for a chunk: one that comes later is not passed over
		c, ok := st.chunkAt(from)
		if !ok {
			return later(from, end), nil
		}
		records, err := st.load(ctx, &c)
		if errors.Is(err, storage.ErrNotFound) && st.changed(&c) {
			continue // it was let go of, or written anew
		}
		if err != nil {
			return from, err
		}
		for _, r := range records {
			if r.Position.Less(from) || c.Last.Less(r.Position) {
				continue
			}
			if !fn(router.Record(r)) {
				return r.Position, nil
			}
		}
		if from = c.Last.Next(); ctx.Err() != nil {
			return from, ctx.Err()
		}
	}
}

// later returns the later of two places.
func later(a, b message.Position) message.Position {
	if a.Less(b) {
		return b
	}
	return a
}

// chunkAt returns the first chunk that ends at or after a place.
func (st *Stream) chunkAt(pos message.Position) (c state.Chunk, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	i := sort.Search(len(st.chunks), func(i int) bool { return !st.chunks[i].Last.Less(pos) })
	if i == len(st.chunks) {
		return c, false
	}
	return st.chunks[i], true
}

// changed reports whether the stream has another chunk, or none, where c was.
func (st *Stream) changed(c *state.Chunk) bool {
	now, ok := st.chunkAt(c.First)
	return !ok || now != *c
}

func (st *Stream) keptValues(ctx context.Context, from message.Position, fn func(router.Record) bool) (next message.Position, err error) {
	end := st.End() // before the scan: what is moved behind it meanwhile is in the log as well
	for kv, err := range st.s.o.Engine.ScanFrom(ctx, state.Values(st.name), state.ValueKey(st.name, from)) {
		if err != nil {
			return from, err
		}
		r, _, err := state.DecodeValue(st.name, kv)
		if err != nil {
			return from, err
		}
		if !r.Position.Less(end) {
			break
		}
		if !fn(router.Record(r)) {
			return r.Position, nil
		}
	}
	if from.Less(end) {
		from = end
	}
	return from, nil
}

// load returns a chunk's records.
func (st *Stream) load(ctx context.Context, c *state.Chunk) ([]state.StreamRecord, error) {
	if records := st.s.cache.get(st, c); records != nil {
		return records, nil
	}
	data, err := st.bytesOf(ctx, c)
	if err != nil {
		return nil, err
	}
	records, err := state.DecodeChunkRecords(state.ChunkPart(st.name, c.First, 0), data)
	if err != nil {
		if st.changed(c) {
			return nil, storage.ErrNotFound
		}
		return nil, err
	}
	st.s.cache.put(st, c, records)
	return records, nil
}

// Locate returns the place of the first message in the stream's store or the log that was published at a time or later,
// or, if there is none, the log's end.
func (st *Stream) Locate(ctx context.Context, t time.Time) (message.Position, error) {
	st.mu.Lock()
	last := st.cfg.LastValue
	i := sort.Search(len(st.chunks), func(i int) bool { return !st.chunks[i].Newest.Before(t) })
	var from message.Position
	if i < len(st.chunks) {
		from = st.chunks[i].First
	} else {
		from = st.state.Next
	}
	if last {
		from = message.Position{}
	}
	st.mu.Unlock()
	found, at := false, message.Position{}
	next, err := st.Kept(ctx, from, func(r router.Record) bool {
		found, at = !r.Message.PublishedAt.Before(t), r.Position
		return !found
	})
	if err != nil || found {
		return at, err
	}
	return st.s.locate(ctx, next, t)
}

// Locate returns the place of the first message in the log that was published at a time or later, or, if there is none,
// the log's end.
func (s *Streams) Locate(ctx context.Context, t time.Time) (message.Position, error) {
	return s.locate(ctx, s.o.Engine.Health().First, t)
}

// lookBack is how many blocks before the one that was found are looked at as well: publishers commit out of the order
// of their times by fractions of a second.
const lookBack = 8

// locate finds the first message of the log, from a place on, that was published at a time or later, by halves. Where the
// clock went back, it may find any of the places where the time was passed.
func (s *Streams) locate(ctx context.Context, from message.Position, t time.Time) (message.Position, error) {
	end := s.o.Engine.Health().Next.Block
	low, high := min(max(from.Block, 1), end), end // the block is at or after low, and before high if at all
	floor := low
	found := message.Position{Block: end}
	for low < high {
		middle := low + (high-low)/2
		at, ok, first, err := s.reaches(ctx, middle, t)
		switch {
		case err != nil:
			return from, err
		case first > middle: // the log was trimmed
			low = min(first, high)
			floor = low
		case ok:
			high, found = middle, at
		default:
			low = middle + 1
		}
	}
	for back := low; back > floor && low-back < lookBack; {
		back--
		at, ok, first, err := s.reaches(ctx, back, t)
		switch {
		case err != nil:
			return from, err
		case first > back:
			floor = back
		case ok:
			low, found = back, at
		}
	}
	if found.Less(from) {
		return from, nil
	}
	return found, nil
}

// reaches finds the first message of a block that was published at a time or later. If the block is gone, first is the
// first that is left, otherwise it is the block.
func (s *Streams) reaches(ctx context.Context, block uint64, t time.Time) (at message.Position, ok bool, first uint64, err error) {
	blocks, _, err := s.o.Engine.Read(ctx, 0, message.Position{Block: block}, 1)
	var trimmed *storage.TrimmedError
	if errors.As(err, &trimmed) {
		return at, false, trimmed.First.Block, nil
	}
	if err != nil || len(blocks) == 0 {
		return at, false, block, err
	}
	for i, r := range blocks[0].Records {
		if !r.Message.PublishedAt.Before(t) {
			return message.Position{Block: blocks[0].Seq, Index: uint32(i)}, true, block, nil
		}
	}
	return at, false, block, nil
}

// cachedChunks is how many decoded chunks readers share.
const cachedChunks = 16

// chunkCache has the chunks that were read last.
type chunkCache struct {
	mu      sync.Mutex
	entries [cachedChunks]cachedChunk
	next    int
}

type cachedChunk struct {
	of      *Stream
	chunk   state.Chunk
	records []state.StreamRecord
}

func (c *chunkCache) get(st *Stream, chunk *state.Chunk) []state.StreamRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.entries {
		if e := &c.entries[i]; e.of == st && e.chunk == *chunk {
			return e.records
		}
	}
	return nil
}

func (c *chunkCache) put(st *Stream, chunk *state.Chunk, records []state.StreamRecord) {
	if chunk.Bytes > 1<<20 {
		return // large messages are not for sharing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[c.next] = cachedChunk{st, *chunk, records}
	c.next = (c.next + 1) % cachedChunks
}
