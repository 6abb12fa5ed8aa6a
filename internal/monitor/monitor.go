// Package monitor remembers how the broker was doing: a sample every ten seconds for the last hour, one a minute for the
// last day, and one every ten minutes for the last week. It lives in memory, whose size is fixed. It has no clock and no
// goroutine.
package monitor

import (
	"slices"
	"sync"
	"time"
)

// Interval is how often a sample is taken, at whole multiples of it.
const Interval = 10 * time.Second

// Counts are what happened since the sample before.
type Counts struct {
	Received, Sent           int64 // PUBLISH packets
	BytesReceived, BytesSent int64 // of all packets
	Dropped, Persisted       int64 // messages or copies
	Commits                  int64
	CommitTime               time.Duration // of all of them
}

// States are how things were when the sample was taken.
type States struct {
	Sessions, Connected             int64 // sessions, connected or not; connections
	Subscriptions, Topics           int64 // and the filters that they have
	DurableSubscriptions            int64
	DurableAway                     int64 // durable sessions without a connection
	Retained, Shared, Delayed       int64
	MemoryBytes, LogBytes, DiskFree int64
	QueueBytes                      int64 // that wait for their commit
	Alarms                          int64
	CommitSlow                      time.Duration // what 99 % of the commits since the sample before took at most
}

// Sample is one look at the broker.
type Sample struct {
	Time time.Time
	Counts
	States
}

// tier keeps samples of one resolution.
type tier struct {
	step    time.Duration
	most    int
	samples []Sample // a ring once it is full: next is the oldest
	next    int
	pending Sample // what was merged since the last sample; zero time: nothing
}

// History is what is remembered. Its methods may be called from any goroutine. Make it with New.
type History struct {
	mu    sync.Mutex
	tiers []*tier
}

// New makes an empty history.
func New() *History {
	return &History{tiers: []*tier{
		{step: Interval, most: 360}, {step: time.Minute, most: 1440}, {step: 10 * time.Minute, most: 1008},
	}}
}

// Add takes in a sample, whose counts are those since the one before. Times rise.
func (h *History) Add(s Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.tiers {
		t.add(s)
	}
}

// add merges a sample into the one of its interval, which ends at a multiple of step.
func (t *tier) add(s Sample) {
	if p := &t.pending; !p.Time.IsZero() {
		s.Counts.add(&p.Counts)
		s.CommitSlow = max(s.CommitSlow, p.CommitSlow)
	}
	if !s.Time.Truncate(t.step).Equal(s.Time) {
		t.pending = s
		return
	}
	t.pending = Sample{}
	if len(t.samples) < t.most {
		t.samples = append(t.samples, s)
		return
	}
	t.samples[t.next] = s
	t.next = (t.next + 1) % t.most
}

// Since returns what was counted since earlier was.
func (c Counts) Since(earlier Counts) Counts {
	return Counts{
		Received: c.Received - earlier.Received, Sent: c.Sent - earlier.Sent,
		BytesReceived: c.BytesReceived - earlier.BytesReceived, BytesSent: c.BytesSent - earlier.BytesSent,
		Dropped: c.Dropped - earlier.Dropped, Persisted: c.Persisted - earlier.Persisted,
		Commits: c.Commits - earlier.Commits, CommitTime: c.CommitTime - earlier.CommitTime,
	}
}

func (c *Counts) add(o *Counts) {
	c.Received += o.Received
	c.Sent += o.Sent
	c.BytesReceived += o.BytesReceived
	c.BytesSent += o.BytesSent
	c.Dropped += o.Dropped
	c.Persisted += o.Persisted
	c.Commits += o.Commits
	c.CommitTime += o.CommitTime
}

// Since returns the samples from a time on, oldest first, at the finest resolution that reaches back so far. What is
// gone is left out.
func (h *History) Since(from, now time.Time) []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tiers[len(h.tiers)-1]
	for _, finer := range h.tiers {
		if now.Sub(from) <= finer.step*time.Duration(finer.most) {
			t = finer
			break
		}
	}
	all := append(slices.Clone(t.samples[t.next:]), t.samples[:t.next]...)
	i, _ := slices.BinarySearchFunc(all, from, func(s Sample, from time.Time) int { return s.Time.Compare(from) })
	return all[i:]
}

// Clear forgets everything.
func (h *History) Clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.tiers {
		t.samples, t.next, t.pending = nil, 0, Sample{}
	}
}
