package api

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/barid-mqtt/barid/internal/storage"
)

// ErrNoDocument says that there is no document of that name. Match it with errors.Is.
var ErrNoDocument = storage.ErrNotFound

// Documents keeps small JSON documents by kind and name. Put and Delete return when that is durable.
type Documents interface {
	Get(ctx context.Context, kind, name string) ([]byte, error)
	Put(ctx context.Context, kind, name string, doc []byte) error
	Delete(ctx context.Context, kind, name string) error // no error if there is none
	All(ctx context.Context, kind string) iter.Seq2[[]byte, error]
}

// load reads a document into v.
func load(ctx context.Context, d Documents, kind, name string, v any) error {
	doc, err := d.Get(ctx, kind, name)
	if err == nil {
		err = json.Unmarshal(doc, v)
	}
	if err != nil {
		return fmt.Errorf("reading %s %q: %w", kind, name, err)
	}
	return nil
}

func save(ctx context.Context, d Documents, kind, name string, v any) error {
	doc, err := json.Marshal(v)
	if err == nil {
		err = d.Put(ctx, kind, name, doc)
	}
	if err != nil {
		return fmt.Errorf("keeping %s %q: %w", kind, name, err)
	}
	return nil
}

func loadAll[T any](ctx context.Context, d Documents, kind string) ([]T, error) {
	all := []T{}
	for doc, err := range d.All(ctx, kind) {
		if err != nil {
			return nil, fmt.Errorf("reading every %s: %w", kind, err)
		}
		var v T
		if err := json.Unmarshal(doc, &v); err != nil {
			return nil, fmt.Errorf("reading a %s: %w", kind, err)
		}
		all = append(all, v)
	}
	return all, nil
}
