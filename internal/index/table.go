package index

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync/atomic"
)

const (
	bucketSlots = 7
	fanOut      = 256
	// fanBuckets is the size at which a table becomes fanOut tables that grow one by one, so that no writer ever waits
	// for more than some twenty thousand nodes to be hashed anew.
	fanBuckets = 4096
)

// dict is a set of nodes by their label, or by its first level: a hash table that is read without locks. Writers come one
// at a time.
type dict[T comparable] struct {
	tab atomic.Pointer[table[T]] // nil: empty
}

// table is an open-addressed hash table. Its nodes never move: growing makes a new table, and the old one stays as it is
// for those who still read it.
type table[T comparable] struct {
	buckets []bucket[T]
	used    int // nodes in the table or in all of fan; owned by the writer
	fan     *[fanOut]dict[T]
}

// bucket is one cache line: up to seven nodes, a byte of each one's hash to look at before following its pointer, and in
// the highest byte of ctrl how many nodes wanted this bucket, found it full and went on. A search ends at the first bucket
// that nobody passed.
type bucket[T comparable] struct {
	ctrl  atomic.Uint64
	slots [bucketSlots]atomic.Pointer[node[T]]
}

const (
	lowBits   = 0x0001_0101_0101_0101 // the lowest bit of each of the seven tags
	highBits  = lowBits << 7
	passShift = 56
	passMax   = 255 // such a count has lost track and stays until the table is made anew
)

// tagOf is the byte of the hash that a bucket keeps. Zero means an empty slot.
func tagOf(h uint64) uint64 { return max(h>>56, 1) }

// keying says how a dict's nodes are found.
type keying struct {
	seed   maphash.Seed
	levels bool // by the first level of their labels, not the whole
}

func (k keying) hash(label string) uint64 {
	if k.levels {
		label = firstLevel(label)
	}
	return maphash.String(k.seed, label)
}

// firstLevel returns the first level of a label or a filter.
func firstLevel(label string) string {
	if i := strings.IndexByte(label, '/'); i >= 0 {
		return label[:i]
	}
	return label
}

// find returns the node with that key, or nil. With levels, the key is the label's first level.
func (d *dict[T]) find(h uint64, key string, levels bool) *node[T] {
	t := d.tab.Load()
	if t != nil && t.fan != nil {
		t = t.fan[fanIndex(h)].tab.Load()
	}
	if t == nil {
		return nil
	}
	_, n := t.search(h, key, levels)
	return n
}

// slot returns where the node with that key is, or nil. For the writer only.
func (d *dict[T]) slot(h uint64, key string, levels bool) *atomic.Pointer[node[T]] {
	t := d.part(h).tab.Load()
	if t == nil {
		return nil
	}
	at, _ := t.search(h, key, levels)
	if at < 0 {
		return nil
	}
	return &t.buckets[at/8].slots[at%8]
}

// part returns the dict that is d's part for that hash, which mostly is d.
func (d *dict[T]) part(h uint64) *dict[T] {
	if t := d.tab.Load(); t != nil && t.fan != nil {
		return &t.fan[fanIndex(h)]
	}
	return d
}

func fanIndex(h uint64) uint64 { return (h >> 48) % fanOut }

// search returns the node with that key, and eight times its bucket plus its slot, or -1.
func (t *table[T]) search(h uint64, key string, levels bool) (at int, n *node[T]) {
	tags := tagOf(h) * lowBits
	for i, left := t.home(h), len(t.buckets)-1; ; i, left = t.after(i), left-1 {
		b := &t.buckets[i]
		ctrl := b.ctrl.Load()
		// The bytes of diff that are zero are the tags that fit; more bits may be set by mistake, none is forgotten.
		diff := ctrl ^ tags
		for m := (diff - lowBits) & ^diff & highBits; m != 0; m &= m - 1 {
			j := bits.TrailingZeros64(m) / 8
			if n := b.slots[j].Load(); n != nil && n.isKey(key, levels) {
				return i*8 + j, n
			}
		}
		if ctrl>>passShift == 0 || left == 0 {
			return -1, nil
		}
	}
}

// home is the bucket at which the search for a hash begins: its lower half as a part of the buckets, by a multiplication, so
// that their number may be any.
func (t *table[T]) home(h uint64) int { return int(uint64(uint32(h)) * uint64(len(t.buckets)) >> 32) }

// after is the bucket after i, around the end.
func (t *table[T]) after(i int) int {
	if i++; i < len(t.buckets) {
		return i
	}
	return 0
}

// isKey reports whether n is found under key.
func (n *node[T]) isKey(key string, levels bool) bool {
	if !levels || len(n.label) <= len(key) {
		return n.label == key
	}
	return n.label[len(key)] == '/' && n.label[:len(key)] == key
}

// insert puts in a node whose key is not there. The key's hash is h.
func (d *dict[T]) insert(h uint64, n *node[T], k keying) {
	p := d.part(h)
	t := p.tab.Load()
	switch {
	case t == nil:
		t = newTable[T](1)
		p.tab.Store(t)
	case t.used >= capacity(len(t.buckets)):
		if p == d && len(t.buckets) >= fanBuckets {
			d.fan(k)
			p = d.part(h)
			if t = p.tab.Load(); t == nil {
				t = newTable[T](1)
				p.tab.Store(t)
			}
			break
		}
		t = t.resized(larger(len(t.buckets)), k)
		p.tab.Store(t)
	}
	t.place(h, n)
	t.used++
	if p != d {
		d.tab.Load().used++
	}
}

// capacity is how many nodes so many buckets take before there should be more. A single bucket fills up; of more, three
// quarters do, since some get more than their share.
func capacity(buckets int) int {
	if buckets == 1 {
		return bucketSlots
	}
	return buckets * bucketSlots * 3 / 4
}

// larger is how many buckets come after so many: twice as many while they are few, and later a quarter more, so that no
// more than two fifths of the slots are empty.
func larger(buckets int) int {
	if buckets < 32 {
		return 2 * buckets
	}
	return buckets + buckets/4
}

func newTable[T comparable](buckets int) *table[T] {
	return &table[T]{buckets: make([]bucket[T], buckets)}
}

// place puts a node into the first free slot from its bucket on. Readers may be looking.
func (t *table[T]) place(h uint64, n *node[T]) {
	for i := t.home(h); ; i = t.after(i) {
		b := &t.buckets[i]
		ctrl := b.ctrl.Load()
		for j := range bucketSlots {
			if ctrl>>(8*j)&0xFF == 0 {
				b.slots[j].Store(n)
				b.ctrl.Store(ctrl | tagOf(h)<<(8*j))
				return
			}
		}
		if ctrl>>passShift < passMax {
			b.ctrl.Store(ctrl + 1<<passShift)
		}
	}
}

// remove takes out the node with that key, which is there.
func (d *dict[T]) remove(h uint64, key string, k keying) {
	p := d.part(h)
	t := p.tab.Load()
	at, _ := t.search(h, key, k.levels)
	t.clear(h, at)
	t.used--
	p.shrink(k)
	if p == d {
		return
	}
	whole := d.tab.Load()
	whole.used--
	if whole.used < capacity(fanBuckets)/4 {
		d.unfan(k)
	}
}

// clear empties the slot at and takes back what the node in it left in the buckets that it passed.
func (t *table[T]) clear(h uint64, at int) {
	b := &t.buckets[at/8]
	b.slots[at%8].Store(nil)
	b.ctrl.Store(b.ctrl.Load() &^ (0xFF << (at % 8 * 8)))
	for i := t.home(h); i != at/8; i = t.after(i) {
		b := &t.buckets[i]
		if ctrl := b.ctrl.Load(); ctrl>>passShift < passMax {
			b.ctrl.Store(ctrl - 1<<passShift)
		}
	}
}

// shrink gives memory back when less than an eighth of the slots is used.
func (d *dict[T]) shrink(k keying) {
	t := d.tab.Load()
	switch {
	case t.used == 0:
		d.tab.Store(nil)
	case len(t.buckets) > 1 && t.used < len(t.buckets)*bucketSlots/8:
		d.tab.Store(t.resized(max(len(t.buckets)/4, 1), k))
	}
}

// resized returns a table of that many buckets with t's nodes.
func (t *table[T]) resized(buckets int, k keying) *table[T] {
	bigger := newTable[T](buckets)
	t.each(func(n *node[T]) bool {
		bigger.place(k.hash(n.label), n)
		bigger.used++
		return true
	})
	return bigger
}

// fan turns d's table into fanOut tables.
func (d *dict[T]) fan(k keying) {
	old := d.tab.Load()
	whole := &table[T]{used: old.used, fan: new([fanOut]dict[T])}
	old.each(func(n *node[T]) bool {
		h := k.hash(n.label)
		whole.fan[fanIndex(h)].insert(h, n, k)
		return true
	})
	d.tab.Store(whole)
}

// unfan turns d's tables into one again.
func (d *dict[T]) unfan(k keying) {
	whole := d.tab.Load()
	buckets := 1
	for capacity(buckets) < whole.used {
		buckets *= 2
	}
	d.tab.Store(whole.resized(buckets, k))
}

// each calls fn with each node until it returns false, and reports whether it never did.
func (t *table[T]) each(fn func(*node[T]) bool) bool {
	if t == nil {
		return true
	}
	for i := range t.buckets {
		for j := range bucketSlots {
			if n := t.buckets[i].slots[j].Load(); n != nil && !fn(n) {
				return false
			}
		}
	}
	if t.fan != nil {
		for i := range t.fan {
			if !t.fan[i].tab.Load().each(fn) {
				return false
			}
		}
	}
	return true
}
