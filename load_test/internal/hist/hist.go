// Package hist counts durations in buckets whose width grows with the value, so that every quantile up to p99.99 is
// within 0.8 % of the exact one, whatever the range, in 60 kB and without keeping the values.
package hist

import (
	"math"
	"math/bits"
	"time"
)

// Values below linear nanoseconds have a bucket each; each doubling above has perOctave buckets.
const (
	perOctaveBits = 7
	perOctave     = 1 << perOctaveBits
	linear        = 2 * perOctave
	buckets       = (64 - perOctaveBits) * perOctave
)

// Hist is a histogram of durations. Its zero value is empty. It is not safe for concurrent use.
type Hist struct {
	counts   [buckets]uint64
	n        uint64
	sum      float64
	min, max int64
}

// Record counts one duration. A negative one, which a clock that is read out of order gives, counts as zero.
func (h *Hist) Record(d time.Duration) {
	v := max(int64(d), 0)
	h.counts[bucket(v)]++
	if h.n == 0 || v < h.min {
		h.min = v
	}
	h.max = max(h.max, v)
	h.n++
	h.sum += float64(v)
}

// Merge adds what o has counted.
func (h *Hist) Merge(o *Hist) {
	if o.n == 0 {
		return
	}
	for i, c := range o.counts {
		h.counts[i] += c
	}
	if h.n == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.n += o.n
	h.sum += o.sum
}

// Reset forgets everything.
func (h *Hist) Reset() { *h = Hist{} }

// Count returns how many durations were recorded.
func (h *Hist) Count() uint64 { return h.n }

// Max returns the longest duration, exactly.
func (h *Hist) Max() time.Duration { return time.Duration(h.max) }

// Mean returns the average.
func (h *Hist) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.n))
}

// Quantile returns the smallest duration that at least the share q of all durations does not exceed; 0 if there are
// none. It is never below the shortest nor above the longest.
func (h *Hist) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(h.n)))
	rank = min(max(rank, 1), h.n)
	if rank == h.n {
		return time.Duration(h.max)
	}
	var seen uint64
	for i, c := range h.counts {
		if seen += c; seen >= rank {
			return time.Duration(min(max(middle(i), h.min), h.max))
		}
	}
	return time.Duration(h.max)
}

// bucket returns the index of v's bucket.
func bucket(v int64) int {
	if v < linear {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - perOctaveBits - 1
	return shift<<perOctaveBits + int(v>>shift)
}

// middle returns the value in the middle of bucket i.
func middle(i int) int64 {
	if i < linear {
		return int64(i)
	}
	shift := i>>perOctaveBits - 1
	return int64(i-shift<<perOctaveBits)<<shift + int64(1)<<shift>>1
}
