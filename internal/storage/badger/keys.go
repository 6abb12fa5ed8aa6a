package badger

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/barid-mqtt/barid/internal/storage"
)

// Get implements storage.Engine.
func (e *Engine) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("storage: get a key: %w", err)
	}
	e.use.RLock()
	defer e.use.RUnlock()
	e.mu.RLock()
	gone := e.gone
	value, ok := e.overlay.get(string(key)) // before the state: what is in neither now was in the overlay before
	e.mu.RUnlock()
	switch {
	case gone:
		return nil, storage.ErrClosed
	case ok && value == nil:
		return nil, storage.ErrNotFound
	case ok:
		return bytes.Clone(value), nil
	}
	return e.state.get(key)
}

// What Scan copies at once.
const (
	scanKeys  = 256
	scanBytes = 1 << 20
)

// Scan implements storage.Engine. Commits go on between the keys.
func (e *Engine) Scan(ctx context.Context, prefix []byte) iter.Seq2[storage.KV, error] {
	return e.ScanFrom(ctx, prefix, prefix)
}

// ScanFrom implements storage.Engine.
func (e *Engine) ScanFrom(ctx context.Context, prefix, from []byte) iter.Seq2[storage.KV, error] {
	start, first := string(prefix), string(from)
	return func(yield func(storage.KV, error) bool) {
		from := max(start, first)
		for {
			s, err := e.scanSome(ctx, start, from)
			if err != nil {
				yield(storage.KV{}, err)
				return
			}
			for _, kv := range s.batch {
				if !yield(kv, nil) {
					return
				}
			}
			if s.ended {
				return
			}
			from = s.last + "\x00"
		}
	}
}

// scanSome returns some keys with a prefix, from one of them on.
func (e *Engine) scanSome(ctx context.Context, prefix, from string) (*scan, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("storage: scan the keys: %w", err)
	}
	e.use.RLock()
	defer e.use.RUnlock()
	e.mu.RLock()
	gone := e.gone
	over, all := e.overlay.some(prefix, from, scanKeys)
	e.mu.RUnlock()
	if gone {
		return nil, storage.ErrClosed
	}
	s := &scan{over: over, last: from}
	if !all {
		s.end, s.bounded = over[len(over)-1].key, true
	}
	if err := e.state.scan(prefix, from, s.take); err != nil {
		return nil, err
	}
	s.finish()
	return s, nil
}

// scan merges changes of the overlay with what the state has.
type scan struct {
	over    []change // not merged yet
	end     string   // the last key that over knows of, if bounded
	bounded bool
	batch   []storage.KV
	bytes   int
	last    string // all keys up to this one are in the batch
	full    bool   // there was no room for the next key, or over did not reach it
	ended   bool   // there are no more keys
}

// take merges the next key of the state, and says whether to go on.
func (s *scan) take(key, value []byte) bool {
	for len(s.over) > 0 && s.over[0].key < string(key) {
		if !s.takeChange() {
			return false
		}
	}
	if s.bounded && string(key) > s.end {
		s.full = true
		return false
	}
	if len(s.over) > 0 && s.over[0].key == string(key) {
		return s.takeChange()
	}
	return s.add(string(key), value)
}

func (s *scan) takeChange() bool {
	c := s.over[0]
	if c.value == nil {
		s.last = c.key
	} else if !s.add(c.key, c.value) {
		return false
	}
	s.over = s.over[1:]
	return true
}

func (s *scan) add(key string, value []byte) bool {
	if len(s.batch) >= scanKeys || len(s.batch) > 0 && s.bytes+len(value) > scanBytes {
		s.full = true
		return false
	}
	s.batch = append(s.batch, storage.KV{Key: []byte(key), Value: append([]byte{}, value...)})
	s.bytes += len(value)
	s.last = key
	return true
}

// finish takes what the overlay has after the state's last key.
func (s *scan) finish() {
	for !s.full && len(s.over) > 0 {
		s.takeChange()
	}
	s.ended = !s.full && !s.bounded
}
