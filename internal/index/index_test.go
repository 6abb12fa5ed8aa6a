package index

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMatchFollowsTheStandard(t *testing.T) {
	tests := []struct {
		filter  string
		matches []string
		not     []string
	}{
		{"a/b", []string{"a/b"}, []string{"a", "a/", "a/b/", "/a/b", "a/c", "A/b"}},
		{"a/#", []string{"a", "a/", "a/b", "a/b/c"}, []string{"ab", "b", "/a"}},
		{"#", []string{"a", "/", "a/$b", "a/b"}, []string{"$SYS", "$SYS/x"}},
		{"+", []string{"a"}, []string{"/", "a/b", "$SYS"}},
		{"+/+", []string{"/", "a/", "/a", "a/b"}, []string{"a", "//", "$SYS/a"}},
		{"/+", []string{"/", "/a"}, []string{"a", "a/b"}},
		{"a/+/c", []string{"a/b/c", "a//c", "a/$b/c"}, []string{"a/c", "a/b/d", "a/b/c/d"}},
		{"a/+/#", []string{"a/b", "a/", "a/b/c"}, []string{"a", "b/a"}},
		{"+/a/#", []string{"x/a", "/a/b"}, []string{"$x/a", "a/x"}},
		{"$SYS/#", []string{"$SYS", "$SYS/a"}, []string{"SYS", "a/$SYS"}},
		{"$SYS/+", []string{"$SYS/a", "$SYS/"}, []string{"$SYS", "$SYS/a/b"}},
		{"a//+", []string{"a//b", "a//"}, []string{"a/b", "a/b/"}},
		{"+/", []string{"a/", "/"}, []string{"a", "a/b"}},
	}
	all := New[string]()
	for _, test := range tests {
		all.Add(test.filter, test.filter)
	}
	for _, test := range tests {
		alone := New[string]()
		alone.Add(test.filter, test.filter)
		for _, topic := range test.matches {
			if got := alone.Match(topic, nil); !slices.Equal(got, []string{test.filter}) {
				t.Errorf("%q alone: Match(%q) = %q", test.filter, topic, got)
			}
			if !slices.Contains(all.Match(topic, nil), test.filter) {
				t.Errorf("%q among others does not match %q", test.filter, topic)
			}
		}
		for _, topic := range test.not {
			if slices.Contains(all.Match(topic, nil), test.filter) || alone.Match(topic, nil) != nil {
				t.Errorf("%q matches %q", test.filter, topic)
			}
		}
	}
}

func TestAddTwiceIsOnce(t *testing.T) {
	x := New[int]()
	for _, filter := range []string{"a/b", "a/+", "a/#"} {
		if !x.Add(filter, 1) || x.Add(filter, 1) || !x.Add(filter, 2) {
			t.Errorf("%s: Add does not tell new from old", filter)
		}
		if x.Remove(filter, 3) || !x.Remove(filter, 2) || x.Remove(filter, 2) {
			t.Errorf("%s: Remove does not tell what is there from what is not", filter)
		}
	}
	if x.Len() != 3 || x.Filters() != 3 {
		t.Errorf("Len %d, Filters %d, want 3 and 3", x.Len(), x.Filters())
	}
	if x.Remove("a/b/c", 1) || x.Remove("+", 1) || x.Remove("a/+/c", 1) || x.Remove("a/+/+", 1) {
		t.Error("Remove of a filter that is not there returned true")
	}
}

func TestMatchAppendsToDst(t *testing.T) {
	x := New[int]()
	x.Add("a", 1)
	x.Add("+", 2)
	got := x.Match("a", []int{7})
	slices.Sort(got)
	if !slices.Equal(got, []int{1, 2, 7}) {
		t.Errorf("Match = %v", got)
	}
}

// TestIndexEqualsModel makes random changes and compares everything that can be asked with a model, after each.
func TestIndexEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, model := New[int](), naive{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				p := pair{drawFilter(t), rapid.IntRange(0, 3).Draw(t, "value")}
				if got := x.Add(p.filter, p.value); got == model[p] {
					t.Fatalf("Add(%v) = %v", p, got)
				}
				model[p] = true
			},
			"remove": func(t *rapid.T) {
				p := drawPair(t, model)
				if got := x.Remove(p.filter, p.value); got != model[p] {
					t.Fatalf("Remove(%v) = %v", p, got)
				}
				delete(model, p)
			},
			"match": func(t *rapid.T) { checkMatch(t, x, model, drawTopic(t)) },
			"":      func(t *rapid.T) { checkCounts(t, x, model) },
		})
		checkWalk(t, x, model)
		for p := range model {
			if !x.Remove(p.filter, p.value) {
				t.Fatalf("Remove(%v) = false", p)
			}
		}
		checkEmpty(t, x)
	})
}

// drawPair draws a pair that is there, mostly, or any.
func drawPair(t *rapid.T, model naive) pair {
	there := make([]pair, 0, len(model))
	for p := range model {
		there = append(there, p)
	}
	slices.SortFunc(there, func(a, b pair) int { return 4*strings.Compare(a.filter, b.filter) + a.value - b.value })
	if len(there) > 0 && rapid.IntRange(0, 9).Draw(t, "there") > 0 {
		return rapid.SampledFrom(there).Draw(t, "pair")
	}
	return pair{drawFilter(t), rapid.IntRange(0, 3).Draw(t, "value")}
}

func checkMatch(t *rapid.T, x *Index[int], model naive, topic string) {
	want := model.match(topic)
	got := x.Match(topic, nil)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("Match(%q) = %v, want %v of %v", topic, got, want, model)
	}
	for v := range 4 {
		asked := 0
		has := x.HasMatch(topic, func(u int) bool { asked++; return u == v })
		if has != slices.Contains(want, v) || asked > len(want) {
			t.Fatalf("HasMatch(%q, %d) = %v after %d of %v", topic, v, has, asked, want)
		}
	}
}

func checkCounts(t *rapid.T, x *Index[int], model naive) {
	if x.Len() != len(model) || x.Filters() != model.filters() {
		t.Fatalf("Len %d, Filters %d, want %d and %d", x.Len(), x.Filters(), len(model), model.filters())
	}
	checkShape(t, x)
}

func checkWalk(t *rapid.T, x *Index[int], model naive) {
	seen := naive{}
	x.Walk(func(filter string, v int) bool {
		p := pair{filter, v}
		if seen[p] || !model[p] {
			t.Fatalf("Walk: %v twice or wrongly", p)
		}
		seen[p] = true
		return true
	})
	if len(seen) != len(model) {
		t.Fatalf("Walk saw %d pairs of %d", len(seen), len(model))
	}
	for stop := range len(model) {
		calls := 0
		x.Walk(func(string, int) bool { calls++; return calls <= stop })
		if calls != stop+1 {
			t.Fatalf("Walk made %d calls, not %d", calls, stop+1)
		}
	}
}

// What is absent is left out where there are many, and counted, and nothing else changes.
func TestMatchPresentLeavesOutWhatIsAbsent(t *testing.T) {
	for _, filter := range []string{"a/b", "a/+", "a/#"} {
		rapid.Check(t, func(t *rapid.T) {
			x, all, absent := New[int](), map[int]bool{}, map[int]bool{}
			step := rapid.Custom(func(t *rapid.T) [2]int {
				return [2]int{rapid.IntRange(0, 5).Draw(t, "what"), rapid.IntRange(0, 99).Draw(t, "which")}
			})
			for i := range rapid.IntRange(0, 100).Draw(t, "first") {
				x.Add(filter, i)
				all[i] = true
			}
			for _, s := range rapid.SliceOfN(step, 0, 300).Draw(t, "steps") {
				switch v := s[1]; s[0] {
				case 0, 1:
					x.Add(filter, v)
					all[v] = true
				case 2:
					x.Remove(filter, v)
					delete(all, v)
					delete(absent, v)
				case 3, 4:
					x.SetPresent(filter, v, false)
					absent[v] = all[v]
				default:
					x.SetPresent(filter, v, true)
					delete(absent, v)
				}
				found, out := x.MatchPresent("a/b", nil)
				if len(found)+out != len(all) || out > len(absent) {
					t.Fatalf("%d found and %d left out of %d, of which %d are absent", len(found), out, len(all), len(absent))
				}
				seen := map[int]bool{}
				for _, v := range found {
					if seen[v] || !all[v] {
						t.Fatalf("%d was found, twice or though it is not there", v)
					}
					seen[v] = true
				}
				for v := range all {
					if !seen[v] && !absent[v] {
						t.Fatalf("%d is present and was not found", v)
					}
				}
				if n := len(x.Match("a/b", nil)); n != len(all) {
					t.Fatalf("Match finds %d of %d", n, len(all))
				}
			}
		})
	}
}
