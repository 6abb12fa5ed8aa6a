package ratelimit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestBurstThenRate(t *testing.T) {
	b := New(10, 3)
	for i := range 3 {
		if !b.Allow(start) {
			t.Fatalf("token %d of the burst refused", i)
		}
	}
	if b.Allow(start) {
		t.Fatal("a fourth token came out of a burst of three")
	}
	if b.Allow(start.Add(99 * time.Millisecond)) {
		t.Fatal("a token after 99 ms at 10 a second")
	}
	if !b.Allow(start.Add(101 * time.Millisecond)) {
		t.Fatal("no token after 101 ms at 10 a second")
	}
}

func TestNeverMoreThanBurst(t *testing.T) {
	b := New(1000, 5)
	b.Allow(start)
	n := 0
	for b.Allow(start.Add(time.Hour)) {
		n++
	}
	if n != 5 {
		t.Fatalf("after an hour: %d tokens, want the burst of 5", n)
	}
}

func TestZeroValueAndZeroRateLimitNothing(t *testing.T) {
	var zero Bucket
	for _, b := range []Bucket{zero, New(0, 1), New(-1, 1)} {
		if !b.AllowN(start, 1<<30) || b.Take(start, 1<<30) != 0 || b.Wait(start, 1<<30) != 0 || b.Limited() {
			t.Errorf("%+v limits", b)
		}
	}
}

func TestTakeGoesIntoDebt(t *testing.T) {
	b := New(100, 10)
	if d := b.Take(start, 10); d != 0 {
		t.Fatalf("the burst had to wait %v", d)
	}
	d := b.Take(start, 50)
	if d < 500*time.Millisecond || d > 501*time.Millisecond {
		t.Fatalf("50 tokens in debt at 100 a second: wait %v, want 500 ms", d)
	}
	if b.Allow(start.Add(400 * time.Millisecond)) {
		t.Fatal("a token while in debt")
	}
	if w := b.Take(start.Add(d), 0); w != 0 {
		t.Fatalf("still %v to wait after the wait", w)
	}
}

func TestWaitIsEnoughAndCapped(t *testing.T) {
	b := New(3, 2)
	b.AllowN(start, 2)
	w := b.Wait(start, 1)
	if !b.Allow(start.Add(w)) {
		t.Fatalf("no token after waiting %v as told", w)
	}
	slow := New(1e-12, 1)
	slow.Allow(start)
	if w := slow.Wait(start, 1); w != maxWait {
		t.Fatalf("a tiny rate: wait %v, want %v", w, maxWait)
	}
}

func TestClockJumpMakesNoTokens(t *testing.T) {
	b := New(1, 1)
	if !b.Allow(start) {
		t.Fatal("full bucket refused")
	}
	for range 10 { // back and forth over the same minute
		if b.Allow(start.Add(-time.Minute)) || b.Allow(start) {
			t.Fatal("a clock that went back and forth made a token")
		}
	}
}

func TestClockJumpBackTakesNoTokens(t *testing.T) {
	b := New(10, 3)
	b.Allow(start)
	if !b.AllowN(start.Add(-time.Hour), 2) {
		t.Fatal("a clock that went back took the tokens that were there")
	}
}

// Over any run of calls, no more passes than the burst and what the rate gains in the time that went by.
func TestNeverExceedsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.1, 1e6).Draw(t, "rate")
		burst := rapid.IntRange(1, 1000).Draw(t, "burst")
		b := New(rate, burst)
		now, passed := start, 0
		for range rapid.IntRange(1, 200).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "step")))
			if n := rapid.IntRange(1, 50).Draw(t, "n"); b.AllowN(now, n) {
				passed += n
			}
		}
		limit := float64(burst) + now.Sub(start).Seconds()*rate
		if float64(passed) > limit*(1+1e-9)+1e-6 {
			t.Fatalf("%d passed, at most %f may", passed, limit)
		}
	})
}
