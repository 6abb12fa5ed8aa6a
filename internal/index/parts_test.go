package index

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestBagEqualsSet grows and shrinks a bag across the sizes where its tree changes shape, and checks each time that what
// a reader holds since before stays as it was.
func TestBagEqualsSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, model, next := newBag([]int{-1}), map[int]bool{-1: true}, 0
		sizes := rapid.SampledFrom([]int{1, 2, 63, 64, 65, 1000, midSpan - 1, midSpan, midSpan + 1, 2*midSpan + 65})
		for _, size := range rapid.SliceOfN(sizes, 1, 5).Draw(t, "sizes") {
			held := b.vec.Load()
			before := held.appendTo(nil)
			for ; len(model) < size; next++ {
				if !b.add(next) || b.add(next) {
					t.Fatalf("add(%d)", next)
				}
				model[next] = true
			}
			remove(t, b, model, len(model)-size)
			if after := held.appendTo(nil); len(after) < len(before) || !slices.Equal(after[:len(before)], before) {
				t.Fatalf("what a reader holds has changed")
			}
			if len(b.at) < b.peak/4 {
				t.Fatalf("a map for %d values keeps what it took for %d", len(b.at), b.peak)
			}
			got := b.appendTo(nil)
			visited := 0
			b.each(func(v int) bool { visited++; return model[v] })
			if len(got) != len(model) || b.len() != len(model) || visited != len(model) {
				t.Fatalf("%d values, len %d, %d visited, want %d", len(got), b.len(), visited, len(model))
			}
			if slices.Sort(got); len(slices.Compact(got)) != len(model) {
				t.Fatalf("a value is there twice")
			}
		}
	})
}

// remove takes count values away: a run of those that were there at some place.
func remove(t *rapid.T, b *bag[int], model map[int]bool, count int) {
	if count <= 0 {
		return
	}
	values := b.appendTo(nil)
	from := rapid.IntRange(0, len(values)-count).Draw(t, "from")
	for _, v := range values[from : from+count] {
		if !b.remove(v) || b.remove(v) {
			t.Fatalf("remove(%d)", v)
		}
		delete(model, v)
	}
}

// TestTableWithOneHash gives every node the same hash, as no caller can, so that a bucket is passed by more nodes than it
// can count.
func TestTableWithOneHash(t *testing.T) {
	const n, h = 1000, 0xAB00_0000_0000_01FF
	table := newTable[int](512)
	for i := range n {
		table.place(h, &node[int]{label: fmt.Sprint(i)})
	}
	for i := range n {
		at, found := table.search(h, fmt.Sprint(i), false)
		if found == nil || found.label != fmt.Sprint(i) {
			t.Fatalf("node %d is not found", i)
		}
		table.clear(h, at)
		if _, found = table.search(h, fmt.Sprint(i), false); found != nil {
			t.Fatalf("node %d is found after it was removed", i)
		}
	}
	if _, found := table.search(h, "x", false); found != nil {
		t.Fatalf("an empty table has %q", found.label)
	}
}

func TestSharedLevels(t *testing.T) {
	tests := []struct {
		a, b string
		want string
	}{
		{"a", "a", "a"},
		{"a/b", "a/b", "a/b"},
		{"a", "a/", "a"},
		{"a/b", "a/bc", "a"},
		{"a/b/c", "a/b/d", "a/b"},
		{"a/b", "a/b/c", "a/b"},
		{"/a", "/b", ""},
		{"", "/b", ""},
		{"//a", "//b", "/"},
		{"+/#", "+", "+"},
		{"+/#", "+/a", "+"},
	}
	for _, test := range tests {
		for _, got := range []int{sharedLevels(test.a, test.b), sharedLevels(test.b, test.a)} {
			if got != len(test.want) {
				t.Errorf("sharedLevels(%q, %q) = %d, want %d", test.a, test.b, got, len(test.want))
			}
		}
	}
}
