package index

import "slices"

// fewMax is the number of values of one filter up to which they are a plain slice that is copied at every change.
const fewMax = 32

// node is a filter, or in the trie a run of a filter's levels, with the values subscribed there. A node does not change
// once readers can see it, except inside ext.many and ext.kids: a change makes a new node and swaps the pointer to it.
//
// Nearly all nodes of a large index are leaves with one value. They are 32 bytes and have no ext.
type node[T comparable] struct {
	label string  // the whole filter, or one or more levels of it, joined by '/'
	one   T       // the only value, if ext is nil
	ext   *ext[T] // everything of a node that is not a leaf with one value
}

// ext is what most nodes do not need.
type ext[T comparable] struct {
	few  []T      // the values, immutable, if many is nil
	many *bag[T]  // the values, if there are more than fewMax
	kids *kids[T] // where longer filters go on; nil in a leaf
}

// makeNode returns a node in its smallest form.
func makeNode[T comparable](label string, values []T, k *kids[T]) *node[T] {
	if len(values) == 1 && k == nil {
		return &node[T]{label: label, one: values[0]}
	}
	return &node[T]{label: label, ext: &ext[T]{few: values, kids: k}}
}

func (n *node[T]) kids() *kids[T] {
	if n.ext == nil {
		return nil
	}
	return n.ext.kids
}

func (n *node[T]) hasValues() bool {
	return n.ext == nil || n.ext.many != nil || len(n.ext.few) > 0
}

// values returns the values of a node that has no more than fewMax.
func (n *node[T]) values() []T {
	if n.ext == nil {
		return []T{n.one}
	}
	return n.ext.few
}

// withLabel returns n under another label.
func (n *node[T]) withLabel(label string) *node[T] {
	return &node[T]{label: label, one: n.one, ext: n.ext}
}

// withKids returns n with other children, or none.
func (n *node[T]) withKids(k *kids[T]) *node[T] {
	if n.ext != nil && n.ext.many != nil {
		return &node[T]{label: n.label, ext: &ext[T]{many: n.ext.many, kids: k}}
	}
	return makeNode(n.label, n.values(), k)
}

// with returns n with the value v too, and whether that is a change. With many values it changes n itself.
func (n *node[T]) with(v T) (*node[T], bool) {
	if n.ext != nil && n.ext.many != nil {
		return n, n.ext.many.add(v)
	}
	old := n.values()
	if slices.Contains(old, v) {
		return n, false
	}
	values := make([]T, len(old)+1)
	copy(values, old)
	values[len(old)] = v
	if len(values) <= fewMax {
		return makeNode(n.label, values, n.kids()), true
	}
	return &node[T]{label: n.label, ext: &ext[T]{many: newBag(values), kids: n.kids()}}, true
}

// without returns n without the value v, and whether that is a change. The result may have no value left. With many values
// it changes n itself.
func (n *node[T]) without(v T) (*node[T], bool) {
	if n.ext != nil && n.ext.many != nil {
		b := n.ext.many
		if !b.remove(v) {
			return n, false
		}
		// The way back needs half the values, so that one client coming and going does not convert them each time.
		if b.len() <= fewMax/2 {
			return makeNode(n.label, b.appendTo(make([]T, 0, b.len())), n.kids()), true
		}
		return n, true
	}
	old := n.values()
	i := slices.Index(old, v)
	if i < 0 {
		return n, false
	}
	values := make([]T, 0, len(old)-1)
	values = append(values, old[:i]...)
	values = append(values, old[i+1:]...)
	return makeNode(n.label, values, n.kids()), true
}

// appendTo appends the node's values to dst.
func (n *node[T]) appendTo(dst []T) []T {
	switch {
	case n.ext == nil:
		return append(dst, n.one)
	case n.ext.many != nil:
		return n.ext.many.appendTo(dst)
	}
	return append(dst, n.ext.few...)
}

// setPresent is SetPresent for a value of the node.
func (n *node[T]) setPresent(v T, present bool) {
	if n.ext != nil && n.ext.many != nil {
		n.ext.many.setPresent(v, present)
	}
}

// appendPresent appends the node's values but those of many that are not present, and returns how many these are.
func (n *node[T]) appendPresent(dst []T) (found []T, absent int) {
	if n.ext == nil || n.ext.many == nil {
		return n.appendTo(dst), 0
	}
	p := n.ext.many.present.Load()
	if p == nil {
		return n.appendTo(dst), 0
	}
	return p.appendTo(dst), max(0, n.ext.many.len()-p.len())
}

// each calls fn with each value until it returns false, and reports whether it never did.
func (n *node[T]) each(fn func(T) bool) bool {
	switch {
	case n.ext == nil:
		return fn(n.one)
	case n.ext.many != nil:
		return n.ext.many.each(fn)
	}
	for _, v := range n.ext.few {
		if !fn(v) {
			return false
		}
	}
	return true
}
