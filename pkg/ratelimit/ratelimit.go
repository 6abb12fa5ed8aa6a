// Package ratelimit is a token bucket without a goroutine, a timer or a clock: the caller passes the time in.
package ratelimit

import "time"

// Bucket holds up to burst tokens and gains rate tokens a second. The zero Bucket limits nothing.
//
// A Bucket is not safe for concurrent use: whoever owns it serialises the calls. It is a plain value of a few words, so
// it can lie inside the struct that it limits.
type Bucket struct {
	rate   float64 // tokens a second; 0: no limit
	burst  float64
	tokens float64 // negative after Take went into debt
	last   time.Time
}

// New returns a full bucket. A rate of 0 or less means no limit; a burst below one token becomes one, since nothing
// would ever pass otherwise.
func New(perSecond float64, burst int) Bucket {
	if !(perSecond > 0) {
		return Bucket{}
	}
	b := float64(max(burst, 1))
	return Bucket{rate: perSecond, burst: b, tokens: b}
}

// Limited reports whether the bucket limits anything.
func (b *Bucket) Limited() bool { return b.rate > 0 }

// Allow takes one token if there is one.
func (b *Bucket) Allow(now time.Time) bool { return b.AllowN(now, 1) }

// AllowN takes n tokens if they are all there, and none otherwise. More than burst tokens are never all there; use Take
// for amounts that the caller cannot split.
func (b *Bucket) AllowN(now time.Time, n int) bool {
	if !b.Limited() {
		return true
	}
	b.advance(now)
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// Take takes n tokens, going into debt if need be, and returns how long the caller must wait before it goes on. It suits
// what has happened already, such as bytes that were read: the longer the debt, the longer the pause.
func (b *Bucket) Take(now time.Time, n int) time.Duration {
	if !b.Limited() {
		return 0
	}
	b.advance(now)
	b.tokens -= float64(n)
	return b.until(0)
}

// Wait returns how long it takes until n tokens are there, without taking any. For more than burst tokens it is the time
// until the bucket is full.
func (b *Bucket) Wait(now time.Time, n int) time.Duration {
	if !b.Limited() {
		return 0
	}
	b.advance(now)
	return b.until(min(float64(n), b.burst))
}

// until is the time in which the bucket reaches the level, rounded up, so that a caller who waits that long finds it.
func (b *Bucket) until(level float64) time.Duration {
	missing := level - b.tokens
	if missing <= 0 {
		return 0
	}
	seconds := missing / b.rate
	if seconds >= maxWait.Seconds() {
		return maxWait
	}
	return time.Duration(seconds*float64(time.Second)) + 1
}

// maxWait keeps a tiny rate from overflowing a Duration.
const maxWait = 365 * 24 * time.Hour

// advance adds what was gained since the last call. A time before it gains nothing and is not remembered: a clock that
// jumps back and forth makes no tokens.
func (b *Bucket) advance(now time.Time) {
	if b.last.IsZero() {
		b.last = now
		return
	}
	elapsed := now.Sub(b.last)
	if elapsed <= 0 {
		return
	}
	b.last = now
	b.tokens = min(b.burst, b.tokens+elapsed.Seconds()*b.rate)
}
