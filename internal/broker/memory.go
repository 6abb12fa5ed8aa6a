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
const (
	gcPercent   = 50
	memorySlack = 20 << 20
)

var tuned atomic.Bool

// TuneMemory has brokers of this process keep its memory small. It is for main functions, since memory is the whole
// process's business. An operator's GOGC and GOMEMLIMIT win.
func TuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	tuned.Store(os.Getenv("GOMEMLIMIT") == "")
}

// limitMemory follows what is in use. It is called every second.
func limitMemory() {
	if !tuned.Load() {
		return
	}
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(s)
	of := func(i int) int64 { return int64(s[i].Value.Uint64()) }
	// The limit counts stacks and all else that is no heap too: without them in it, many goroutines would have the collector
	// run for as long as they are there.
	live, besides := of(0), of(1)-of(2)-of(3)-of(4)
	limit := live + live/8 + memorySlack + max(0, besides)
	if old := debug.SetMemoryLimit(-1); limit > old+old/32 || limit < old-old/32 { // setting it stops the world
		debug.SetMemoryLimit(limit)
	}
}
