package conn

import "time"

// pace decides whether a loop rests for a moment before it asks for events. A loop that is faster than its clients send
// asks after each message, and makes a write for each read; after a rest it reads several messages at once, and writes
// once for all. Network cards do the same with their interrupts.
//
// Clients that wait for an answer would be slower for it, so it is tried: windows with rests and without take turns, and
// loops rest as long as no less comes in for it. It is tried again from time to time, and when nothing comes for two windows
// that is over at once. A pace is pure: rounds go in, an answer comes out.
type pace struct {
	begun  time.Time // of the window
	rounds int
	events int
	bytes  int

	trial   int     // windows of a trial that are over; odd ones rest
	without float64 // bytes a second: sums over a trial
	with    float64
	single  float64 // bytes a round without rests, the sum of a trial
	many    float64 // and with
	resting bool    // the trial was won
	until   time.Time
	backoff time.Duration // until the next trial, after one that was lost
}

const (
	paceWindow = 10 * time.Millisecond
	paceRest   = 50 * time.Microsecond  // asked for; the kernel makes it about 100
	paceRounds = 15_000                 // a second: a loop with fewer has time
	paceEvents = 16                     // a round: with more of them, a write is for many already
	paceTrial  = 6                      // windows
	paceLoss   = 0.95                   // what a rest may leave of the rate
	paceGain   = 4                      // how many times more a round is to bring
	paceKeep   = 2 * time.Second        // what was found out holds
	paceRetry  = 250 * time.Millisecond // after a trial that was lost; twice as long after each that follows
	paceLast   = 32 * time.Second
)

// rests reports whether the loop is to rest before its next round.
func (p *pace) rests() bool { return p.resting || p.trial%2 == 1 }

// round counts what a round brought.
func (p *pace) round(now time.Time, events, bytes int) {
	if since := now.Sub(p.begun); since >= paceWindow {
		p.turn(now, since)
		p.begun, p.rounds, p.events, p.bytes = now, 0, 0, 0
	}
	p.rounds++
	p.events += events
	p.bytes += bytes
}

// turn ends a window.
func (p *pace) turn(now time.Time, took time.Duration) {
	rate, each := float64(p.bytes)/took.Seconds(), float64(p.bytes)/float64(max(p.rounds, 1))
	switch {
	case took > 2*paceWindow: // nothing came for a while
		p.stop()
	case p.resting:
		if now.After(p.until) {
			p.stop()
		}
	case p.trial%2 == 1:
		p.with, p.many = p.with+rate, p.many+each
		if p.trial++; p.trial == paceTrial || !p.gains() {
			p.judge(now)
		}
	case !p.hurries(took) || now.Before(p.until):
		p.trial = 0
	default:
		if p.trial == 0 {
			p.with, p.many, p.without, p.single = 0, 0, 0, 0
		}
		p.trial++
		p.without, p.single = p.without+rate, p.single+each
	}
}

// hurries reports whether the window had many rounds, with little in each.
func (p *pace) hurries(took time.Duration) bool {
	return float64(p.rounds) > paceRounds*took.Seconds() && p.events <= paceEvents*p.rounds
}

// gains reports whether rests let more gather. Those who wait for an answer send no more meanwhile.
func (p *pace) gains() bool { return p.many >= paceGain*p.single }

// judge ends a trial, once it is over or hopeless.
func (p *pace) judge(now time.Time) {
	p.trial = 0
	if p.with >= paceLoss*p.without && p.gains() {
		p.resting, p.until, p.backoff = true, now.Add(paceKeep), 0
		return
	}
	p.backoff = min(max(2*p.backoff, paceRetry), paceLast)
	p.until = now.Add(p.backoff)
}

// stop has the loop hurry again, until the next trial.
func (p *pace) stop() { p.resting, p.trial = false, 0 }
