package broker

import (
	"container/list"
	"hash/maphash"
	"iter"
	"slices"

	"github.com/barid-mqtt/barid/internal/router"
)

// This file keeps subscriptions small, since there may be millions: with a filter of 24 bytes one takes about 140, and what
// the index has of it is in that.

// subscription is one of a client's subscriptions, by the filter that the client knows it by.
type subscription struct {
	entry  router.Entry // what the index holds; of no use to a shared subscription, and to one to a stream
	filter string       // what is matched: without share and with the listener's mount point
	*rare               // what most subscriptions do not have, see special
}

// rare is the part of a subscription of which most have nothing. Those share one, which may be read as any other;
// whoever writes calls special first.
type rare struct {
	known   string        // the filter that the client knows, where it is not what is matched
	group   *group        // nil: not shared
	member  *member       // of group
	follows *follower     // of a stream; nil: none
	replay  *list.Element // of its client's replays; nil: none
	changes int32         // versions made since its past was last forgotten
	only    bool          // it is exclusive
	whole   bool          // all that it matches is granted to its client
}

// ordinary and entitled are what subscriptions have that have nothing special; nobody changes them.
var ordinary, entitled = rare{}, rare{whole: true}

func newSubscription(key, filter string, only bool) *subscription {
	s := &subscription{filter: filter, rare: &ordinary}
	if key != filter {
		s.special().known = key
	}
	if only {
		s.special().only = true
	}
	return s
}

// key is the filter that the client knows.
func (s *subscription) key() string {
	if s.known == "" {
		return s.filter
	}
	return s.known
}

// routed reports whether it has an entry in the index by itself.
func (s *subscription) routed() bool { return s.entry.To != nil }

// special gives a subscription a part of its own for what is rare. The caller holds the client's lock.
func (s *subscription) special() *rare {
	if s.rare == &ordinary || s.rare == &entitled {
		own := *s.rare
		s.rare = &own
	}
	return s.rare
}

// plain gives that part back if there is nothing in it. The caller holds the client's lock.
func (s *subscription) plain() {
	switch *s.rare {
	case ordinary:
		s.rare = &ordinary
	case entitled:
		s.rare = &entitled
	}
}

// grant notes whether all that the subscription matches is granted to its client. The caller holds the client's lock.
func (s *subscription) grant(whole bool) {
	if s.whole != whole {
		s.special().whole = whole
		s.plain()
	}
}

// subscriptions are a client's subscriptions by key. Most clients have few, and some have very many.
type subscriptions struct {
	few  []*subscription
	many *keyTable // instead of few; nil: few
}

// fewSubscriptions is how many are looked for one by one.
const fewSubscriptions = 8

func (s *subscriptions) get(key string) *subscription {
	if s.many != nil {
		return s.many.get(key)
	}
	for _, sub := range s.few {
		if sub.key() == key {
			return sub
		}
	}
	return nil
}

// put adds a subscription whose key is not there.
func (s *subscriptions) put(sub *subscription) {
	if s.many == nil && len(s.few) < fewSubscriptions {
		s.few = append(s.few, sub)
		return
	}
	if s.many == nil {
		s.many = new(keyTable)
		for _, old := range s.few {
			s.many.put(old)
		}
		s.few = nil
	}
	s.many.put(sub)
}

func (s *subscriptions) remove(key string) {
	if s.many != nil {
		if s.many.remove(key); s.many.n == 0 {
			s.many = nil
		}
		return
	}
	i := slices.IndexFunc(s.few, func(sub *subscription) bool { return sub.key() == key })
	if last := len(s.few) - 1; i >= 0 {
		s.few[i], s.few[last] = s.few[last], nil
		s.few = s.few[:last]
	}
}

func (s *subscriptions) len() int {
	if s.many != nil {
		return s.many.n
	}
	return len(s.few)
}

// all lists them, in no particular order. The one that is at hand may be removed.
func (s *subscriptions) all() iter.Seq2[string, *subscription] {
	return func(yield func(string, *subscription) bool) {
		if s.many != nil {
			s.many.each(yield)
			return
		}
		for i := len(s.few) - 1; i >= 0; i-- { // what remove moves was there already
			if !yield(s.few[i].key(), s.few[i]) {
				return
			}
		}
	}
}

// keyTable is a hash table of subscriptions by key, with nothing in it but pointers. A key is at its home or after it,
// with no gap between. From the last slot there is no way around to the first: the end has some that are nobody's home.
type keyTable struct {
	slots []*subscription
	homes int // how many slots are homes
	n     int
	fan   *[keyFan]keyTable // instead of slots, so that growing never takes long
}

const (
	keyFan    = 64
	keyFanMin = 4096 // keys from which on there is a fan
)

var keySeed = maphash.MakeSeed()

func hashKey(key string) uint64 { return maphash.String(keySeed, key) }

// home is where a search begins: the upper half of the hash, as a part of the homes.
func (t *keyTable) home(h uint64) int { return int(h >> 32 * uint64(t.homes) >> 32) }

// part is the table that has the keys of a hash, which mostly is t.
func (t *keyTable) part(h uint64) *keyTable {
	if t.fan != nil {
		return &t.fan[h%keyFan]
	}
	return t
}

func (t *keyTable) get(key string) *subscription {
	h := hashKey(key)
	p := t.part(h)
	if i := p.find(h, key); i >= 0 {
		return p.slots[i]
	}
	return nil
}

// find returns the slot of a key, or -1.
func (t *keyTable) find(h uint64, key string) int {
	for i := t.home(h); i < len(t.slots) && t.slots[i] != nil; i++ {
		if t.slots[i].key() == key {
			return i
		}
	}
	return -1
}

// put adds a subscription whose key is not there.
func (t *keyTable) put(sub *subscription) {
	if t.fan == nil && t.n >= keyFanMin {
		t.spread()
	}
	h := hashKey(sub.key())
	p := t.part(h)
	if p.n >= p.homes/5*4 || !p.place(h, sub) {
		p.resize(append(p.list(), sub))
	}
	if p.n++; p != t {
		t.n++
	}
}

// place puts a subscription into the first free slot from its home on. It reports whether there is one.
func (t *keyTable) place(h uint64, sub *subscription) bool {
	for i := t.home(h); i < len(t.slots); i++ {
		if t.slots[i] == nil {
			t.slots[i] = sub
			return true
		}
	}
	return false
}

// resize makes the slots anew, with subs in two thirds of them, or less if they do not fit.
func (t *keyTable) resize(subs []*subscription) {
	fits := func(sub *subscription) bool { return t.place(hashKey(sub.key()), sub) }
	for size := len(subs) + len(subs)/2 + 5; ; size += size / 4 {
		t.slots, t.homes = make([]*subscription, size+size/32+4), size
		if !slices.ContainsFunc(subs, func(sub *subscription) bool { return !fits(sub) }) {
			return
		}
	}
}

func (t *keyTable) list() []*subscription {
	subs := make([]*subscription, 0, t.n+1)
	t.each(func(_ string, sub *subscription) bool {
		subs = append(subs, sub)
		return true
	})
	return subs
}

// spread turns t into a table with a fan.
func (t *keyTable) spread() {
	old := t.list()
	*t = keyTable{fan: new([keyFan]keyTable)}
	for _, sub := range old {
		t.put(sub)
	}
}

// remove takes a key out, and closes the gap with those behind it that may stand there.
func (t *keyTable) remove(key string) {
	h := hashKey(key)
	p := t.part(h)
	gap := p.find(h, key)
	if gap < 0 {
		return
	}
	for i := gap + 1; i < len(p.slots) && p.slots[i] != nil; i++ {
		if p.home(hashKey(p.slots[i].key())) <= gap {
			p.slots[gap] = p.slots[i]
			gap = i
		}
	}
	p.slots[gap] = nil
	if p.n--; p != t {
		t.n--
	}
	if p.n < len(p.slots)/8 {
		p.resize(p.list())
	}
}

// each calls fn with each of them until it returns false, and reports whether it never did. The one that is at hand may
// be removed: what that moves, it moves down from where each has been.
func (t *keyTable) each(fn func(string, *subscription) bool) bool {
	if t.fan != nil {
		for i := range t.fan {
			if !t.fan[i].each(fn) {
				return false
			}
		}
	}
	slots := t.slots
	for i := len(slots) - 1; i >= 0; i-- {
		if sub := slots[i]; sub != nil && !fn(sub.key(), sub) {
			return false
		}
	}
	return true
}
