package badger

import "time"

// gather decides whether the committer waits a moment for more units before it writes the next block.
//
// Publishers that wait for an acknowledgement send their next message when they have it. Without a wait, the committer
// would write a block of those that sent meanwhile while the others, just acknowledged, prepare for the block after:
// few and then many that take turns, and a sync for each. So it expects those it acknowledged to come back, and waits
// until half of them did: then one half's messages are written while the other half is told, and sends. If they do not
// come in time, they are not of that kind, and it stops waiting for a while.
type gather struct {
	expected int // units that were in the last block, and in the queue when it was written
	skip     int // blocks before which not to wait
	backoff  int // how many to skip after the next failure
}

const (
	gatherLeast   = 8                      // fewer units are not worth a wait
	gatherTime    = 500 * time.Microsecond // the longest wait; timers may make it 1 ms
	gatherBackoff = 1024
)

// released notes a block of n units, written while others came.
func (g *gather) released(n, queued int) { g.expected = n + queued }

// wanted returns how many units to wait for, or 0.
func (g *gather) wanted() int {
	if g.expected < gatherLeast {
		return 0
	}
	if g.skip > 0 {
		g.skip--
		return 0
	}
	return g.expected / 2
}

// came notes whether as many units came as were wanted.
func (g *gather) came(all bool) {
	if all {
		g.backoff = 0
		return
	}
	g.backoff = min(max(16, 2*g.backoff), gatherBackoff)
	g.skip = g.backoff
}

// waiting returns how many units are in the queue.
func (e *Engine) waiting() int {
	e.queueMu.Lock()
	defer e.queueMu.Unlock()
	return len(e.queue)
}

// gatherUnits waits for the units that are expected, if any are.
func (e *Engine) gatherUnits() {
	wanted := e.gather.wanted()
	if wanted == 0 {
		return
	}
	e.queueMu.Lock()
	enough := len(e.queue) >= wanted || e.closing
	if !enough {
		e.wanted = wanted
	}
	e.queueMu.Unlock()
	if enough {
		return
	}
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	select {
	case <-e.gathered:
		e.gather.came(true)
		return
	case <-timer.C:
	}
	e.queueMu.Lock()
	all := e.wanted == 0
	e.wanted = 0
	e.queueMu.Unlock()
	if all {
		<-e.gathered
	}
	e.gather.came(all)
}
