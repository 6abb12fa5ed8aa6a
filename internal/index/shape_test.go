package index

import (
	"strings"
)

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkShape checks what the trie promises about itself: nodes exist only where a filter ends or filters part, and hash
// tables are in order.
func checkShape[T comparable](t fataler, x *Index[T]) {
	t.Helper()
	for i := range x.exact {
		checkDict(t, &x.exact[i].dict, x.keying(false))
	}
	checkKids(t, x, &x.root)
}

func checkKids[T comparable](t fataler, x *Index[T], k *kids[T]) {
	t.Helper()
	checkDict(t, &k.literals, x.keying(true))
	k.each(func(n *node[T]) bool {
		if n.label != "#" && strings.HasPrefix(n.label, "#") {
			t.Fatalf("label %q", n.label)
		}
		count := 0
		if n.kids() != nil {
			n.kids().each(func(*node[T]) bool { count++; return true })
			checkKids(t, x, n.kids())
		}
		if !n.hasValues() && count < 2 || n.hasValues() && count == 0 && n.kids() != nil {
			t.Fatalf("node %q has values: %v, children: %d", n.label, n.hasValues(), count)
		}
		return true
	})
}

// checkDict checks that every node is found under its key and that the counts of a table are what is in it.
func checkDict[T comparable](t fataler, d *dict[T], k keying) {
	t.Helper()
	table := d.tab.Load()
	count, passes, tags := 0, 0, 0
	table.each(func(n *node[T]) bool {
		count++
		key := n.label
		if k.levels {
			key = firstLevel(key)
		}
		if d.find(k.hash(n.label), key, k.levels) != n {
			t.Fatalf("node %q is not found", n.label)
		}
		return true
	})
	if table == nil {
		return
	}
	if count == 0 || table.used != count {
		t.Fatalf("%d nodes in a table that counts %d", count, table.used)
	}
	for i := range table.buckets {
		ctrl := table.buckets[i].ctrl.Load()
		passes += int(ctrl >> passShift)
		for j := range bucketSlots {
			if ctrl>>(8*j)&0xFF != 0 {
				tags++
			}
		}
	}
	if table.fan == nil && (tags != count || len(table.buckets) == 1 && passes != 0) {
		t.Fatalf("%d nodes, %d tags, %d passes in %d buckets", count, tags, passes, len(table.buckets))
	}
}

// checkEmpty checks that nothing is left of what was in the index.
func checkEmpty[T comparable](t fataler, x *Index[T]) {
	t.Helper()
	if x.Len() != 0 || x.Filters() != 0 {
		t.Fatalf("Len %d, Filters %d of an empty index", x.Len(), x.Filters())
	}
	for i := range x.exact {
		if x.exact[i].dict.tab.Load() != nil {
			t.Fatalf("an empty index has a hash table")
		}
	}
	if x.root.literals.tab.Load() != nil || x.root.plus.Load() != nil || x.root.hash.Load() != nil {
		t.Fatalf("an empty index has nodes")
	}
}
