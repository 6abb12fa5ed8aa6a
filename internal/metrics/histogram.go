package metrics

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of a histogram's buckets.
var Bounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour,
}

// Histogram counts how long something took. The zero Histogram is ready. It may be observed from any goroutine; those
// that observe much and at once are to have one each.
type Histogram struct {
	buckets [len(Bounds) + 1]atomic.Int64
	sum     atomic.Int64
	_       [64]byte // what lies behind it is another goroutine's
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) { h.ObserveMany(d, 1) }

// ObserveMany counts n that took equally long.
func (h *Histogram) ObserveMany(d time.Duration, n int64) {
	d = max(d, 0)
	low, high := 0, len(Bounds) // the first bound that is not below d
	for low < high {
		if middle := (low + high) / 2; Bounds[middle] < d {
			low = middle + 1
		} else {
			high = middle
		}
	}
	h.buckets[low].Add(n)
	h.sum.Add(int64(d) * n)
}

// Distribution is what a histogram counted.
type Distribution struct {
	Buckets [len(Bounds) + 1]int64 // each by itself; the last is of what took longer than all bounds
	Sum     time.Duration
}

// Load returns what was counted.
func (h *Histogram) Load() (d Distribution) {
	for i := range h.buckets {
		d.Buckets[i] = h.buckets[i].Load()
	}
	d.Sum = time.Duration(h.sum.Load())
	return d
}

// Count is how many were observed.
func (d *Distribution) Count() (n int64) {
	for _, b := range d.Buckets {
		n += b
	}
	return n
}

// Since returns what was counted since earlier was loaded.
func (d Distribution) Since(earlier Distribution) Distribution {
	for i := range d.Buckets {
		d.Buckets[i] -= earlier.Buckets[i]
	}
	d.Sum -= earlier.Sum
	return d
}

// Quantile returns about what a share q of the observations took at most: within the bucket, as if they were spread evenly
// over it. It is 0 without observations, and the last bound if it lies beyond that.
func (d *Distribution) Quantile(q float64) time.Duration {
	rank := q * float64(d.Count())
	if rank == 0 {
		return 0
	}
	low := time.Duration(0)
	for i, n := range d.Buckets[:len(Bounds)] {
		if n > 0 && rank <= float64(n) {
			return low + time.Duration(rank/float64(n)*float64(Bounds[i]-low))
		}
		rank -= float64(n)
		low = Bounds[i]
	}
	return low
}
