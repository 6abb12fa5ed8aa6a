package metrics

import (
	"slices"
	"testing"
	"time"
)

func TestADurationCountsInTheFirstBucketThatHoldsIt(t *testing.T) {
	if !slices.IsSorted(Bounds[:]) {
		t.Fatal("the bounds do not rise")
	}
	for i, bound := range Bounds {
		var h Histogram
		h.Observe(bound)
		h.ObserveMany(bound+1, 3)
		if d := h.Load(); d.Buckets[i] != 1 || d.Buckets[i+1] != 3 || d.Count() != 4 || d.Sum != 4*bound+3 {
			t.Errorf("%v: %+v", bound, d)
		}
	}
	var h Histogram
	h.Observe(-time.Second) // a clock that was set
	h.Observe(0)
	if d := h.Load(); d.Buckets[0] != 2 || d.Sum != 0 {
		t.Errorf("%+v", d)
	}
}

func TestQuantilesLieInTheirBucket(t *testing.T) {
	var h Histogram
	if d := h.Load(); d.Quantile(0.99) != 0 {
		t.Error("nothing took some time")
	}
	for i := range 1000 {
		h.Observe(time.Duration(i+1) * time.Millisecond)
	}
	before := h.Load()
	for q, want := range map[float64][2]time.Duration{
		0.5: {250 * time.Millisecond, 500 * time.Millisecond}, 0.99: {900 * time.Millisecond, time.Second}, 1: {time.Second, time.Second},
	} {
		if got := before.Quantile(q); got < want[0] || got > want[1] {
			t.Errorf("%v: %v", q, got)
		}
	}
	h.ObserveMany(3*time.Hour, 10)
	if d := h.Load().Since(before); d.Count() != 10 || d.Quantile(0.5) != time.Hour || d.Sum != 30*time.Hour {
		t.Errorf("%+v", d)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	for i := 0; b.Loop(); i++ {
		h.Observe(time.Duration(i&0xFFFFF) << 4)
	}
}
