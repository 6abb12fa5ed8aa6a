package index

import "strings"

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

// checkDict checks that every node is found under its key and that a table counts right.
func checkDict[T comparable](t fataler, d *dict[T], k keying) {
	t.Helper()
	whole := d.tab.Load()
	count := 0
	whole.each(func(n *node[T]) bool {
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
	switch {
	case whole == nil:
	case count == 0 || whole.used != count:
		t.Fatalf("%d nodes in a table that counts %d", count, whole.used)
	case whole.fan == nil:
		checkTable(t, whole, k)
	default:
		for i := range whole.fan {
			checkDict(t, &whole.fan[i], k)
		}
	}
}

// checkTable checks a table's size and its control words: a tag where there is a node, and a pass for every node that went on from a bucket.
func checkTable[T comparable](t fataler, table *table[T], k keying) {
	t.Helper()
	if slots := len(table.buckets) * bucketSlots; len(table.buckets) > 1 && table.used < slots/8 {
		t.Fatalf("%d nodes keep %d slots", table.used, slots)
	}
	passes := make([]uint64, len(table.buckets))
	for i := range table.buckets {
		b := &table.buckets[i]
		for j := range bucketSlots {
			n, tag := b.slots[j].Load(), b.ctrl.Load()>>(8*j)&0xFF
			if n == nil && tag != 0 || n != nil && tag != tagOf(k.hash(n.label)) {
				t.Fatalf("slot %d of bucket %d has tag %d", j, i, tag)
			}
			if n == nil {
				continue
			}
			for home := table.home(k.hash(n.label)); home != i; home = table.after(home) {
				passes[home]++
			}
		}
	}
	for i := range table.buckets {
		if got := table.buckets[i].ctrl.Load() >> passShift; got != passes[i] && got < passMax {
			t.Fatalf("bucket %d of %d counts %d passes, not %d", i, len(passes), got, passes[i])
		}
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
