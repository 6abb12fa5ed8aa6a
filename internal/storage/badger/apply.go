package badger

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/barid-mqtt/barid/internal/storage"
)

const (
	overlayUrgent = 1 << 20 // the applier does not wait for more
	overlayLimit  = 8 << 20 // the committer waits for the applier

	applyDelay    = 20 * time.Millisecond // for how long the applier gathers changes
	retryDelay    = time.Second           // after a failure
	checkInterval = 10 * time.Second      // a checkpoint is made at least so often, if there is anything new
)

// apply is the applier.
func (e *Engine) apply() {
	defer e.goroutine.Done()
	for ending := false; !ending; {
		select {
		case <-e.dirty:
			ending = e.pause(applyDelay, e.urgent)
		case <-e.ending:
			ending = true
		}
		e.applyUntilWell()
	}
	for e.applySome(false) == nil { // what came since
		continue
	}
}

// applyUntilWell writes the overlay to the state, again until it works or the engine ends.
func (e *Engine) applyUntilWell() {
	for {
		err := e.applySome(false)
		if errors.Is(err, errNothing) {
			return
		}
		e.setStateErr(err)
		if err == nil || e.pause(retryDelay, nil) {
			return
		}
	}
}

// pause waits for a time, for a signal or for the engine's end.
func (e *Engine) pause(d time.Duration, c <-chan struct{}) (ending bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c:
	case <-e.ending:
		return true
	}
	return false
}

var errNothing = errors.New("there is nothing to apply")

// applySome writes to the state what the overlay has now. If it has nothing, only the place in the log is written, and
// only if force says so.
func (e *Engine) applySome(force bool) error {
	e.applying.Lock()
	defer e.applying.Unlock()
	e.mu.Lock()
	fresh := e.overlay.old == nil
	old := e.overlay.age()
	if fresh { // else old is from an attempt that failed
		e.target = meta{applied: e.log.disk, first: e.log.first, next: e.log.next}
	}
	done := e.log.applied >= e.target.applied
	e.mu.Unlock()
	if old == nil {
		if !force || done {
			return errNothing
		}
		old = new(changes)
	}
	if err := e.state.apply(old, e.target); err != nil {
		return err
	}
	e.applied = e.target
	e.mu.Lock()
	e.overlay.forget()
	e.log.applied = e.target.applied
	e.mu.Unlock()
	e.moved.Broadcast()
	return nil
}

// keeper makes checkpoints, lets the log forget, and keeps an eye on the disk.
func (e *Engine) keeper() {
	defer e.goroutine.Done()
	tick := time.NewTicker(retryDelay)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-e.ending:
			return
		case <-e.keep:
		case now := <-tick.C:
			e.lookAtSpace()
			if now.Sub(last) < checkInterval && e.notRenewed() == nil {
				continue
			}
		}
		if err := e.forgetOldest(); err != nil {
			e.logger.Warn("the log's oldest blocks were not forgotten", "error", err)
		}
		if err := e.checkpoint(); err != nil {
			level := slog.LevelError
			if errors.Is(err, storage.ErrFull) {
				level = slog.LevelWarn
			}
			e.logger.Log(context.Background(), level, "the state has no checkpoint", "error", err)
			if e.pause(retryDelay, nil) {
				return
			}
		}
		if err := e.truncate(); err != nil {
			e.logger.Warn("the log was not cut", "error", err)
		}
		last = time.Now()
	}
}

// checkpoint makes durable what the state has. Once a sync has failed, no later one proves anything of what was written
// before, so the state is opened again first, and gets once more all that came since the last good one.
func (e *Engine) checkpoint() error {
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	if e.state.failed {
		if err := e.renewIfDue(); err != nil {
			return err
		}
	}
	if err := e.applySome(true); err != nil && !errors.Is(err, errNothing) {
		return err
	}
	before := e.position()
	if before.applied <= before.checkpoint {
		return nil
	}
	if err := e.state.sync(); err != nil {
		e.setKeepErr(err)
		e.putOffRenewal()
		return err
	}
	e.renewWait = 0
	e.mu.Lock()
	e.keepErr = nil
	e.log.checkpoint = before.applied
	e.log.unkept -= before.unkept
	e.mu.Unlock()
	e.applying.Lock()
	defer e.applying.Unlock()
	if err := e.state.collect(); err != nil {
		if e.state.failed {
			e.setKeepErr(err)
		}
		e.logger.Warn("old values keep their space", "error", err)
	}
	return nil
}

// truncate lets go of the files of the log that neither the state nor a reader needs.
func (e *Engine) truncate() error {
	if !e.keeping.TryLock() {
		return nil // a snapshot is being taken
	}
	defer e.keeping.Unlock()
	disk := e.disk.Load()
	if disk == nil {
		return storage.ErrClosed
	}
	if err := e.forgetSummaries(e.position().first); err != nil {
		return err
	}
	e.mu.RLock()
	needed := e.log.first
	for t := range e.tails {
		needed = min(needed, t.next)
	}
	before := min(e.log.checkpoint+1, e.log.disk) // the newest block stays: its header goes on
	empty := needed >= e.log.next
	e.mu.RUnlock()
	if !empty {
		at, err := e.locate(needed, new([]byte))
		if err != nil {
			return err
		}
		before = min(before, at.disk)
	}
	if before <= disk.First() {
		return nil
	}
	if err := disk.TruncateBefore(before); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.index.trim(disk.First())
	return nil
}
