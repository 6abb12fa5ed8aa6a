package wal

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

// maxOpen bounds the sealed segments whose files and indexes are kept; those being read come on top.
const maxOpen = 64

// maxKeptBuffer bounds the write buffer that is kept for the next append.
const maxKeptBuffer = 1 << 20

// Log is a log of blocks. All methods are safe for concurrent use; appends take turns.
type Log struct {
	// Static after Open.
	o        Options
	lock     io.Closer
	recovery Recovery

	// appending is held during an append, and comes before all other locks. It guards active, the segment that takes the
	// next block, which is nil if there is none, and buf.
	appending sync.Mutex
	active    *segment
	buf       []byte

	// trimming is held while segments are removed, and comes before mu.
	trimming sync.Mutex

	// mu is never held during I/O. It comes before segment.mu. To change what it guards, an append holds both locks.
	mu       sync.RWMutex
	segments []*segment // oldest first
	next     uint64
	poison   error
	closed   bool

	// opened holds the sealed segments whose files are open, oldest first. It comes before segment.mu.
	openedMu sync.Mutex
	opened   []*segment
}

// Append adds a block and returns its sequence, one more than that of the block before. With Options.Sync it is durable
// then. payload may be empty, and is the caller's again when Append returns. An error other than ErrNoSpace, ErrTooLarge
// and ErrClosed poisons the log: whether the block is there is only known after Close and Open.
func (l *Log) Append(payload []byte) (seq uint64, err error) {
	l.appending.Lock()
	defer l.appending.Unlock()
	seq, err = l.usable()
	switch {
	case err != nil:
		return 0, err
	case len(payload) > MaxPayload:
		return 0, ErrTooLarge
	}
	begun := time.Now()
	if err := l.makeRoom(blockSize(int64(len(payload)))); err != nil {
		return 0, l.fail("make room", err)
	}
	s := l.active
	l.buf = appendBlock(l.buf[:0], s.seed, kindBlock, seq, payload)
	size := int64(len(l.buf))
	if _, err := s.file.WriteAt(l.buf, s.end); err != nil {
		return 0, l.fail("write", &writeError{err})
	}
	if cap(l.buf) > maxKeptBuffer {
		l.buf = nil
	}
	written := time.Now()
	if l.o.Sync {
		if err := s.file.Sync(); err != nil {
			return 0, l.fail("sync", &writeError{err})
		}
	}
	if l.o.Took != nil {
		l.o.Took(written.Sub(begun), time.Since(written))
	}
	l.publish(s, seq, size)
	return seq, nil
}

// usable returns the sequence of the next block, or why there can be none.
func (l *Log) usable() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case l.closed:
		return 0, ErrClosed
	case l.poison != nil:
		return 0, fmt.Errorf("%w: %w", ErrPoisoned, l.poison)
	}
	return l.next, nil
}

// publish lets readers see a block.
func (l *Log) publish(s *segment, seq uint64, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.mu.Lock()
	s.index.add(seq-s.header.first, s.end, size)
	s.mu.Unlock()
	s.end += size
	s.next, l.next = seq+1, seq+1
}

// writeError is an error after which nobody knows what a file holds. ENOSPC is then no better than any other.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// fail makes the error that Append returns, and poisons the log unless nothing was written for want of space.
func (l *Log) fail(what string, err error) error {
	if written := (*writeError)(nil); !errors.As(err, &written) {
		if errors.Is(err, ErrNoSpace) {
			return err
		}
		if vfs.IsNoSpace(err) {
			return fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
	}
	err = fmt.Errorf("wal: %s: %w", what, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poison == nil {
		l.poison = err
	}
	return fmt.Errorf("%w: %w", ErrPoisoned, err)
}

// First returns the sequence of the oldest block that is left, or Next if there is none.
func (l *Log) First() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.first()
}

func (l *Log) first() uint64 {
	if len(l.segments) == 0 {
		return l.next
	}
	return l.segments[0].header.first
}

// Next returns the sequence that the next block will have.
func (l *Log) Next() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.next
}

// Bytes returns what the segments hold, without what is preallocated for blocks to come.
func (l *Log) Bytes() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var total int64
	for _, s := range l.segments {
		total += s.bytes()
	}
	return total
}

// SegmentCount returns how many segments there are.
func (l *Log) SegmentCount() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.segments)
}

// Segments describes the segments, oldest first.
func (l *Log) Segments() []SegmentInfo {
	l.mu.RLock()
	defer l.mu.RUnlock()
	infos := make([]SegmentInfo, len(l.segments))
	for i, s := range l.segments {
		infos[i] = SegmentInfo{Path: s.path, First: s.header.first, Next: s.next, Bytes: s.bytes(), Sealed: s.sealed}
	}
	return infos
}

// Recovery tells what Open cut off.
func (l *Log) Recovery() Recovery { return l.recovery }

// Err returns the cause for which the log is poisoned, or nil.
func (l *Log) Err() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.poison
}

// Close syncs what was not synced and releases files and lock. Reads that run finish; later calls return ErrClosed, and
// so does a second Close.
func (l *Log) Close() error {
	l.appending.Lock()
	defer l.appending.Unlock()
	l.trimming.Lock()
	defer l.trimming.Unlock()
	_, unusable := l.usable()
	if errors.Is(unusable, ErrClosed) {
		return ErrClosed
	}
	var err error
	if l.active != nil && !l.o.Sync && unusable == nil {
		err = l.active.file.Sync()
	}
	l.mu.Lock()
	l.closed = true
	segments := l.segments
	l.mu.Unlock()
	for _, s := range segments {
		err = errors.Join(err, s.retire())
	}
	if err = errors.Join(err, l.lock.Close()); err != nil {
		return fmt.Errorf("wal: close: %w", err)
	}
	return nil
}
