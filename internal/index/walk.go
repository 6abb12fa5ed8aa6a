package index

// Walk calls fn with every pair of a filter and a value until fn returns false. The order is not defined, but a filter's
// values come one after the other. A pair that is there during the whole walk is seen; one that is added or removed
// meanwhile may be seen or not. fn may change the index.
func (x *Index[T]) Walk(fn func(filter string, v T) bool) {
	visit := func(filter string, n *node[T]) bool {
		return !n.hasValues() || n.each(func(v T) bool { return fn(filter, v) })
	}
	for i := range x.exact {
		t := x.exact[i].dict.tab.Load()
		if !t.each(func(n *node[T]) bool { return visit(n.label, n) }) {
			return
		}
	}
	x.walkTrie(visit)
}

// walkTrie calls visit with every node of the trie and the filter that its path spells, until it returns false.
func (x *Index[T]) walkTrie(visit func(filter string, n *node[T]) bool) {
	type step struct {
		filter string
		n      *node[T]
	}
	var stack []step
	x.root.each(func(n *node[T]) bool {
		stack = append(stack, step{n.label, n})
		return true
	})
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !visit(s.filter, s.n) {
			return
		}
		if k := s.n.kids(); k != nil {
			k.each(func(n *node[T]) bool {
				stack = append(stack, step{s.filter + "/" + n.label, n})
				return true
			})
		}
	}
}
