// Package timerwheel keeps many coarse timers: a million session expiries, say, of which few ever fire. Its resolution
// is one second, and it has no goroutine and no clock: the owner says what time it is.
//
// The wheel is hierarchical. Time is counted in ticks of a second since the start, and a tick is written in base 64. A
// timer lives on the level of the highest digit in which its tick differs from now, in the slot of that digit: level 0
// holds what fires within the current 64 ticks, one slot a tick; level 1 the rest of the current 4,096 ticks, one slot
// for 64 of them; and so on. All timers of a level are thus earlier than all of the level above. When now reaches a
// slot of a higher level, its timers move to lower levels, so a timer moves at most once a level. A bit for each slot
// that holds something makes a jump over empty hours cost the same as one over a second.
//
// Add and Cancel take constant time and allocate nothing once the wheel has grown to the number of its timers.
package timerwheel

import (
	"math/bits"
	"time"
)

const (
	digitBits = 6
	slots     = 1 << digitBits
	levels    = 6
	maxTick   = 1<<(digitBits*levels) - 1 // 2,177 years

	chunkBits = 12
	chunkSize = 1 << chunkBits

	// late and late+1 are the lists, besides those of the slots, for timers that were due when they were added: one for
	// Add, one that Advance empties.
	late  = levels * slots
	lists = late + 2
	none  = -1
)

// Timer names a timer of one wheel. The zero Timer names none. It stays safe to cancel after the timer has fired.
type Timer struct{ index, generation uint32 }

// Wheel holds timers with values of type T. Make it with New. It is not safe for concurrent use.
type Wheel[T any] struct {
	start  time.Time
	now    int64 // ticks
	length int
	late   int32 // the list for what Add finds to be due

	occupied [levels]uint64 // bit s: slot s of the level holds something
	heads    [lists]list    // slot s of level l is list l*slots+s

	chunks []*[chunkSize]node[T] // nodes never move, so growing copies nothing
	free   int32                 // first of the nodes that are not in use
}

type list struct{ head, tail int32 }

type node[T any] struct {
	tick       int64
	prev, next int32
	generation uint32 // rises when the node is freed
	list       int32  // none: free
	value      T
}

// New makes an empty wheel whose time begins at start. Times are compared with start's clock: if start has a monotonic
// reading and the times given later do, too, the wall clock does not matter. Times more than 292 years after start are
// taken for 292 years, where a time.Duration ends.
func New[T any](start time.Time) *Wheel[T] {
	w := &Wheel[T]{start: start, free: none, late: late}
	for i := range w.heads {
		w.heads[i] = list{none, none}
	}
	return w
}

// Len is the number of timers.
func (w *Wheel[T]) Len() int { return w.length }

// Add starts a timer that fires with v at the first whole second of the wheel's time that is not before at; if that is
// past, at the next Advance.
func (w *Wheel[T]) Add(at time.Time, v T) Timer {
	if w.free == none {
		w.grow()
	}
	i := w.free
	n := w.node(i)
	w.free = n.next
	n.tick, n.value = w.tickAfter(at), v
	w.length++
	if n.tick <= w.now {
		w.push(w.late, i)
	} else {
		w.place(i)
	}
	return Timer{uint32(i), n.generation}
}

// Cancel stops a timer and reports whether it was still to fire.
func (w *Wheel[T]) Cancel(t Timer) bool {
	if t.generation == 0 || int(t.index>>chunkBits) >= len(w.chunks) {
		return false
	}
	n := w.node(int32(t.index))
	if n.generation != t.generation || n.list == none {
		return false
	}
	w.unlink(int32(t.index))
	w.release(int32(t.index))
	return true
}

// Advance moves the wheel's time on to now and calls fire for each timer that is due, those of an earlier second first,
// those of the same second in the order of Add. Timers due before they were added come first. fire may add and cancel
// timers: one that it adds for a second that has begun fires in the next Advance, others in this one when they are due.
// A now before the last one is taken for the last one.
func (w *Wheel[T]) Advance(now time.Time, fire func(T)) {
	target := max(w.now, w.tickBefore(now))
	due := w.late
	w.late = late + (late + 1 - due) // what fire adds is for the next time
	w.empty(due, fire)
	for {
		level, tick, ok := w.earliest()
		if !ok || tick > target {
			break
		}
		w.now = tick
		w.open(level, fire)
	}
	w.now = target
}

// Next returns a time at which Advance should be called, if there is any timer: none fires before it. It is the time of
// the earliest timer if that is in the current 64 seconds, and may be earlier otherwise.
func (w *Wheel[T]) Next() (at time.Time, ok bool) {
	if w.heads[w.late].head != none {
		return w.time(w.now), true
	}
	_, tick, ok := w.earliest()
	if !ok {
		return time.Time{}, false
	}
	return w.time(tick), true
}

// earliest returns the first level that holds something and the tick at which its first slot begins.
func (w *Wheel[T]) earliest() (level int, tick int64, ok bool) {
	for l := range levels {
		if w.occupied[l] != 0 {
			slot := int64(bits.TrailingZeros64(w.occupied[l]))
			shift := digitBits * l
			return l, w.now>>(shift+digitBits)<<(shift+digitBits) | slot<<shift, true
		}
	}
	return 0, 0, false
}
