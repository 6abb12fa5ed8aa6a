package badger

import (
	"strings"

	"github.com/barid-mqtt/barid/internal/storage"
)

// overlay has the changes that were committed and that the state may not have: young ones, and old ones that the
// applier is writing. Nobody changes old.
type overlay struct {
	young, old           *changes
	youngBytes, oldBytes int64
}

func newOverlay() overlay { return overlay{young: new(changes)} }

func (o *overlay) bytes() int64 { return o.youngBytes + o.oldBytes }

// put takes changes in. A key that changes again counts again: the size is an upper bound.
func (o *overlay) put(ops []storage.Op) {
	for _, op := range ops {
		o.young.Set(string(op.Key), op.Value)
	}
	o.youngBytes += opsBytes(ops)
}

// age makes the young changes old, if there are no old ones, and returns the old ones.
func (o *overlay) age() *changes {
	if o.old == nil && o.young.Len() > 0 {
		o.old, o.oldBytes = o.young, o.youngBytes
		o.young, o.youngBytes = new(changes), 0
	}
	return o.old
}

// forget drops the old changes: the state has them.
func (o *overlay) forget() { o.old, o.oldBytes = nil, 0 }

// get returns the newest change of a key.
func (o *overlay) get(key string) (value []byte, ok bool) {
	if value, ok = o.young.Get(key); ok || o.old == nil {
		return value, ok
	}
	return o.old.Get(key)
}

// change is one key of an overlay.
type change struct {
	key   string
	value []byte // nil: deleted
}

// some appends at most limit changes of keys with a prefix, from one of them on, in order. all says that there are no more.
func (o *overlay) some(prefix, from string, limit int) (some []change, all bool) {
	some, all = someOf(o.young, prefix, from, limit)
	if o.old == nil {
		return some, all
	}
	old, allOld := someOf(o.old, prefix, from, limit)
	return mergeChanges(some, all, old, allOld)
}

func someOf(c *changes, prefix, from string, limit int) (some []change, all bool) {
	all = true
	c.Ascend(from, func(key string, value []byte) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		if len(some) == limit {
			all = false
			return false
		}
		some = append(some, change{key, value})
		return true
	})
	return some, all
}

// mergeChanges merges two runs, of which the first wins, as far as both reach.
func mergeChanges(a []change, allA bool, b []change, allB bool) (merged []change, all bool) {
	for len(a) > 0 || len(b) > 0 {
		if len(a) == 0 && !allA || len(b) == 0 && !allB {
			return merged, false
		}
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].key < b[0].key:
			merged, a = append(merged, a[0]), a[1:]
		case len(a) == 0 || b[0].key < a[0].key:
			merged, b = append(merged, b[0]), b[1:]
		default:
			merged, a, b = append(merged, a[0]), a[1:], b[1:]
		}
	}
	return merged, allA && allB
}
