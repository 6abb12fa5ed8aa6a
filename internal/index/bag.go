package index

import (
	"slices"
	"sync/atomic"
)

// bag is the set of values of a filter with many. Adding and removing take constant time, and a reader sees the set as it
// was at one moment: none of its values twice, and none missing because it was just moved.
type bag[T comparable] struct {
	vec atomic.Pointer[vector[T]]
	// present are the values that SetPresent has not taken out; nil: all of them.
	present atomic.Pointer[bag[T]]

	// owned by the writer
	at   map[T]int // each value's position in vec
	peak int       // the most values since at was made; maps do not shrink by themselves
}

const (
	leafSize = 64 // values in a leaf of a vector
	midSize  = 64 // leaves in a middle node
	midSpan  = leafSize * midSize
)

type leaf[T comparable] [leafSize]T
type mid[T comparable] [midSize]*leaf[T]

// vector is a list of values: a tree of fixed height. What lies below n never changes. What lies at n or above was never
// seen by a reader of any vector that shares it, so the writer may append in place and then raise n.
type vector[T comparable] struct {
	n   atomic.Int64
	top []*mid[T]
}

func newBag[T comparable](values []T) *bag[T] {
	b := &bag[T]{}
	b.fill(values)
	return b
}

// fill makes the bag anew, with nothing left of what it was.
func (b *bag[T]) fill(values []T) {
	b.at = make(map[T]int, len(values))
	b.peak = len(values)
	v := &vector[T]{}
	for i, value := range values {
		b.at[value] = i
		v = v.push(value)
	}
	b.vec.Store(v)
}

func (b *bag[T]) len() int { return int(b.vec.Load().n.Load()) }

func (b *bag[T]) add(value T) bool {
	if _, ok := b.at[value]; ok {
		return false
	}
	b.at[value] = b.len()
	b.peak = max(b.peak, len(b.at))
	old := b.vec.Load()
	if v := old.push(value); v != old {
		b.vec.Store(v)
	}
	if p := b.present.Load(); p != nil {
		p.add(value)
	}
	return true
}

// setPresent takes a value that is there in or out of those that are present.
func (b *bag[T]) setPresent(value T, present bool) {
	if _, ok := b.at[value]; !ok {
		return
	}
	p := b.present.Load()
	switch {
	case p == nil && present:
	case p == nil:
		p = newBag(b.appendTo(make([]T, 0, b.len())))
		p.remove(value)
		b.present.Store(p)
	case !present:
		p.remove(value)
	case p.add(value) && p.len() == b.len():
		b.present.Store(nil)
	}
}

func (b *bag[T]) remove(value T) bool {
	i, ok := b.at[value]
	if !ok {
		return false
	}
	if p := b.present.Load(); p != nil {
		p.remove(value)
	}
	v, moved := b.vec.Load().removeAt(i)
	b.at[moved] = i
	delete(b.at, value)
	if len(b.at) < b.peak/4 {
		b.fill(v.appendTo(make([]T, 0, len(b.at))))
		return true
	}
	b.vec.Store(v)
	return true
}

func (b *bag[T]) appendTo(dst []T) []T { return b.vec.Load().appendTo(dst) }

func (b *bag[T]) each(fn func(T) bool) bool { return b.vec.Load().each(fn) }

// push appends a value: in place, or in a new vector where the top has to grow.
func (v *vector[T]) push(value T) *vector[T] {
	n := int(v.n.Load())
	if n%midSpan == 0 {
		grown := &vector[T]{top: make([]*mid[T], len(v.top)+1)}
		copy(grown.top, v.top)
		grown.top[len(v.top)] = new(mid[T])
		v = grown
	}
	m := v.top[n/midSpan]
	li := n / leafSize % midSize
	if n%leafSize == 0 {
		m[li] = new(leaf[T])
	}
	m[li][n%leafSize] = value
	v.n.Store(int64(n + 1))
	return v
}

// removeAt returns the vector without its value at i, whose place the last value takes, and that value. It copies the two
// leaves and the nodes above them, so that v stays as its readers see it.
func (v *vector[T]) removeAt(i int) (without *vector[T], moved T) {
	last := int(v.n.Load()) - 1
	w := &vector[T]{top: slices.Clone(v.top)}
	end := w.own(last)
	moved = end[last%leafSize]
	var zero T
	end[last%leafSize] = zero
	if i != last {
		w.own(i)[i%leafSize] = moved
	}
	if last%leafSize == 0 {
		w.top[last/midSpan][last/leafSize%midSize] = nil
	}
	if last%midSpan == 0 {
		w.top[last/midSpan] = nil
		w.top = w.top[:last/midSpan]
	}
	w.n.Store(int64(last))
	return w, moved
}

// own replaces the leaf that holds position i, and the middle node above it, by copies and returns the leaf.
func (v *vector[T]) own(i int) *leaf[T] {
	m := *v.top[i/midSpan]
	l := *m[i/leafSize%midSize]
	m[i/leafSize%midSize] = &l
	v.top[i/midSpan] = &m
	return &l
}

func (v *vector[T]) appendTo(dst []T) []T {
	n := int(v.n.Load())
	dst = slices.Grow(dst, n)
	for i := 0; i < n; i += leafSize {
		l := v.top[i/midSpan][i/leafSize%midSize]
		dst = append(dst, l[:min(leafSize, n-i)]...)
	}
	return dst
}

func (v *vector[T]) each(fn func(T) bool) bool {
	n := int(v.n.Load())
	for i := range n {
		if !fn(v.top[i/midSpan][i/leafSize%midSize][i%leafSize]) {
			return false
		}
	}
	return true
}
