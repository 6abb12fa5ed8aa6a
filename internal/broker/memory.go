package broker

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// The process's memory is what is in use, most of it sessions, and what the collector lets come on top before it runs. The
// former is long-lived, so that collecting is cheap beside it, and the latter is what can be small: gcPercent of the
// heap, and memorySlack on top of an eighth of it, with all that the runtime holds and does not use. Without that second
// bound the runtime is slow to give memory back that a burst has taken.
//
// While little is in use and much is allocated, as under a load of messages that go to disk, half of the heap is soon
// full, and the collector would run all the time: then as much as busySlack may come on top, and the bound is so much
// higher, or else the runtime would give memory back and take it again all the time.
//
// After a burst nothing may be allocated for long, and the collector not run: what the last cycle took for live, since it
// was made meanwhile, and what was free stay. So there is one more cycle once it is quiet, if that is worth it.
const (
	gcPercent   = 50
	memorySlack = 20 << 20
	busySlack   = 32 << 20
	littleHeap  = 60 << 20
	manyCycles  = 8 // collections a second
	quietTime   = 2 // seconds without one
	quietGain   = 8 << 20
	firstLimit  = 64 << 20 // until the first look at what is in use
)

var tuned atomic.Bool

// TuneMemory has brokers of this process keep its memory small. It is for main functions, since memory is the whole
// process's business. An operator's GOGC and GOMEMLIMIT win.
func TuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		tuned.Store(true)
		debug.SetMemoryLimit(firstLimit)
	}
}

// collector is what was last seen of the collector, and what it was told.
type collector struct {
	cycles  uint64
	percent int
	quiet   int // for how many seconds it has not run
}

// limitMemory follows what is in use. It is called every second, and reports whether it is time to give memory back.
func (g *collector) limitMemory() (giveBack bool) {
	if !tuned.Load() {
		return false
	}
	u := readMemory()
	limit := u.limit()
	giveBack = g.settled(u.cycles, u.live, u.held)
	if g.spare(u.live, u.cycles) {
		limit += busySlack
	}
	setMemoryLimit(limit)
	return giveBack
}

// followMemory raises the limit while much is read at once, between the seconds.
func followMemory() {
	if tuned.Load() {
		u := readMemory()
		setMemoryLimit(max(u.limit(), debug.SetMemoryLimit(-1)))
	}
}

// memoryInUse is how the runtime divides its memory.
type memoryInUse struct {
	live    int64 // at the last collection
	held    int64 // by the heap, free or not
	besides int64 // what is no heap
	cycles  uint64
}

func readMemory() memoryInUse {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(s)
	of := func(i int) int64 { return int64(s[i].Value.Uint64()) }
	return memoryInUse{live: of(0), held: of(3) + of(4), besides: max(0, of(1)-of(2)-of(3)-of(4)), cycles: s[5].Value.Uint64()}
}

// limit is the bound for what is in use. It counts stacks and all else that is no heap too: without them in it, many
// goroutines would have the collector run for as long as they are there.
func (u *memoryInUse) limit() int64 { return u.live + u.live/8 + memorySlack + u.besides }

func setMemoryLimit(limit int64) {
	if old := debug.SetMemoryLimit(-1); limit > old+old/32 || limit < old-old/32 { // setting it stops the world
		debug.SetMemoryLimit(limit)
	}
}

// settled reports whether the collector has been quiet for a while and holds memory that is worth a cycle.
func (g *collector) settled(cycles uint64, live, held int64) bool {
	if g.quiet++; cycles != g.cycles {
		g.quiet = 0
	}
	if g.quiet < quietTime || held-live < live/16+quietGain {
		return false
	}
	g.quiet = 0
	return true
}

// spare has the collector run less often while little is in use and it runs all the time, and as usual again when it has
// had nothing to do for a second. It reports whether it does.
func (g *collector) spare(live int64, cycles uint64) bool {
	had := cycles - g.cycles
	g.cycles = cycles
	percent := gcPercent
	if live < littleHeap && (had >= manyCycles || had > 0 && g.percent > gcPercent) {
		percent = int(100 * busySlack / max(live, 4<<20))
	}
	if old := max(g.percent, gcPercent); percent > old+old/4 || percent < old-old/4 { // setting it stops the world
		g.percent = percent
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(percent)
		}
	}
	return g.percent > gcPercent
}
