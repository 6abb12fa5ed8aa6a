package check

import (
	"testing"

	"pgregory.net/rapid"
)

func TestStreamNamesEachFault(t *testing.T) {
	for _, c := range []struct {
		name string
		came []uint64
		sent uint64
		want Counts
	}{
		{"all in order", []uint64{0, 1, 2, 3}, 4, Counts{Received: 4}},
		{"nothing", nil, 3, Counts{Missing: 3}},
		{"the first is missing", []uint64{1, 2}, 3, Counts{Received: 2, Missing: 1}},
		{"one in the middle is missing", []uint64{0, 2, 3}, 4, Counts{Received: 3, Missing: 1}},
		{"the end is missing", []uint64{0, 1}, 5, Counts{Received: 2, Missing: 3}},
		{"two changed places", []uint64{0, 2, 1, 3}, 4, Counts{Received: 4, Late: 1}},
		{"one comes twice", []uint64{0, 1, 1, 2}, 3, Counts{Received: 4, Duplicates: 1}},
		{"a late one comes twice", []uint64{0, 2, 1, 1}, 3, Counts{Received: 4, Late: 1, Duplicates: 1}},
		{"a run comes again, as after a reconnect", []uint64{0, 1, 2, 1, 2, 3}, 4, Counts{Received: 6, Duplicates: 2}},
		{"backwards", []uint64{3, 2, 1, 0}, 4, Counts{Received: 4, Late: 3}},
		{"a hole split by a late one", []uint64{5, 2, 0}, 6, Counts{Received: 3, Late: 2, Missing: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Stream
			for _, n := range c.came {
				s.Saw(n)
			}
			if got := s.End(c.sent); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// Whatever comes, the counts are those of a model that remembers everything.
func TestStreamAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		came := rapid.SliceOf(rapid.Uint64Range(0, 40)).Draw(t, "came")
		sent := rapid.Uint64Range(0, 45).Draw(t, "sent")
		var s Stream
		var want Counts
		seen := map[uint64]bool{}
		top := uint64(0)
		for _, n := range came {
			s.Saw(n)
			want.Received++
			switch {
			case seen[n]:
				want.Duplicates++
			case n < top:
				want.Late++
			}
			seen[n] = true
			top = max(top, n+1)
		}
		for n := range max(top, sent) {
			if !seen[n] {
				want.Missing++
			}
		}
		if got := s.End(sent); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestOrderForgivesGapsOnly(t *testing.T) {
	var o Order
	for _, n := range []uint64{3, 7, 9, 8, 8, 20} {
		o.Saw(n)
	}
	if o.Late() != 2 {
		t.Errorf("late %d, want 2", o.Late())
	}
}

func TestCountsAdd(t *testing.T) {
	c := Counts{1, 2, 3, 4}
	c.Add(Counts{10, 20, 30, 40})
	if c != (Counts{11, 22, 33, 44}) {
		t.Errorf("got %+v", c)
	}
}
