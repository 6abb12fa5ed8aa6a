package memory

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/summary"
)

// Read implements storage.Engine.
func (e *Engine) Read(ctx context.Context, lane storage.Lane, from message.Position, maxBytes int) ([]storage.Block, message.Position, error) {
	if err := checkLane(lane); err != nil {
		return nil, from, err
	}
	if err := ctx.Err(); err != nil {
		return nil, from, fmt.Errorf("storage: read the log: %w", err)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.gone {
		return nil, from, storage.ErrClosed
	}
	sequence := max(from.Block, 1)
	if sequence < e.log.first {
		return nil, from, &storage.TrimmedError{First: message.Position{Block: e.log.first}}
	}
	if sequence >= e.log.next() {
		return nil, from, nil
	}
	if int(from.Index) >= len(e.log.block(sequence).Records) {
		sequence++ // the end of a block is the start of the next
	}
	var blocks []storage.Block
	for size := int64(0); sequence < e.log.next(); sequence++ {
		size += e.log.size(sequence)
		if len(blocks) > 0 && size > int64(maxBytes) {
			break
		}
		blocks = append(blocks, e.log.block(sequence))
	}
	return blocks, message.Position{Block: sequence}, nil
}

// ReadFor implements storage.Engine. What is in memory is given as it is.
func (e *Engine) ReadFor(ctx context.Context, lane storage.Lane, from message.Position, maxBytes int, _ uint64, _ *summary.Question) ([]storage.Block, message.Position, error) {
	return e.Read(ctx, lane, from, maxBytes)
}

// Size implements storage.Engine.
func (e *Engine) Size(ctx context.Context, lane storage.Lane, from message.Position) (int64, error) {
	if err := checkLane(lane); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("storage: measure the log: %w", err)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	sequence := max(from.Block, 1)
	switch {
	case e.gone:
		return 0, storage.ErrClosed
	case sequence < e.log.first:
		return 0, &storage.TrimmedError{First: message.Position{Block: e.log.first}}
	case sequence >= e.log.next():
		return 0, nil
	}
	return e.log.end - e.log.start(sequence), nil
}

// Trim implements storage.Engine.
func (e *Engine) Trim(ctx context.Context, lane storage.Lane, before message.Position) error {
	if err := checkLane(lane); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("storage: trim the log: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return storage.ErrClosed
	}
	if first := min(before.Block, e.log.next()); first > e.log.first {
		e.log.first = first
		e.free()
	}
	return nil
}

// Get implements storage.Engine.
func (e *Engine) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("storage: get a key: %w", err)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.gone {
		return nil, storage.ErrClosed
	}
	value, ok := e.kv.Get(string(key))
	if !ok {
		return nil, storage.ErrNotFound
	}
	return bytes.Clone(value), nil
}

// scanBatch is how many keys Scan copies for each time that it takes the lock.
const scanBatch = 256

// Scan implements storage.Engine. Commits go on between the keys.
func (e *Engine) Scan(ctx context.Context, prefix []byte) iter.Seq2[storage.KV, error] {
	return e.ScanFrom(ctx, prefix, prefix)
}

// ScanFrom implements storage.Engine.
func (e *Engine) ScanFrom(ctx context.Context, prefix, from []byte) iter.Seq2[storage.KV, error] {
	start, first := string(prefix), string(from)
	return func(yield func(storage.KV, error) bool) {
		batch := make([]storage.KV, 0, scanBatch)
		for from := max(start, first); ; {
			var err error
			batch, err = e.scanSome(ctx, start, from, batch[:0])
			if err != nil {
				yield(storage.KV{}, err)
				return
			}
			more := len(batch) == scanBatch
			if more {
				from = string(batch[scanBatch-1].Key) + "\x00" // before the key is the caller's
			}
			for _, kv := range batch {
				if !yield(kv, nil) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

// scanSome appends keys with a prefix to dst, starting at from, until dst is at its capacity.
func (e *Engine) scanSome(ctx context.Context, prefix, from string, dst []storage.KV) ([]storage.KV, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("storage: scan the keys: %w", err)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.gone {
		return nil, storage.ErrClosed
	}
	e.kv.Ascend(from, func(key string, value []byte) bool {
		if len(dst) == cap(dst) || !strings.HasPrefix(key, prefix) {
			return false
		}
		dst = append(dst, storage.KV{Key: []byte(key), Value: bytes.Clone(value)})
		return true
	})
	return dst, nil
}

// Claim implements storage.Engine. When it returns, no unit with an older fence will commit any more.
func (e *Engine) Claim(ctx context.Context, clientID string) (storage.Token, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("storage: claim a session: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return 0, storage.ErrClosed
	}
	return e.claims.next(clientID), nil
}
