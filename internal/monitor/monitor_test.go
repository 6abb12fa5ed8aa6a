package monitor

import (
	"testing"
	"time"
)

// fill adds samples of one message each until end.
func fill(h *History, begin, end time.Time) {
	for at := begin; !at.After(end); at = at.Add(Interval) {
		h.Add(Sample{Time: at, Counts: Counts{Received: 1, CommitTime: time.Second}, States: States{Connected: at.Unix(), CommitSlow: time.Duration(at.Unix())}})
	}
}

func TestOlderSamplesAreCoarserAndLoseNoCount(t *testing.T) {
	h := New()
	end := time.Date(2030, 1, 20, 0, 0, 0, 0, time.UTC)
	fill(h, end.Add(-10*24*time.Hour), end)
	for _, tt := range []struct {
		span time.Duration
		step time.Duration
	}{{5 * time.Minute, Interval}, {time.Hour, Interval}, {2 * time.Hour, time.Minute}, {24 * time.Hour, time.Minute}, {7 * 24 * time.Hour, 10 * time.Minute}} {
		got := h.Since(end.Add(-tt.span+1), end)
		if len(got) != int(tt.span/tt.step) {
			t.Fatalf("%v back there are %d samples", tt.span, len(got))
		}
		for i, s := range got {
			if want := end.Add(-tt.span + time.Duration(i+1)*tt.step); !s.Time.Equal(want) {
				t.Fatalf("%v back, sample %d is of %v, not %v", tt.span, i, s.Time, want)
			}
			if s.Received != int64(tt.step/Interval) || s.CommitTime != time.Duration(s.Received)*time.Second {
				t.Fatalf("%v back, sample %d counts %d messages and %v", tt.span, i, s.Received, s.CommitTime)
			}
			if s.Connected != s.Time.Unix() || s.CommitSlow != time.Duration(s.Time.Unix()) {
				t.Fatalf("%v back, sample %d shows another time's state", tt.span, i)
			}
		}
	}
	if got := h.Since(end.Add(-100*24*time.Hour), end); len(got) != 1008 {
		t.Errorf("%d samples are kept for more than a week", len(got))
	}
}

// A gap, as of a machine that slept, ends an interval early or late, and loses no count.
func TestAGapLosesNoCount(t *testing.T) {
	h := New()
	begin := time.Date(2030, 1, 20, 0, 0, 10, 0, time.UTC)
	fill(h, begin, begin.Add(20*time.Second))
	fill(h, begin.Add(time.Hour), begin.Add(time.Hour+50*time.Second))
	var n int64
	for _, s := range h.Since(begin.Add(-2*time.Hour), begin.Add(time.Hour+50*time.Second)) {
		n += s.Received
	}
	if n != 9 {
		t.Errorf("%d messages of 9 are counted", n)
	}
}

func TestHistoryBeginsEmptyAndIsCleared(t *testing.T) {
	h := New()
	now := time.Date(2030, 1, 20, 0, 0, 0, 0, time.UTC)
	if got := h.Since(now.Add(-time.Hour), now); len(got) != 0 {
		t.Errorf("there is %v", got)
	}
	fill(h, now.Add(-time.Minute), now)
	h.Clear()
	if got := h.Since(now.Add(-time.Hour), now); len(got) != 0 {
		t.Errorf("%d samples are left", len(got))
	}
}
