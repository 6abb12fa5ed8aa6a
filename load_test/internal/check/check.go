// Package check tells from sequence numbers what became of messages: which are missing, which came twice, and which
// came after a later one.
package check

import (
	"slices"
	"sort"
)

// Counts is what a Stream, or many together, has seen.
type Counts struct {
	Received   int64 // everything that came, whatever else it counts as
	Duplicates int64 // came again
	Late       int64 // came for the first time, after a later one: order was broken
	Missing    int64 // never came; final only after the last message was due
}

// Add adds what others have seen.
func (c *Counts) Add(o Counts) {
	c.Received += o.Received
	c.Duplicates += o.Duplicates
	c.Late += o.Late
	c.Missing += o.Missing
}

// hole is a range of numbers that were passed over and may still come.
type hole struct{ from, to uint64 } // [from, to)

// Stream follows the numbers 0, 1, 2, … of one publisher at one subscriber. Its zero value has seen none. In the usual
// case, where the next number is the next, it costs a comparison; memory grows with the gaps that are open at a time.
type Stream struct {
	next   uint64
	holes  []hole // sorted, apart
	counts Counts
}

// Saw notes that number n came.
func (s *Stream) Saw(n uint64) {
	s.counts.Received++
	switch {
	case n == s.next:
		s.next++
	case n > s.next:
		s.holes = append(s.holes, hole{s.next, n})
		s.counts.Missing += int64(n - s.next)
		s.next = n + 1
	case s.fill(n):
		s.counts.Missing--
		s.counts.Late++
	default:
		s.counts.Duplicates++
	}
}

// fill takes n out of the holes. It reports whether it was in one.
func (s *Stream) fill(n uint64) bool {
	i := sort.Search(len(s.holes), func(i int) bool { return s.holes[i].to > n })
	if i == len(s.holes) || s.holes[i].from > n {
		return false
	}
	switch h := &s.holes[i]; {
	case h.from == n && h.to == n+1:
		s.holes = slices.Delete(s.holes, i, i+1)
	case h.from == n:
		h.from++
	case h.to == n+1:
		h.to--
	default:
		rest := hole{n + 1, h.to}
		h.to = n
		s.holes = slices.Insert(s.holes, i+1, rest)
	}
	return true
}

// Counts returns what came so far. Missing are the gaps between the numbers seen.
func (s *Stream) Counts() Counts { return s.counts }

// End returns what came if the publisher has sent the numbers below n and nothing more comes.
func (s *Stream) End(n uint64) Counts {
	c := s.counts
	if n > s.next {
		c.Missing += int64(n - s.next)
	}
	return c
}

// Order follows only the order of one publisher's numbers at one member of a shared subscription, which gets some of
// them: gaps are no fault there.
type Order struct {
	next uint64
	late int64
}

// Saw notes that number n came.
func (o *Order) Saw(n uint64) {
	if n < o.next {
		o.late++
		return
	}
	o.next = n + 1
}

// Late returns how many numbers came after a later one.
func (o *Order) Late() int64 { return o.late }
