package scenario

import (
	"maps"
	"slices"
	"sync"
)

// lives follows which clients are connected.
type lives struct {
	mu       sync.Mutex
	changed  chan struct{}
	up       int
	err      error          // the first, while connecting
	failures map[string]int // connections that ended, by reason
	ended    bool
}

// expect starts to count the clients that get ready. The channel tells that the state has changed.
func (v *lives) expect() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.up, v.err = 0, nil
	v.changed = make(chan struct{}, 1)
	return v.changed
}

func (v *lives) state() (up int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.up, v.err
}

// report is what clients call.
func (v *lives) report(up bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.ended || !up && err == nil:
		return
	case up:
		v.up++
	default:
		v.failures[err.Error()]++
		if v.err == nil {
			v.err = err
		}
	}
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// end has connections end without being failures.
func (v *lives) end() {
	v.mu.Lock()
	v.ended = true
	v.mu.Unlock()
}

// problems tells which connections failed.
func (v *lives) problems(r *Result) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, reason := range slices.Sorted(maps.Keys(v.failures)) {
		r.problem("%s: %s", count(int64(v.failures[reason]), "connection was lost|connections were lost"), reason)
	}
}
