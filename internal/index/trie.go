package index

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// kids are the children of a node of the trie, by the first level of their labels.
type kids[T comparable] struct {
	plus     atomic.Pointer[node[T]] // the child whose label begins with '+'
	hash     atomic.Pointer[node[T]] // the child whose label is '#'
	literals dict[T]
}

// slot returns where the child for a filter that goes on with rest is, or nil, or a pointer to nil.
func (k *kids[T]) slot(rest string, seed maphash.Seed) *atomic.Pointer[node[T]] {
	switch level := firstLevel(rest); level {
	case "+":
		return &k.plus
	case "#":
		return &k.hash
	default:
		return k.literals.slot(maphash.String(seed, level), level, true)
	}
}

// put adds a child whose first level is new.
func (k *kids[T]) put(n *node[T], seed maphash.Seed) {
	switch level := firstLevel(n.label); level {
	case "+":
		k.plus.Store(n)
	case "#":
		k.hash.Store(n)
	default:
		k.literals.insert(maphash.String(seed, level), n, keying{seed, true})
	}
}

// drop takes a child away.
func (k *kids[T]) drop(n *node[T], seed maphash.Seed) {
	switch level := firstLevel(n.label); level {
	case "+":
		k.plus.Store(nil)
	case "#":
		k.hash.Store(nil)
	default:
		k.literals.remove(maphash.String(seed, level), level, keying{seed, true})
	}
}

// each calls fn with each child until it returns false.
func (k *kids[T]) each(fn func(*node[T]) bool) {
	for _, n := range []*node[T]{k.plus.Load(), k.hash.Load()} {
		if n != nil && !fn(n) {
			return
		}
	}
	k.literals.tab.Load().each(fn)
}

// atMostOne reports whether there are fewer than two children, and returns the one.
func (k *kids[T]) atMostOne() (only *node[T], ok bool) {
	count := 0
	k.each(func(n *node[T]) bool {
		only = n
		count++
		return count < 2
	})
	return only, count < 2
}

// sharedLevels returns the length of the longest run of whole levels with which both begin. Their first levels are equal.
func sharedLevels(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if (i == len(a) || a[i] == '/') && (i == len(b) || b[i] == '/') {
		return i
	}
	return strings.LastIndexByte(a[:i], '/')
}

func (x *Index[T]) addWildcard(filter string, v T) (added, fresh bool) {
	x.trieMu.Lock()
	defer x.trieMu.Unlock()
	k, rest := &x.root, filter
	for {
		slot := k.slot(rest, x.seed)
		if slot == nil || slot.Load() == nil {
			k.put(x.leaf(filter, rest, v), x.seed)
			return true, true
		}
		n := slot.Load()
		shared := sharedLevels(n.label, rest)
		switch {
		case shared < len(n.label):
			slot.Store(x.split(n, shared, filter, rest, v))
			return true, true
		case shared == len(rest):
			fresh = !n.hasValues()
			n, added = n.with(v)
			if added {
				slot.Store(n)
			}
			return added, fresh
		}
		rest = rest[shared+1:]
		if k = n.kids(); k == nil {
			k = &kids[T]{}
			k.put(x.leaf(filter, rest, v), x.seed)
			slot.Store(n.withKids(k))
			return true, true
		}
	}
}

// leaf returns a node for the rest of a filter. Where the rest is a small part of it, it copies the string, since it would
// keep all of it; else the filter is there anyway, as long as somebody subscribes to it.
func (x *Index[T]) leaf(filter, rest string, v T) *node[T] {
	if len(filter)-len(rest) > sharedText {
		rest = strings.Clone(rest)
	}
	return &node[T]{label: rest, one: v}
}

// sharedText is how many bytes a label may keep that are not its own.
const sharedText = 32

// split returns what takes n's place when a filter leaves its label after shared bytes: a node for the levels before, whose
// children are n with the levels after and, unless it ends there, the filter's own rest.
func (x *Index[T]) split(n *node[T], shared int, filter, rest string, v T) *node[T] {
	k := &kids[T]{}
	k.put(n.withLabel(strings.Clone(n.label[shared+1:])), x.seed)
	label := strings.Clone(rest[:shared])
	if shared == len(rest) {
		return makeNode(label, []T{v}, k)
	}
	k.put(x.leaf(filter, rest[shared+1:], v), x.seed)
	return makeNode(label, nil, k)
}

// findWildcard returns the node of a filter, or nil. The caller holds trieMu.
func (x *Index[T]) findWildcard(filter string) *node[T] {
	k, rest := &x.root, filter
	for k != nil {
		slot := k.slot(rest, x.seed)
		if slot == nil || slot.Load() == nil {
			return nil
		}
		n := slot.Load()
		shared := sharedLevels(n.label, rest)
		switch {
		case shared < len(n.label):
			return nil
		case shared == len(rest):
			return n
		}
		k, rest = n.kids(), rest[shared+1:]
	}
	return nil
}

func (x *Index[T]) removeWildcard(filter string, v T) (removed, last bool) {
	x.trieMu.Lock()
	defer x.trieMu.Unlock()
	var above *atomic.Pointer[node[T]] // where the node is whose children k are; nil at the root
	k, rest := &x.root, filter
	for {
		slot := k.slot(rest, x.seed)
		if slot == nil || slot.Load() == nil {
			return false, false
		}
		n := slot.Load()
		shared := sharedLevels(n.label, rest)
		switch {
		case shared < len(n.label):
			return false, false
		case shared == len(rest):
			n, removed = n.without(v)
			if !removed {
				return false, false
			}
			x.settle(above, k, slot, n)
			return true, !n.hasValues()
		}
		if above, k = slot, n.kids(); k == nil {
			return false, false
		}
		rest = rest[shared+1:]
	}
}

// settle puts n, which has lost a value, into its slot among k, the children of what is in above. It keeps the trie small:
// every node but the root has a value or at least two children.
func (x *Index[T]) settle(above *atomic.Pointer[node[T]], k *kids[T], slot *atomic.Pointer[node[T]], n *node[T]) {
	if n.hasValues() || n.kids() != nil {
		slot.Store(compact(n))
		return
	}
	k.drop(n, x.seed)
	if above != nil {
		above.Store(compact(above.Load()))
	}
}

// compact returns n, or what does for a node with too few children: a leaf, or n and its only child in one.
func compact[T comparable](n *node[T]) *node[T] {
	if n.kids() == nil {
		return n
	}
	only, ok := n.kids().atMostOne()
	switch {
	case !ok:
		return n
	case only == nil:
		return n.withKids(nil)
	case n.hasValues():
		return n
	}
	return only.withLabel(n.label + "/" + only.label)
}
