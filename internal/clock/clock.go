// Package clock is the time by which things expire. It runs as a stopwatch does, from when the broker started on, so
// that nobody who sets the machine's clock makes anything live longer or die sooner. Over a restart it goes on from a
// mark that is kept: by as much as the machine's clock went on meanwhile, and never backwards.
//
// So the times of this clock may differ from those of the machine's, by all that somebody has set that by while the broker
// ran. They are for comparing with each other, also over restarts; what a human is to read is the machine's time.
//
// What no clock of this kind sees: time during which the machine is suspended, which it takes for a jump forward; and
// somebody who sets the machine's clock while the broker does not run, which looks like a shorter or longer break.
package clock

import (
	"fmt"
	"time"
)

// tolerance is by how much the machine's clock may be off before that is a jump. Slewing, which time daemons prefer, is
// far below it.
const tolerance = 5 * time.Second

// longBreak is how long a broker may have been down without anybody asking whether the machine's clock is right.
const longBreak = 24 * time.Hour

// Mark is one moment by both clocks, to be kept. The zero Mark is none.
type Mark struct {
	Time time.Time // by this clock
	Wall time.Time // by the machine's
}

// Jump says how the machine's clock moved against a stopwatch: by more than zero is forward.
type Jump struct {
	By   time.Duration
	Down bool // the broker did not run meanwhile: forward, a long break looks the same
}

// String says it to a human.
func (j Jump) String() string {
	switch {
	case j.Down && j.By > 0:
		return fmt.Sprintf("the machine's clock is %v ahead of when Barid last ran", j.By.Round(time.Second))
	case j.Down:
		return fmt.Sprintf("the machine's clock is %v behind when Barid last ran", -j.By.Round(time.Second))
	case j.By > 0:
		return fmt.Sprintf("the machine's clock jumped forward by %v", j.By.Round(time.Second))
	}
	return fmt.Sprintf("the machine's clock jumped back by %v", -j.By.Round(time.Second))
}

// Clock tells the time. Check is for one goroutine, the other methods for any. Make it with
// New.
type Clock struct {
	// Static after construction.
	wall   func() time.Time
	origin time.Time // of the stopwatch
	base   time.Time // by this clock when the stopwatch was at origin

	started Jump          // what was found at the start; zero: nothing
	down    time.Duration // since the mark

	offset time.Duration // of the machine's clock from this one when it was last checked
}

// New starts a clock that goes on from a mark. wall is the machine's clock; nil: the real one.
func New(wall func() time.Time, last Mark) *Clock {
	if wall == nil {
		wall = time.Now
	}
	origin, now := time.Now(), wall().Round(0)
	c := &Clock{wall: wall, origin: origin, base: now}
	if !last.Time.IsZero() {
		down := now.Sub(last.Wall)
		c.down = max(0, down)
		c.base = last.Time.Round(0).Add(c.down)
		if down < -tolerance || down > longBreak {
			c.started = Jump{By: down, Down: true}
		}
	}
	c.offset = now.Sub(c.base)
	return c
}

// Now is the time.
func (c *Clock) Now() time.Time { return c.At(time.Now()) }

// At is the time of a moment that time.Now returned since New. It allocates nothing and takes no lock.
func (c *Clock) At(moment time.Time) time.Time { return c.base.Add(moment.Sub(c.origin)) }

// Started returns what was odd about the machine's clock when this one started; ok is false if nothing was.
func (c *Clock) Started() (j Jump, ok bool) { return c.started, c.started != Jump{} }

// Break is by how much the clock went on from the mark that it was started with.
func (c *Clock) Break() time.Duration { return c.down }

// Check looks at the machine's clock and reports a jump since the last look.
func (c *Clock) Check() (j Jump, ok bool) {
	now := c.wall().Round(0)
	offset := now.Sub(c.Now())
	by := offset - c.offset
	c.offset = offset
	return Jump{By: by}, by.Abs() > tolerance
}

// Mark returns what to keep. A clock that New starts with it goes on from here.
func (c *Clock) Mark() Mark {
	return Mark{Time: c.Now(), Wall: c.wall().Round(0)}
}
