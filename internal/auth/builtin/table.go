// Package builtin is the broker's own store of users, rules and bans: what an administrator changes while it runs, by
// the HTTP API for example. Everything is in memory, and a change is on disk, with the storage engine's durability, when
// the call that makes it returns; it is in effect by then.
package builtin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

// Errors of this package. Match them with errors.Is.
var (
	// ErrNotFound says that there is no such user, subject or ban.
	ErrNotFound = errors.New("not found")
	// ErrInvalid says that what is to be stored is wrong; its text says how.
	ErrInvalid = errors.New("invalid")
	// ErrTooMany says that a limit of the store is reached.
	ErrTooMany = errors.New("too many")
)

// Engine is what the store needs of a storage.Engine.
type Engine interface {
	Submit(lane storage.Lane, u storage.Unit, done func(message.Position, error)) error
	Scan(ctx context.Context, prefix []byte) iter.Seq2[storage.KV, error]
}

// table is a kind of document in memory, with the engine behind it.
type table[T any] struct {
	kind   string
	most   int
	engine Engine

	writing sync.Mutex   // one change at a time, to its commit
	mu      sync.RWMutex // guards rows
	rows    map[string]T
}

// open reads the documents of a kind. parse makes a row of what JSON says, and refuses what is wrong.
func open[T any](ctx context.Context, e Engine, kind string, most int, parse func(*T) error) (*table[T], error) {
	t := &table[T]{kind: kind, most: most, engine: e, rows: make(map[string]T)}
	for kv, err := range e.Scan(ctx, state.Documents(kind)) {
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", kind, err)
		}
		name, doc, err := state.DecodeDocument(kv)
		var row T
		if err == nil {
			err = json.Unmarshal(doc, &row)
		}
		if err == nil {
			err = parse(&row)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s %q: %w", kind, name, err)
		}
		t.rows[name] = row
	}
	return t, nil
}

func (t *table[T]) get(name string) (row T, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	row, ok = t.rows[name]
	return row, ok
}

// change replaces a row by what fn makes of it, once that is committed.
func (t *table[T]) change(ctx context.Context, name string, fn func(old T, known bool) (T, error)) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	old, known := t.get(name)
	row, err := fn(old, known)
	if err != nil {
		return err
	}
	if !known && len(t.rows) >= t.most { // only changed under writing
		return fmt.Errorf("%w: %d is the most of %s", ErrTooMany, t.most, t.kind)
	}
	doc, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("%s %q: %w", t.kind, name, err)
	}
	if err := t.commit(ctx, state.PutDocument(t.kind, name, doc)); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows[name] = row
	return nil
}

// load keeps many rows in one commit, in place of those that are there under their names.
func (t *table[T]) load(ctx context.Context, names []string, rows []T) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	ops, more := make([]storage.Op, len(rows)), map[string]bool{}
	for i, name := range names {
		if _, known := t.get(name); !known {
			more[name] = true
		}
		doc, err := json.Marshal(rows[i])
		if err != nil {
			return fmt.Errorf("%s %q: %w", t.kind, name, err)
		}
		ops[i] = state.PutDocument(t.kind, name, doc)
	}
	if len(t.rows)+len(more) > t.most { // only changed under writing
		return fmt.Errorf("%w: %d is the most of %s", ErrTooMany, t.most, t.kind)
	}
	if err := t.commit(ctx, ops...); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, name := range names {
		t.rows[name] = rows[i]
	}
	return nil
}

// remove deletes a row, or says ErrNotFound.
func (t *table[T]) remove(ctx context.Context, name string) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	if _, known := t.get(name); !known {
		return ErrNotFound
	}
	if err := t.commit(ctx, state.Delete(state.DocumentKey(t.kind, name))); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, name)
	return nil
}

// commit waits until all of ops are kept. It gives up for ctx only before that: what is in memory must be what is on disk, whoever
// leaves meanwhile.
func (t *table[T]) commit(ctx context.Context, ops ...storage.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	err := t.engine.Submit(0, storage.Unit{Ops: ops}, func(_ message.Position, err error) { done <- err })
	if err != nil {
		return fmt.Errorf("storing %s: %w", t.kind, err)
	}
	return <-done
}

// Page says which part of a list is asked for: the page'th, from 1, of limit rows.
type Page struct{ Page, Limit int }

// list returns the rows that want likes, by name, one page of them, and how many there are in all.
func (t *table[T]) list(p Page, want func(name string, row T) bool) (rows []T, total int) {
	type named struct {
		name string
		row  T
	}
	var all []named
	t.mu.RLock()
	for name, row := range t.rows {
		if want(name, row) {
			all = append(all, named{name, row})
		}
	}
	t.mu.RUnlock()
	slices.SortFunc(all, func(a, b named) int { return cmp.Compare(a.name, b.name) })
	from, to := 0, len(all)
	if p.Limit > 0 {
		from = min((max(p.Page, 1)-1)*p.Limit, len(all))
		to = min(from+p.Limit, len(all))
	}
	rows = make([]T, 0, to-from)
	for _, n := range all[from:to] {
		rows = append(rows, n.row)
	}
	return rows, len(all)
}
