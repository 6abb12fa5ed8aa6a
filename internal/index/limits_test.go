package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestMatchDoesNotAllocate(t *testing.T) {
	x := New[*int]()
	for i := range 1000 {
		x.Add(fmt.Sprintf("dev/%d/cmd", i), new(int))
		x.Add("all/cmd", new(int))
	}
	for _, filter := range []string{"dev/+/cmd", "dev/#", "#", "+/+/+", "+/7/#", "dev/7/+", "+/#", "dev/+/#", "dev/7/#"} {
		x.Add(filter, new(int))
	}
	buf := make([]*int, 0, 2000)
	topics := []string{"dev/7/cmd", "all/cmd", "nobody/asked", "a/b/c/d/e/f/g/h", "$SYS/x"}
	allocs := testing.AllocsPerRun(100, func() {
		for _, topic := range topics {
			buf = x.Match(topic, buf[:0])
			x.HasMatch(topic, func(v *int) bool { return len(buf) > 2000 })
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a run", allocs)
	}
}

// TestNodesHoldOnlyTheirLabels adds long filters. Were a node's label a part of the filter's string, all of that would stay.
func TestNodesHoldOnlyTheirLabels(t *testing.T) {
	const n = 100
	long := strings.Repeat("x", 60_000)
	tests := map[string]func(x *Index[int], i int){
		"long filters with one beginning": func(x *Index[int], i int) {
			x.Add(fmt.Sprintf("%s/+/%d", long, i), 1)
		},
		"a long filter splits a node and goes": func(x *Index[int], i int) {
			x.Add(fmt.Sprintf("%d/+/a", i), 1)
			x.Add(fmt.Sprintf("%d/+/%s", i, long), 1)
			x.Add(fmt.Sprintf("%d/+/b", i), 1)
			x.Remove(fmt.Sprintf("%d/+/%s", i, long), 1)
		},
		"a long filter is split and goes": func(x *Index[int], i int) {
			x.Add(fmt.Sprintf("%d/+/%s", i, long), 1)
			x.Add(fmt.Sprintf("%d/+/a", i), 1)
			x.Remove(fmt.Sprintf("%d/+/%s", i, long), 1)
		},
	}
	for name, add := range tests {
		before := heap()
		x := New[int]()
		for i := range n {
			add(x, i)
		}
		if held := int64(heap() - before); held > int64(n*len(long)/10) {
			t.Errorf("%s: %d bytes are held", name, held)
		}
		runtime.KeepAlive(x)
	}
}

// TestDeepTopicsAndFilters uses the longest that the standard allows. It ends soon or not at all.
func TestDeepTopicsAndFilters(t *testing.T) {
	slashes := strings.Repeat("/", 65_534)
	pluses := strings.Repeat("+/", 32_767)
	filters := []string{"#", slashes, "+" + slashes, slashes + "#", slashes + "+", pluses + "#", pluses + "+", "/+/#"}
	x := New[int]()
	for i, filter := range filters {
		if !x.Add(filter, i) || x.Add(filter, i) {
			t.Fatalf("Add of filter %d", i)
		}
	}
	// A filter of thousands of levels is a node or two, not thousands.
	nodes := 0
	x.walkTrie(func(string, *node[int]) bool { nodes++; return true })
	if nodes > 2*len(filters) {
		t.Errorf("%d nodes for %d filters", nodes, len(filters))
	}
	got := x.Match(slashes, nil)
	slices.Sort(got)
	if want := []int{0, 1, 2, 3, 4, 5, 7}; !slices.Equal(got, want) {
		t.Errorf("Match = %v, want %v", got, want)
	}
	for i, filter := range filters {
		if !x.Remove(filter, i) {
			t.Errorf("Remove of filter %d", i)
		}
	}
	checkEmpty(t, x)
}

// TestChainOfNodesIsNoRecursion has a filter end at every level, so that the trie is as deep as its filters are long.
func TestChainOfNodesIsNoRecursion(t *testing.T) {
	const depth = 2000
	x := New[int]()
	for i := 1; i <= depth; i++ {
		x.Add(strings.Repeat("+/", i-1)+"+", i)
		x.Add(strings.Repeat("+/", i)+"#", -i)
	}
	got := x.Match(strings.Repeat("/", depth-1), nil)
	if len(got) != depth+1 {
		t.Errorf("%d matches, want %d", len(got), depth+1)
	}
	checkShape(t, x)
	for i := depth; i > 0; i-- {
		x.Remove(strings.Repeat("+/", i-1)+"+", i)
		x.Remove(strings.Repeat("+/", i)+"#", -i)
	}
	checkEmpty(t, x)
}

// TestHostileWildcardsVisitOnlyTheirNodes subscribes to every filter of n levels out of '+' and "a", which share the levels
// they begin with. A topic with k levels that are not "a" matches one in 2 to the power of k of them.
func TestHostileWildcardsVisitOnlyTheirNodes(t *testing.T) {
	const n = 12
	x := New[int]()
	for i := range 1 << n {
		parts := make([]string, n)
		for j := range parts {
			parts[j] = []string{"+", "a"}[i>>j&1]
		}
		x.Add(strings.Join(parts, "/"), i)
	}
	for k := range n + 1 {
		topic := strings.Join(append(slices.Repeat([]string{"b"}, k), slices.Repeat([]string{"a"}, n-k)...), "/")
		if got := len(x.Match(topic, nil)); got != 1<<(n-k) {
			t.Errorf("%s: %d matches, want %d", topic, got, 1<<(n-k))
		}
	}
	// One filter of many wildcards does not try more than one way through a topic that it just fails to match.
	y := New[int]()
	y.Add(strings.Repeat("+/", 30_000)+"x", 1)
	if got := y.Match(strings.Repeat("a/", 30_000)+"y", nil); got != nil {
		t.Errorf("Match = %v", got)
	}
}

// TestWideNodes makes tables grow until they fan out, and shrink to nothing.
func TestWideNodes(t *testing.T) {
	const n = 60_000
	x := New[int]()
	name := func(i int) string { return fmt.Sprintf("site/%d/+", i) }
	for i := range n {
		x.Add(name(i), i)
	}
	x.Add("site/+/b", -1)
	checkShape(t, x)
	site := x.root.literals.find(x.keying(true).hash("site"), "site", true)
	if site.kids().literals.tab.Load().fan == nil {
		t.Error("the table has not fanned out")
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	for k, i := range order {
		got := x.Match(fmt.Sprintf("site/%d/b", i), nil)
		if slices.Sort(got); !slices.Equal(got, []int{-1, i}) {
			t.Fatalf("Match = %v, want %v", got, []int{-1, i})
		}
		x.Remove(name(i), i)
		if k%20_000 == 0 {
			checkShape(t, x)
		}
		if k == n-100 && site.kids().literals.tab.Load().fan != nil {
			t.Error("the table has not become one again")
		}
		if got = x.Match(fmt.Sprintf("site/%d/b", i), got[:0]); !slices.Equal(got, []int{-1}) {
			t.Fatalf("Match = %v after Remove", got)
		}
	}
	if x.Len() != 1 || x.root.literals.tab.Load().used != 1 {
		t.Error("nodes are left")
	}
	x.Remove("site/+/b", -1)
	checkEmpty(t, x)
}
