package state

import (
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/internal/storage"
)

// Documents is the prefix of every document of a kind. A kind holds no NUL.
func Documents(kind string) []byte { return append(append([]byte{'x'}, kind...), 0) }

// DocumentKey is the key of one.
func DocumentKey(kind, name string) []byte { return append(Documents(kind), name...) }

// PutDocument keeps a small JSON document of the API: a key, a user.
func PutDocument(kind, name string, doc []byte) storage.Op {
	w := newWriter()
	w.string(string(doc))
	return storage.Op{Key: DocumentKey(kind, name), Value: w.b}
}

// DecodeDocument reads an entry of Documents.
func DecodeDocument(kv storage.KV) (name string, doc []byte, err error) {
	if len(kv.Key) == 0 || kv.Key[0] != 'x' {
		return "", nil, fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	_, name, ok := strings.Cut(string(kv.Key[1:]), "\x00")
	if !ok {
		return "", nil, fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	r := newReader(kv.Value)
	doc = []byte(r.string())
	return name, doc, r.done(kv.Key)
}
