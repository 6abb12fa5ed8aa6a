package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var quantiles = []float64{0, 0.001, 0.5, 0.9, 0.99, 0.999, 0.9999, 1}

// exact returns the quantile of sorted values by its definition.
func exact(sorted []time.Duration, q float64) time.Duration {
	rank := max(int(math.Ceil(q*float64(len(sorted)))), 1)
	return sorted[rank-1]
}

func TestQuantilesAreWithinOnePercentOfTheExactOnes(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	for name, draw := range map[string]func() float64{
		"uniform":     func() float64 { return r.Float64() * 1e6 },
		"exponential": func() float64 { return r.ExpFloat64() * 5e5 },
		"heavy tail":  func() float64 { return 1e4 / math.Pow(1-r.Float64(), 1.5) },
		"small":       func() float64 { return float64(r.IntN(300)) },
		"one value":   func() float64 { return 123456789 },
	} {
		var h Hist
		values := make([]time.Duration, 50_000)
		for i := range values {
			values[i] = time.Duration(draw())
			h.Record(values[i])
		}
		slices.Sort(values)
		for _, q := range quantiles {
			got, want := h.Quantile(q), exact(values, q)
			if diff := math.Abs(float64(got - want)); diff > 0.008*float64(want) {
				t.Errorf("seed %d, %s: quantile %v is %v, exactly %v", seed, name, q, got, want)
			}
		}
		if h.Max() != values[len(values)-1] {
			t.Errorf("%s: max is %v, want %v", name, h.Max(), values[len(values)-1])
		}
	}
}

func TestEveryValueLiesInItsBucket(t *testing.T) {
	last := -1
	for v := int64(0); v >= 0 && v < math.MaxInt64/3; v += v/1000 + 1 {
		i := bucket(v)
		if i < last || i > last+1 && v < 1<<40 {
			t.Fatalf("%d is in bucket %d after %d", v, i, last)
		}
		last = i
		if diff := math.Abs(float64(middle(i) - v)); diff > 0.008*float64(v) {
			t.Fatalf("%d is in a bucket whose middle is %d", v, middle(i))
		}
	}
	if bucket(math.MaxInt64) >= buckets {
		t.Fatalf("the longest duration has bucket %d of %d", bucket(math.MaxInt64), buckets)
	}
}

func TestMergeIsRecordingInBoth(t *testing.T) {
	var a, b, both Hist
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond
		both.Record(d)
		if i%3 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Merge(&b)
	a.Merge(&Hist{})
	if a != both {
		t.Errorf("merged %d values, mean %v, max %v; want %d, %v, %v", a.Count(), a.Mean(), a.Max(), both.Count(), both.Mean(), both.Max())
	}
	a.Reset()
	if a.Count() != 0 || a.Quantile(0.99) != 0 || a.Mean() != 0 {
		t.Error("something is left after Reset")
	}
}

func TestClockOutOfOrderCountsAsZero(t *testing.T) {
	var h Hist
	h.Record(-5)
	if h.Count() != 1 || h.Quantile(1) != 0 {
		t.Errorf("count %d, max %v", h.Count(), h.Max())
	}
}

func BenchmarkRecord(b *testing.B) {
	h := new(Hist)
	for i := range b.N {
		h.Record(time.Duration(i&0xFFFFF) * 16)
	}
}
