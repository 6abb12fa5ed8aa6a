package badger

import (
	"errors"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/storage"
)

// renewWaitMax is how long a state that could not be synced is left alone at most before it is opened again.
const renewWaitMax = time.Minute

// noRoomError says that the disk is too full for Badger to write anything. It is a storage.ErrFull.
type noRoomError struct{ free, needed int64 }

func (e *noRoomError) Error() string {
	return fmt.Sprintf("the disk is full: %d KiB are free and %d KiB are needed; make room", e.free>>10, e.needed>>10)
}

func (e *noRoomError) Is(target error) bool { return target == storage.ErrFull }

// stateReserve is the part of the reserve that nothing but what Badger does by itself may use: with less free, the
// applier waits, since a page of a mapped file that finds no room on the disk ends the process.
func (o *Options) stateReserve() int64 { return o.ReserveBytes / 4 }

// lookAtSpace asks the disk what it has left. Where that is not to be known, it has enough.
func (e *Engine) lookAtSpace() int64 {
	free, err := e.options.FS.Free(e.options.Dir)
	if err != nil {
		free = e.options.ReserveBytes
	}
	e.free.Store(free)
	return free
}

// roomForState says why nothing must be written to the state now.
func (o *Options) roomForState() error {
	free, err := o.FS.Free(o.Dir)
	if err == nil && free < o.stateReserve() {
		return &noRoomError{free: free, needed: o.stateReserve()}
	}
	return nil
}

func (e *Engine) setKeepErr(err error) {
	e.mu.Lock()
	e.keepErr = err
	e.mu.Unlock()
}

// renewIfDue is renew, after growing pauses if that fails.
func (e *Engine) renewIfDue() error {
	if time.Now().Before(e.renewAt) {
		return e.notRenewed()
	}
	if err := e.renew(); err != nil {
		e.putOffRenewal()
		return err
	}
	e.logger.Info("the state was opened again")
	return nil
}

func (e *Engine) putOffRenewal() {
	e.renewWait = min(max(retryDelay, 2*e.renewWait), renewWaitMax)
	e.renewAt = time.Now().Add(e.renewWait)
}

// notRenewed says why the state is not synced; nil: it is.
func (e *Engine) notRenewed() error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.keepErr
}

// renew closes a state that could not be synced, opens it again, and writes anew what it got since the last good
// checkpoint: all of that is in the log, which is kept from there on. What it has not got yet is in the overlay, as always.
func (e *Engine) renew() error {
	e.applying.Lock()
	defer e.applying.Unlock()
	if !e.use.TryLock() {
		return errors.New("storage: the state is being read; it is opened again later")
	}
	defer e.use.Unlock()
	if err := e.state.close(); err != nil {
		e.logger.Warn("the state was not closed cleanly", "error", err)
	}
	if err := e.state.open(e.logger); err != nil {
		return err
	}
	if err := e.rewriteState(); err != nil {
		e.state.failed = true
		return err
	}
	return nil
}

// rewriteState applies the blocks between the last checkpoint and what the state is to have. The caller holds applying.
func (e *Engine) rewriteState() error {
	again := newOverlay()
	flush := func() error {
		changes := again.age()
		if changes == nil {
			changes = again.young
		}
		err := e.state.apply(changes, e.applied)
		again.forget()
		return err
	}
	for sequence := e.position().checkpoint + 1; sequence <= e.applied.applied; sequence++ {
		payload, err := e.readDisk(sequence)
		if err != nil {
			return err
		}
		h, err := parseHeader(payload)
		if err != nil {
			return fmt.Errorf("storage: replay block %d on disk: %w", sequence, err)
		}
		ops, err := decodeOps(&h, payload)
		if err != nil {
			return fmt.Errorf("storage: replay block %d on disk: %w", sequence, err)
		}
		if again.put(ops); again.bytes() > overlayLimit {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
