package stream

import (
	"context"
	"slices"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

// retire lets go of what is older or more than is to be kept.
func (st *Stream) retire(ctx context.Context, now time.Time) error {
	st.flushing <- struct{}{}
	defer func() { <-st.flushing }()
	st.mu.Lock()
	c, head, ended := st.cfg, st.state, st.ended
	st.mu.Unlock()
	switch {
	case ended || c.Keep == 0 && c.KeepBytes == 0:
		return nil
	case c.LastValue:
		return st.retireValues(ctx, c, head, now)
	}
	return st.retireChunks(ctx, c, head, now)
}

func (st *Stream) retireChunks(ctx context.Context, c Config, head state.Stream, now time.Time) error {
	n := 0
	var ops []storage.Op
	for i := range st.chunks {
		chunk := &st.chunks[i]
		old := c.Keep > 0 && chunk.Stored.Before(now.Add(-c.Keep))
		if !old && (c.KeepBytes == 0 || head.Bytes <= c.KeepBytes) {
			break
		}
		head.Bytes -= chunk.Bytes
		head.Count -= chunk.Count
		head.First = chunk.Last.Next()
		if head.CompleteSince.Before(chunk.Newest) || head.CompleteSince.Equal(chunk.Newest) {
			head.CompleteSince = chunk.Newest.Add(1)
		}
		ops = append(ops, state.DeleteChunk(st.name, chunk)...)
		n++
		if len(ops) >= unitOps {
			st.sweep.Store(true)
			defer st.s.wakeWriter() // for the rest
			break
		}
	}
	if n == 0 {
		return nil
	}
	if err := st.s.commit(ctx, append(ops, state.PutStream(&head))); err != nil {
		return err
	}
	gone := slices.Clone(st.chunks[:n])
	st.mu.Lock()
	st.chunks = slices.Delete(st.chunks, 0, n)
	st.mu.Unlock()
	st.kept(head)
	for i := range gone {
		st.s.o.Retired(st, gone[i].First, gone[i].Last.Next(), gone[i].Count)
	}
	return nil
}

// retireValues lets go of the oldest of the last values.
func (st *Stream) retireValues(ctx context.Context, c Config, head state.Stream, now time.Time) error {
	tooMuch := c.KeepBytes > 0 && head.Bytes > c.KeepBytes
	tooOld := c.Keep > 0 && !now.Before(st.nextAged)
	if !tooMuch && !tooOld {
		return nil
	}
	var ops []storage.Op
	var gone []message.Position
	for kv, err := range st.s.o.Engine.Scan(ctx, state.Values(st.name)) {
		if err != nil {
			return err
		}
		r, stored, err := state.DecodeValue(st.name, kv)
		if err != nil {
			return err
		}
		old := c.Keep > 0 && stored.Before(now.Add(-c.Keep))
		if !old && (c.KeepBytes == 0 || head.Bytes <= c.KeepBytes) {
			st.nextAged = stored.Add(c.Keep)
			break
		}
		head.Count--
		head.Bytes -= int64(len(kv.Value))
		head.First = r.Position.Next()
		gone = append(gone, r.Position)
		ops = append(ops, state.Delete(kv.Key), state.Delete(state.LatestKey(st.name, r.Message.Topic)))
		if len(ops) >= unitOps {
			st.sweep.Store(true)
			defer st.s.wakeWriter()
			break
		}
	}
	if len(ops) == 0 {
		return nil
	}
	if err := st.s.commit(ctx, append(ops, state.PutStream(&head))); err != nil {
		return err
	}
	st.kept(head)
	for _, pos := range gone {
		st.s.o.Retired(st, pos, pos.Next(), 1)
	}
	return nil
}
