package index

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// shardCount is the number of independent hash tables, each with its own writers' lock, that hold the exact filters.
const shardCount = 128

// Index maps topic filters to values. The zero Index is not ready for use: call New.
//
// All methods may be called from any goroutine. Match, HasMatch and Walk take no lock and never wait for a writer.
type Index[T comparable] struct {
	// exact holds the filters without wildcards. Those are their own only match, so one look into a hash table finds them.
	exact [shardCount]shard[T]

	seed maphash.Seed // static after construction
	root kids[T]      // the trie of the filters with wildcards; writers hold trieMu

	_       [64]byte // what readers read is above, what every writer writes is below
	trieMu  sync.Mutex
	pairs   atomic.Int64
	filters atomic.Int64
}

// shard is one part of the exact filters, on a cache line of its own: readers of other shards do not feel its writers.
type shard[T comparable] struct {
	mu   sync.Mutex // held by writers
	dict dict[T]
	_    [48]byte
}

// New returns an empty index.
func New[T comparable]() *Index[T] {
	return &Index[T]{seed: maphash.MakeSeed()}
}

// Add subscribes v to filter and reports whether that is news: adding the same pair again does nothing.
//
// The filter must be a valid MQTT topic filter without a share prefix. The index may keep it for as long as the pair is
// there, so it must not be a view of memory that changes.
func (x *Index[T]) Add(filter string, v T) (added bool) {
	var fresh bool
	if isExact(filter) {
		added, fresh = x.addExact(filter, v)
	} else {
		added, fresh = x.addWildcard(filter, v)
	}
	if added {
		x.pairs.Add(1)
	}
	if fresh {
		x.filters.Add(1)
	}
	return added
}

// Remove undoes Add and reports whether the pair was there. A filter's last pair takes its nodes along.
func (x *Index[T]) Remove(filter string, v T) (removed bool) {
	var last bool
	if isExact(filter) {
		removed, last = x.removeExact(filter, v)
	} else {
		removed, last = x.removeWildcard(filter, v)
	}
	if removed {
		x.pairs.Add(-1)
	}
	if last {
		x.filters.Add(-1)
	}
	return removed
}

// Match appends to dst every value whose filter matches topic, once for each of its filters that does, in no particular
// order. It allocates only where dst lacks room.
//
// A pair that is there during the whole call is found; one that is added or removed meanwhile may be found or not. The
// topic must be a valid topic name; no reference to it is kept.
func (x *Index[T]) Match(topic string, dst []T) []T {
	if n := x.findExact(topic); n != nil {
		dst = n.appendTo(dst)
	}
	var c cursor[T]
	c.start(x, topic)
	for n := c.next(); n != nil; n = c.next() {
		dst = n.appendTo(dst)
	}
	return dst
}

// MatchPresent is Match without the values that are not present where a filter has many, and returns how many these are,
// about.
func (x *Index[T]) MatchPresent(topic string, dst []T) (found []T, absent int) {
	more := 0
	if n := x.findExact(topic); n != nil {
		dst, absent = n.appendPresent(dst)
	}
	var c cursor[T]
	c.start(x, topic)
	for n := c.next(); n != nil; n = c.next() {
		dst, more = n.appendPresent(dst)
		absent += more
	}
	return dst, absent
}

// SetPresent says whether a pair is one that MatchPresent is to find. What was added is, until it is said otherwise; where
// a filter has few values it makes no difference.
func (x *Index[T]) SetPresent(filter string, v T, present bool) {
	if isExact(filter) {
		h := maphash.String(x.seed, filter)
		s := x.shardOf(h)
		s.mu.Lock()
		defer s.mu.Unlock()
		if slot := s.dict.slot(h, filter, false); slot != nil {
			slot.Load().setPresent(v, present)
		}
		return
	}
	x.trieMu.Lock()
	defer x.trieMu.Unlock()
	if n := x.findWildcard(filter); n != nil {
		n.setPresent(v, present)
	}
}

// HasMatch reports whether pred is true for a value whose filter matches topic. It asks for one value after the other and
// stops at the first that is.
func (x *Index[T]) HasMatch(topic string, pred func(T) bool) bool {
	no := func(v T) bool { return !pred(v) }
	if n := x.findExact(topic); n != nil && !n.each(no) {
		return true
	}
	var c cursor[T]
	c.start(x, topic)
	for n := c.next(); n != nil; n = c.next() {
		if !n.each(no) {
			return true
		}
	}
	return false
}

// Len returns the number of pairs of a filter and a value.
func (x *Index[T]) Len() int { return int(x.pairs.Load()) }

// Filters returns the number of distinct filters.
func (x *Index[T]) Filters() int { return int(x.filters.Load()) }

// isExact reports whether a valid filter has no wildcard.
func isExact(filter string) bool {
	return strings.IndexByte(filter, '+') < 0 && strings.IndexByte(filter, '#') < 0
}

// shardOf picks the shard by bits of the hash that neither the tag nor the bucket's number uses.
func (x *Index[T]) shardOf(h uint64) *shard[T] {
	return &x.exact[(h>>40)%shardCount]
}

func (x *Index[T]) findExact(topic string) *node[T] {
	h := maphash.String(x.seed, topic)
	return x.shardOf(h).dict.find(h, topic, false)
}

func (x *Index[T]) addExact(filter string, v T) (added, fresh bool) {
	h := maphash.String(x.seed, filter)
	s := x.shardOf(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.dict.slot(h, filter, false)
	if slot == nil {
		s.dict.insert(h, &node[T]{label: filter, one: v}, x.keying(false))
		return true, true
	}
	n, added := slot.Load().with(v)
	if added {
		slot.Store(n)
	}
	return added, false
}

func (x *Index[T]) removeExact(filter string, v T) (removed, last bool) {
	h := maphash.String(x.seed, filter)
	s := x.shardOf(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.dict.slot(h, filter, false)
	if slot == nil {
		return false, false
	}
	n, removed := slot.Load().without(v)
	switch {
	case !removed:
		return false, false
	case n.hasValues():
		slot.Store(n)
		return true, false
	}
	s.dict.remove(h, filter, x.keying(false))
	return true, true
}

func (x *Index[T]) keying(levels bool) keying { return keying{seed: x.seed, levels: levels} }
