package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

const (
	unitOps   = 1000    // ops of a commit
	unitBytes = 4 << 20 // and their bytes
	partBytes = 4 << 20 // of a chunk whose one message is larger
	idleBytes = 1 << 20 // of the log that a stream holds before its place is kept though nothing matched
)

// write is the writer: it moves what is pending into the streams' stores, and lets go of what is too old or too much.
func (s *Streams) write() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		}
		for _, st := range s.All() {
			if err := st.work(s.ctx); err != nil && s.ctx.Err() == nil {
				s.o.Logger.Error("stream not written; it is tried again", "stream", st.name, "error", err)
			}
		}
	}
}

// work does what is due.
func (st *Stream) work(ctx context.Context) error {
	sweep := st.sweep.Swap(false)
	st.mu.Lock()
	due := st.pendingBytes >= st.chunkBytes() || sweep && st.cfg.LastValue && len(st.pending) > 0
	st.mu.Unlock()
	if sweep && !due {
		var err error
		if due, err = st.holdsTooMuch(ctx); err != nil {
			return err
		}
	}
	if due {
		if err := st.Flush(ctx); err != nil {
			return err
		}
	}
	if sweep {
		return st.retire(ctx, st.s.o.Now())
	}
	return nil
}

// holdsTooMuch reports whether the stream keeps too much of the log from being forgotten.
func (st *Stream) holdsTooMuch(ctx context.Context) (bool, error) {
	st.mu.Lock()
	from, limit := st.state.Next, min(idleBytes, st.s.o.HoldBytes)
	behind := from.Less(st.place())
	if len(st.pending) > 0 {
		limit = st.s.o.HoldBytes
	}
	st.mu.Unlock()
	if !behind {
		return false, nil
	}
	size, err := st.s.o.Engine.Size(ctx, 0, from)
	var trimmed *storage.TrimmedError
	if errors.As(err, &trimmed) {
		return true, nil
	}
	return size >= limit, err
}

// Flush takes what is pending into the store.
func (st *Stream) Flush(ctx context.Context) error {
	st.flushing <- struct{}{}
	defer func() { <-st.flushing }()
	st.mu.Lock()
	if st.ended {
		st.mu.Unlock()
		return nil
	}
	head, records, last := st.state, st.pending, st.cfg.LastValue
	head.Next = st.place()
	st.pending, st.pendingBytes = nil, 0
	st.mu.Unlock()
	var err error
	switch {
	case head.Next == st.state.Next: // nothing new
	case last:
		err = st.writeValues(ctx, head, records)
	default:
		err = st.writeChunks(ctx, head, records)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err != nil {
		st.putBack(records)
		return err
	}
	if !st.live && !st.ended {
		st.s.o.Router.CatchUp(st)
	}
	return nil
}

// place is where the stream has come to: all that matches before it was taken. The caller holds st.mu.
func (st *Stream) place() message.Position {
	if st.live {
		if begun := st.s.o.Router.Begun(); begun > 0 { // all blocks but the last begun are dispatched to the end
			if last := (message.Position{Block: begun - 1}); st.next.Less(last) {
				return last
			}
		}
	}
	return st.next
}

// putBack undoes the taking of what could not be written. The caller holds st.mu.
func (st *Stream) putBack(records []router.Record) {
	kept := 0
	for kept < len(records) && records[kept].Position.Less(st.state.Next) { // some of it was written
		kept++
	}
	st.pending = append(records[kept:len(records):len(records)], st.pending...)
	for _, r := range records[kept:] {
		st.pendingBytes += sizeOf(r.Message)
	}
}

// building is a chunk that is being made.
type building struct {
	state.Chunk
	data []byte
}

func (c *building) add(r router.Record) {
	if c.Count == 0 {
		c.First, c.Oldest = r.Position, r.Message.PublishedAt
	}
	c.data = state.AppendChunkRecord(c.data, r.Position, r.Message)
	c.Count++
	c.Last = r.Position
	if c.Newest.Before(r.Message.PublishedAt) {
		c.Newest = r.Message.PublishedAt
	}
}

// writeChunks keeps records as chunks, the first of which goes on with the last chunk if that is small.
func (st *Stream) writeChunks(ctx context.Context, head state.Stream, records []router.Record) error {
	st.mu.Lock()
	size := st.chunkBytes()
	st.mu.Unlock()
	chunks, replaced, err := st.build(ctx, records, size)
	if err != nil {
		return err
	}
	var ops []storage.Op
	bytes := 0
	for i := range chunks {
		c := &chunks[i]
		c.Bytes, c.Stored = int64(len(c.data)), st.s.o.Now()
		for at := 0; at < len(c.data); at += partBytes {
			part := c.data[at:min(at+partBytes, len(c.data))]
			if bytes+len(part) > unitBytes && len(ops) > 0 { // what is not in a commit with its chunk yet is not read
				if err := st.s.commit(ctx, ops); err != nil {
					return err
				}
				ops, bytes = nil, 0
			}
			ops = append(ops, storage.Op{Key: state.ChunkPart(st.name, c.First, c.Parts), Value: part})
			bytes += len(part)
			c.Parts++
		}
		head.Bytes += c.Bytes
		head.Count += c.Count
	}
	for i := range chunks {
		ops = append(ops, state.PutChunk(st.name, &chunks[i].Chunk))
	}
	if replaced != nil {
		head.Bytes -= replaced.Bytes
		head.Count -= replaced.Count
	}
	if err := st.s.commit(ctx, append(ops, state.PutStream(&head))); err != nil {
		return err
	}
	st.mu.Lock()
	if replaced != nil {
		st.chunks = st.chunks[:len(st.chunks)-1]
	}
	for i := range chunks {
		st.chunks = append(st.chunks, chunks[i].Chunk)
	}
	st.mu.Unlock()
	st.kept(head)
	return nil
}

// build makes chunks of records. replaced is the chunk in the store that the first goes on with; nil: none.
func (st *Stream) build(ctx context.Context, records []router.Record, size int64) (chunks []building, replaced *state.Chunk, err error) {
	var c building
	total := int64(0)
	for _, r := range records {
		total += sizeOf(r.Message)
	}
	if n := len(st.chunks); n > 0 {
		last := st.chunks[n-1]
		c.Newest = last.Newest
		// Not if the new bytes would be in another commit than the chunk: a crash between both would leave them twice.
		if len(records) > 0 && last.Bytes < size/2 && last.Bytes+total < unitBytes/2 {
			if c.data, err = st.bytesOf(ctx, &last); err != nil {
				return nil, nil, err
			}
			c.Chunk = last
			c.Parts = 0
			replaced = &last
		}
	}
	for _, r := range records {
		c.add(r)
		if int64(len(c.data)) >= size {
			chunks = append(chunks, c)
			c = building{Chunk: state.Chunk{Newest: c.Newest}}
		}
	}
	if c.Count > 0 {
		chunks = append(chunks, c)
	}
	return chunks, replaced, nil
}

// bytesOf reads a chunk.
func (st *Stream) bytesOf(ctx context.Context, c *state.Chunk) ([]byte, error) {
	var data []byte
	for i := range c.Parts {
		part, err := st.s.o.Engine.Get(ctx, state.ChunkPart(st.name, c.First, i))
		if err != nil {
			return nil, fmt.Errorf("reading a chunk: %w", err)
		}
		data = append(data, part...)
	}
	return data, nil
}

// writeValues keeps the last record of each topic in the place of the one before.
func (st *Stream) writeValues(ctx context.Context, head state.Stream, records []router.Record) error {
	newest := make(map[string]int, len(records))
	for i, r := range records {
		newest[r.Message.Topic] = i
	}
	end := head.Next
	var ops []storage.Op
	bytes := 0
	for i, r := range records {
		if newest[r.Message.Topic] != i {
			continue
		}
		more, err := st.replaceValue(ctx, &head, state.StreamRecord(r))
		if err != nil {
			return err
		}
		ops = append(ops, more...)
		bytes += int(sizeOf(r.Message))
		if len(ops) >= unitOps || bytes >= unitBytes {
			head.Next = r.Position.Next()
			if err := st.s.commit(ctx, append(ops, state.PutStream(&head))); err != nil {
				return err
			}
			st.kept(head)
			ops, bytes = nil, 0
		}
	}
	head.Next = end
	if err := st.s.commit(ctx, append(ops, state.PutStream(&head))); err != nil {
		return err
	}
	st.kept(head)
	return nil
}

// replaceValue puts a record in the place of its topic's last.
func (st *Stream) replaceValue(ctx context.Context, head *state.Stream, r state.StreamRecord) ([]storage.Op, error) {
	ops := state.PutValue(st.name, r, st.s.o.Now())
	head.Count++
	head.Bytes += int64(len(ops[0].Value))
	key := state.LatestKey(st.name, r.Message.Topic)
	value, err := st.s.o.Engine.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return ops, nil
	}
	if err != nil {
		return nil, err
	}
	pos, size, err := state.DecodeLatest(key, value)
	if err != nil {
		return nil, err
	}
	head.Count--
	head.Bytes -= size
	return append(ops, state.Delete(state.ValueKey(st.name, pos))), nil
}
