package badger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/wal"
)

// ErrPoisoned says that a write or sync of the log failed. Units fail with it until the log was opened again, which the
// committer tries when units come, at most once a second.
var ErrPoisoned = errors.New("storage: writing the log failed")

// reopenInterval is how often the committer tries to open a poisoned log again.
const reopenInterval = time.Second

func openDisk(o *Options, dir *directory, first uint64) (*wal.Log, error) {
	var took func(write, sync time.Duration)
	if c := o.took; c != nil {
		took = func(write, sync time.Duration) { c.Write, c.Sync = write, sync }
	}
	disk, err := wal.Open(wal.Options{
		FS: o.FS, Dir: dir.name(logName), SegmentBytes: o.SegmentBytes, Sync: o.Sync == SyncBlocks,
		ReserveBytes: o.ReserveBytes / 2, FirstSequence: first, Took: took,
	})
	if err != nil {
		return nil, fmt.Errorf("storage: open the log in %s: %w", filepath.Clean(dir.path), err)
	}
	return disk, nil
}

// Reopen opens a poisoned log again, now. The engine tries by itself too. It returns nil when the log is well.
func (e *Engine) Reopen(ctx context.Context) error {
	if err := e.control(ctx, kindReopen); err != nil {
		return fmt.Errorf("storage: open the log again: %w", err)
	}
	return nil
}

// openDisk returns the log on disk unless it is poisoned.
func (e *Engine) openDisk() (*wal.Log, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.fault != nil {
		return nil, e.fault
	}
	return e.disk.Load(), nil
}

// recover is called when writing a block failed: nobody knows whether it is there. It poisons the engine, opens the log
// again, and finds out: the block's sequence if it is there, and the cause of the failure otherwise.
func (e *Engine) recover(h *header, cause error) (uint64, error) {
	fault := fmt.Errorf("%w: %w", ErrPoisoned, cause)
	e.mu.Lock()
	e.fault = fault
	e.mu.Unlock()
	e.logger.Error("the log is poisoned", "error", cause)
	b, ops, err := e.reopen()
	if err != nil {
		e.stayPoisoned(fmt.Errorf("%w, and then: %w", fault, err))
		return 0, fault
	}
	if b == nil {
		return 0, fault // it is not there, and never will be
	}
	if b.header.firstUnit == h.firstUnit && b.header.units == h.units {
		return b.disk, nil
	}
	e.adopt(b, ops)
	return 0, fault
}

// reopenIfDue opens a poisoned log again if it is time, or one of the units asks for it.
func (e *Engine) reopenIfDue(units []pending) {
	e.mu.RLock()
	poisoned := e.fault != nil
	e.mu.RUnlock()
	if !poisoned {
		return
	}
	due := !time.Now().Before(e.retryAt)
	for i := range units {
		due = due || units[i].kind == kindReopen
	}
	if !due {
		return
	}
	b, ops, err := e.reopen()
	if err != nil {
		e.stayPoisoned(fmt.Errorf("%w: %w", ErrPoisoned, err))
		return
	}
	if b != nil {
		e.adopt(b, ops)
	}
}

func (e *Engine) stayPoisoned(fault error) {
	e.retryAt = time.Now().Add(reopenInterval)
	e.mu.Lock()
	e.fault = fault
	e.mu.Unlock()
	e.logger.Error("the log was not opened again", "error", fault)
}

// reopen opens the log on disk again and returns the block that is there and was not known to be, if there is one.
func (e *Engine) reopen() (*block, []storage.Op, error) {
	if old := e.disk.Swap(nil); old != nil {
		if err := old.Close(); err != nil {
			e.logger.Warn("a poisoned log was not closed cleanly", "error", err)
		}
	}
	disk, err := openDisk(&e.options, e.dir, 0)
	if err != nil {
		return nil, nil, err
	}
	b, ops, err := e.inDoubt(disk)
	if err != nil {
		return nil, nil, errors.Join(err, disk.Close())
	}
	e.disk.Store(disk)
	e.mu.Lock()
	e.fault = nil
	e.mu.Unlock()
	e.logger.Info("the log was opened again", "block_in_doubt_found", b != nil)
	return b, ops, nil
}

func (e *Engine) inDoubt(disk *wal.Log) (*block, []storage.Op, error) {
	known := e.position().disk
	last := disk.Next() - 1
	if last < known || last > known+1 {
		return nil, nil, fmt.Errorf("storage: the log ends with block %d, not %d", last, known)
	}
	if last == known {
		return nil, nil, nil
	}
	payload, err := disk.Read(last, nil)
	if err != nil {
		return nil, nil, err
	}
	return decodeBlock(last, payload)
}

// adopt commits a block whose units have failed already: it is on disk, and what is on disk is the truth.
func (e *Engine) adopt(b *block, ops []storage.Op) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.committed(b, ops)
}

// waitForOverlay waits until the overlay has room. It fails when the state cannot be written.
func (e *Engine) waitForOverlay() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.overlay.bytes() > overlayLimit && e.stateErr == nil {
		e.moved.Wait()
	}
	if e.overlay.bytes() > overlayLimit {
		return e.stateErr
	}
	return nil
}

// setStateErr notes that the applier or the keeper failed, or, with nil, that all is well again.
func (e *Engine) setStateErr(err error) {
	e.mu.Lock()
	before := e.stateErr
	e.stateErr = err
	e.mu.Unlock()
	e.moved.Broadcast()
	switch {
	case errors.Is(err, storage.ErrFull) && before == nil:
		e.logger.Warn("the state waits for room; the log has what it lacks", "error", err)
	case err != nil && before == nil:
		e.logger.Error("the state was not written", "error", err)
	case err == nil && before != nil:
		e.logger.Info("the state is written again")
	}
}

func (e *Engine) position() position {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.log
}
