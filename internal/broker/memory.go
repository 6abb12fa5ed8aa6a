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
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	n := int64(live[0].Value.Uint64())
	debug.SetMemoryLimit(n + n/8 + memorySlack)
}
