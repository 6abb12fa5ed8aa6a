package share

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func group(s Strategy, members ...int) *Group[int] {
	g := New[int](s, 1)
	for _, m := range members {
		g.Add(m)
	}
	return g
}

// counts picks n times and returns how often each member was chosen.
func counts(t *testing.T, g *Group[int], n int, key func(i int) Key, usable Usable[int]) map[int]int {
	t.Helper()
	all := make(map[int]int)
	for i := range n {
		m, ok := g.Pick(key(i), usable)
		if !ok {
			t.Fatalf("pick %d: nobody", i)
		}
		all[m]++
	}
	return all
}

func sameKey(int) Key { return Key{ClientID: "c", Topic: "t"} }

func keys(i int) Key { return Key{ClientID: fmt.Sprint("client", i), Topic: fmt.Sprint("topic/", i)} }

func all() []Strategy {
	var s []Strategy
	for i := range strategies {
		s = append(s, i)
	}
	return s
}

func TestParseStrategy(t *testing.T) {
	for _, s := range all() {
		if got, err := ParseStrategy(s.String()); err != nil || got != s {
			t.Errorf("ParseStrategy(%q) = %v, %v", s, got, err)
		}
	}
	_, err := ParseStrategy("fair")
	if err == nil {
		t.Fatal("an unknown name was accepted")
	}
	for _, s := range all() {
		if !strings.Contains(err.Error(), s.String()) {
			t.Errorf("%q does not name %v", err, s)
		}
	}
	if got := Strategy(200).String(); got != "Strategy(200)" {
		t.Error(got)
	}
}

func TestDistribution(t *testing.T) {
	const n, members = 10_000, 5
	for _, c := range []struct {
		strategy  Strategy
		key       func(int) Key
		tolerance int
	}{
		{RoundRobin, keys, 1}, {RoundRobinPerGroup, keys, 1}, {Local, sameKey, 1}, {LeastInflight, sameKey, 1},
		{Random, sameKey, 250}, {HashClientID, keys, 250}, {HashTopic, keys, 250},
	} {
		got := counts(t, group(c.strategy, 1, 2, 3, 4, 5), n, c.key, nil)
		for m := 1; m <= members; m++ {
			if d := got[m] - n/members; d < -c.tolerance || d > c.tolerance {
				t.Errorf("%v: member %d got %d of %d", c.strategy, m, got[m], n)
			}
		}
	}
}

func TestRandomIsEvenAmongTheUsable(t *testing.T) {
	odd := func(m int) (int, bool) { return 0, m%2 == 1 }
	got := counts(t, group(Random, 1, 2, 3, 4, 5), 9000, sameKey, odd)
	for _, m := range []int{1, 3, 5} {
		if got[m] < 2750 || got[m] > 3250 {
			t.Errorf("member %d got %d of 9000, not about 3000", m, got[m])
		}
	}
}

// TestRoundRobinStaysFairWhenMembersComeAndGo removes and adds at any time: over every stretch without a change, no
// member may be more than one ahead of another.
func TestRoundRobinStaysFairWhenMembersComeAndGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		strategy := rapid.SampledFrom([]Strategy{RoundRobin, LeastInflight}).Draw(t, "strategy")
		g := group(strategy)
		var model []int // the members in the order of their turns
		for i := range rapid.IntRange(1, 30).Draw(t, "changes") {
			if len(model) > 0 && rapid.Bool().Draw(t, "remove") {
				m := rapid.SampledFrom(model).Draw(t, "member")
				g.Remove(m)
				model = slices.DeleteFunc(model, func(x int) bool { return x == m })
			} else {
				g.Add(i)
				model = nil // who is next is the group's affair when somebody comes
				for range g.Len() {
					m, _ := g.Pick(Key{}, nil)
					if slices.Contains(model, m) {
						t.Fatalf("%d got two messages before others got one: %v of %v", m, model, g.Members())
					}
					model = append(model, m)
				}
			}
			for range rapid.IntRange(0, 10).Draw(t, "picks") {
				m, ok := g.Pick(Key{}, nil)
				if !ok {
					if len(model) != 0 {
						t.Fatal("nobody was picked")
					}
					break
				}
				if m != model[0] {
					t.Fatalf("%d was picked and it was the turn of %d", m, model[0])
				}
				model = append(model[1:], m)
			}
		}
	})
}

func TestAMemberThatComesWaitsForItsTurn(t *testing.T) {
	g := group(RoundRobin, 1, 2, 3)
	var got []int
	for i := range 7 {
		if i == 3 {
			g.Add(4)
		}
		m, _ := g.Pick(Key{}, nil)
		got = append(got, m)
	}
	if want := []int{1, 2, 3, 1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("picked %v, not %v", got, want)
	}
}

func TestUnusableMembersArePassedOver(t *testing.T) {
	for _, s := range all() {
		g := group(s, 1, 2, 3, 4, 5)
		three := func(m int) (int, bool) { return 0, m == 3 }
		if got := counts(t, g, 100, keys, three); got[3] != 100 {
			t.Errorf("%v: %v", s, got)
		}
		if m, ok := g.Pick(keys(1), func(int) (int, bool) { return 0, false }); ok || m != 0 {
			t.Errorf("%v: picked %d and nobody was usable", s, m)
		}
		if _, ok := g.Pick(keys(1), nil); !ok {
			t.Errorf("%v: nobody was picked when everybody was usable again", s)
		}
	}
}

func TestAnEmptyGroupPicksNobody(t *testing.T) {
	for _, s := range all() {
		g := group(s, 1)
		g.Pick(Key{}, nil)
		if !g.Remove(1) || g.Remove(1) || g.Len() != 0 {
			t.Errorf("%v: the member could not be removed once", s)
		}
		if m, ok := g.Pick(Key{}, nil); ok {
			t.Errorf("%v: picked %d of nobody", s, m)
		}
	}
}

func TestMembersAreCopiedAndUnique(t *testing.T) {
	g := group(RoundRobin, 3, 1, 2)
	if g.Add(1) {
		t.Error("a member was added twice")
	}
	members := g.Members()
	members[0] = 99
	if got := g.Members(); !slices.Equal(got, []int{3, 1, 2}) || g.Len() != 3 {
		t.Errorf("members are %v", got)
	}
}

func TestStickyStaysUntilTheMemberIsGoneOrFull(t *testing.T) {
	g := group(Sticky, 1, 2, 3, 4, 5)
	first, _ := g.Pick(keys(0), nil)
	if got := counts(t, g, 100, keys, nil); got[first] != 100 {
		t.Fatalf("picks went to %v, not all to %d", got, first)
	}
	g.Remove(first%5 + 1) // another one
	if m, _ := g.Pick(keys(0), nil); m != first {
		t.Errorf("went from %d to %d when another member left", first, m)
	}
	second, _ := g.Pick(keys(0), func(m int) (int, bool) { return 0, m != first })
	if m, _ := g.Pick(keys(0), nil); second == first || m != second {
		t.Errorf("after %d was not usable: %d, then %d", first, second, m)
	}
	g.Remove(second)
	third, _ := g.Pick(keys(0), nil)
	if got := counts(t, g, 100, keys, nil); third == second || got[third] != 100 {
		t.Errorf("after %d left: %d, then %v", second, third, got)
	}
}

func TestStickyIsNotTheSameMemberForEveryGroup(t *testing.T) {
	seen := make(map[int]bool)
	for seed := range uint64(50) {
		g := New[int](Sticky, seed)
		for m := range 5 {
			g.Add(m)
		}
		m, _ := g.Pick(Key{}, nil)
		seen[m] = true
	}
	if len(seen) != 5 {
		t.Errorf("of five members, only %v were ever chosen", seen)
	}
}

func TestHashesAreOfWhatTheyAreNamed(t *testing.T) {
	for i := range 100 {
		k := keys(i)
		byClient, byTopic := group(HashClientID, 1, 2, 3, 4, 5), group(HashTopic, 1, 2, 3, 4, 5)
		a, _ := byClient.Pick(k, nil)
		b, _ := byClient.Pick(Key{ClientID: k.ClientID, Topic: "other"}, nil)
		c, _ := byTopic.Pick(k, nil)
		d, _ := byTopic.Pick(Key{ClientID: "other", Topic: k.Topic}, nil)
		if a != b || c != d {
			t.Fatalf("%v: went to %d and %d by client, to %d and %d by topic", k, a, b, c, d)
		}
	}
}

// TestHashesMoveOnlyWhatTheyMust removes a member in the middle, lets a successor take its place, and has one that is
// unusable for a while.
func TestHashesMoveOnlyWhatTheyMust(t *testing.T) {
	const n = 1000
	for _, s := range []Strategy{HashClientID, HashTopic} {
		g := group(s, 1, 2, 3, 4, 5)
		assign := func(usable Usable[int]) []int {
			all := make([]int, n)
			for i := range all {
				all[i], _ = g.Pick(keys(i), usable)
			}
			return all
		}
		before := assign(nil)
		moved := func(now []int, from, to int) error {
			for i := range before {
				if (before[i] == from) != (now[i] != before[i]) || before[i] == from && to != 0 && now[i] != to {
					return fmt.Errorf("key %d went from %d to %d", i, before[i], now[i])
				}
			}
			return nil
		}
		err := moved(assign(func(m int) (int, bool) { return 0, m != 3 }), 3, 0)
		if again := assign(nil); !slices.Equal(again, before) {
			t.Errorf("%v: keys did not return to a member that is usable again", s)
		}
		g.Remove(3)
		err = errors.Join(err, moved(assign(nil), 3, 0))
		g.Add(6)
		if err = errors.Join(err, moved(assign(nil), 3, 6)); err != nil {
			t.Errorf("%v: %v", s, err)
		}
	}
}

// TestHashesAreTheSameInEveryProcess pins the assignment: a change would move every key at the next upgrade.
func TestHashesAreTheSameInEveryProcess(t *testing.T) {
	g := New[string](HashTopic, rand.Uint64())
	for _, m := range []string{"a", "b", "c"} {
		g.Add(m)
	}
	var got strings.Builder
	for i := range 20 {
		m, _ := g.Pick(keys(i), nil)
		got.WriteString(m)
	}
	if want := "aabbbacbcabacbccbcaa"; got.String() != want {
		t.Errorf("keys go to %q, not %q", got.String(), want)
	}
}

func TestLeastInflightTakesTheLeastLoaded(t *testing.T) {
	g := group(LeastInflight, 1, 2, 3, 4)
	load := map[int]int{1: 3, 2: 1, 3: 0, 4: 1}
	usable := func(m int) (int, bool) { return load[m], m != 4 }
	for i := range 10_000 {
		m, _ := g.Pick(Key{}, usable)
		if load[m] > min(load[1], load[2], load[3]) {
			t.Fatalf("pick %d: %d with load %v", i, m, load)
		}
		load[m]++
	}
	if load[4] != 1 {
		t.Errorf("the unusable member got %d", load[4]-1)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	usable := func(m int) (int, bool) { return m, m != 2 }
	for _, s := range all() {
		g := group(s, 1, 2, 3, 4, 5)
		if n := testing.AllocsPerRun(100, func() { g.Pick(Key{ClientID: "c", Topic: "t"}, usable) }); n != 0 {
			t.Errorf("%v: %v allocations", s, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, s := range all() {
		for _, n := range []int{5, 1000} {
			b.Run(fmt.Sprintf("%v/%d", s, n), func(b *testing.B) {
				g := group(s)
				for m := range n {
					g.Add(m)
				}
				usable := func(int) (int, bool) { return 0, true }
				key := Key{ClientID: "client-1234", Topic: "site/42/room/7/temperature"}
				for b.Loop() {
					g.Pick(key, usable)
				}
			})
		}
	}
}
