package wal

import (
	"errors"
	"fmt"
	"slices"
)

// TruncateBefore drops the segments all of whose blocks are before a sequence. The last segment stays. Readers that are
// in a segment meanwhile finish with it.
func (l *Log) TruncateBefore(seq uint64) error {
	l.trimming.Lock()
	defer l.trimming.Unlock()
	for {
		s, err := l.takeOldest(seq)
		if s == nil || err != nil {
			return err
		}
		// Closed first, since not every system removes open files.
		if err := errors.Join(s.retire(), l.o.FS.Remove(s.path)); err != nil {
			l.putBack(s)
			return fmt.Errorf("wal: trim: %w", err)
		}
		// One at a time: were the second of two gone after a crash and the first not, the log would have a hole.
		if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
			return l.fail("trim", &writeError{err})
		}
	}
}

// takeOldest takes the oldest segment out of the log if all its blocks are before a sequence.
func (l *Log) takeOldest(seq uint64) (*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if len(l.segments) < 2 || l.segments[0].next > seq {
		return nil, nil
	}
	s := l.segments[0]
	l.segments = slices.Delete(slices.Clone(l.segments), 0, 1)
	return s, nil
}

// putBack undoes takeOldest and retire: the file opens again when it is read.
func (l *Log) putBack(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.mu.Lock()
	s.gone = false
	s.mu.Unlock()
	l.segments = slices.Insert(l.segments, 0, s)
}
