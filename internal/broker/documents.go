package broker

import (
	"context"
	"iter"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

// Documents keeps small JSON documents for the HTTP API, by kind and name, in the broker's own store.
type Documents struct{ b *Broker }

// Documents returns the broker's documents. They can be used until Stop.
func (b *Broker) Documents() Documents { return Documents{b} }

// Get returns a document, or storage.ErrNotFound.
func (d Documents) Get(ctx context.Context, kind, name string) ([]byte, error) {
	key := state.DocumentKey(kind, name)
	value, err := d.b.engine.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	_, doc, err := state.DecodeDocument(storage.KV{Key: key, Value: value})
	return doc, err
}

// Put keeps a document; it returns when that is durable.
func (d Documents) Put(ctx context.Context, kind, name string, doc []byte) error {
	return d.b.commit(ctx, state.PutDocument(kind, name, doc))
}

// Delete forgets a document, if there is one; it returns when that is durable.
func (d Documents) Delete(ctx context.Context, kind, name string) error {
	return d.b.commit(ctx, state.Delete(state.DocumentKey(kind, name)))
}

// All walks the documents of a kind, by name.
func (d Documents) All(ctx context.Context, kind string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for kv, err := range d.b.engine.Scan(ctx, state.Documents(kind)) {
			var doc []byte
			if err == nil {
				_, doc, err = state.DecodeDocument(kv)
			}
			if !yield(doc, err) || err != nil {
				return
			}
		}
	}
}

// commit submits changes of the store and waits until they are durable. It gives up for ctx only before that: what is in
// memory must be what is on disk, whoever leaves meanwhile.
func (b *Broker) commit(ctx context.Context, ops ...storage.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	err := b.engine.Submit(0, storage.Unit{Ops: ops}, func(_ message.Position, err error) { done <- err })
	if err != nil {
		return err
	}
	return <-done
}
