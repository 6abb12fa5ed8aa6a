package wal

import (
	"errors"
	"math/rand/v2"
	"path/filepath"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

// smallSegmentBytes is a segment's size where the disk is nearly full.
const smallSegmentBytes = 1 << 20

// makeRoom sees to it that the active segment takes a block of a size. A *writeError says that a file is in doubt. The
// caller holds l.appending.
func (l *Log) makeRoom(size int64) error {
	if s := l.active; s != nil {
		if s.end+size+indexSize(len(s.index.entries)+1) <= s.size && s.header.unsynced != l.o.Sync {
			return l.checkReserve()
		}
		if s.next == s.header.first {
			return l.refit(s, size)
		}
		if err := l.seal(s); err != nil {
			return err
		}
	}
	return l.addSegment(size)
}

// refit makes an empty segment take a block of a size, and of the kind that Options.Sync says. It is not replaced: while
// it is away, nothing on disk might tell which sequence is next.
func (l *Log) refit(s *segment, size int64) error {
	least := segmentHeaderBytes + size + indexSize(1)
	wanted, err := l.segmentSize(least)
	if err != nil {
		return err
	}
	if s.size < least {
		if wanted, err = preallocate(s.file, wanted, least); err != nil {
			return err
		}
		l.mu.Lock()
		s.size = wanted
		l.mu.Unlock()
	}
	s.header.unsynced = !l.o.Sync
	if _, err := s.file.WriteAt(s.header.encode(), 0); err != nil {
		return &writeError{err}
	}
	if err := s.file.Sync(); err != nil {
		return &writeError{err}
	}
	return nil
}

func (l *Log) checkReserve() error {
	if l.o.ReserveBytes <= 0 {
		return nil
	}
	free, err := l.o.FS.Free(l.o.Dir)
	if err == nil && free < l.o.ReserveBytes {
		err = ErrNoSpace
	}
	return err
}

// seal ends the active segment. Want of space leaves it as it was.
func (l *Log) seal(s *segment) error {
	b := encodeIndex(s.seed, s.header.first, s.next, s.index.entries, s.end)
	size := s.end + int64(len(b))
	if _, err := s.file.WriteAt(b, s.end); vfs.IsNoSpace(err) {
		return err // it can be written there again
	} else if err != nil {
		return &writeError{err}
	}
	if err := s.file.Truncate(size); err != nil {
		return &writeError{err}
	}
	if err := s.file.Sync(); err != nil {
		return &writeError{err}
	}
	l.mu.Lock()
	s.sealed, s.size = true, size
	l.mu.Unlock()
	l.active = nil
	l.keepOpen(s)
	return nil
}

// addSegment makes the next segment, with room for a block of a size.
func (l *Log) addSegment(size int64) error {
	least := segmentHeaderBytes + size + indexSize(1)
	wanted, err := l.segmentSize(least)
	if err != nil {
		return err
	}
	next, err := l.usable()
	if err != nil {
		return err
	}
	s := &segment{path: filepath.Join(l.o.Dir, segmentName(next)), next: next, end: segmentHeaderBytes}
	s.header = segmentHeader{unsynced: !l.o.Sync, first: next, salt: rand.Uint64()}
	s.seed = s.header.seed()
	if s.file, err = l.o.FS.Create(s.path); err != nil {
		return err
	}
	if s.size, err = preallocate(s.file, wanted, least); err == nil {
		_, err = s.file.WriteAt(s.header.encode(), 0)
	}
	if err != nil {
		return l.discard(s, err)
	}
	if err := errors.Join(s.file.Sync(), l.o.FS.SyncDir(l.o.Dir)); err != nil {
		return errors.Join(&writeError{err}, s.file.Close())
	}
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.mu.Unlock()
	l.active = s
	return nil
}

// segmentSize is how large the next segment may be, at least what its first block needs. It takes no more than half of
// what is free, unless that is little: who shares the disk needs room too.
func (l *Log) segmentSize(least int64) (int64, error) {
	free, err := l.o.FS.Free(l.o.Dir)
	if err != nil {
		return 0, err
	}
	if free -= l.o.ReserveBytes; free < least {
		return 0, ErrNoSpace
	}
	return max(min(l.o.SegmentBytes, max(free/2, min(free, smallSegmentBytes))), least), nil
}

// preallocate takes as much as there is, from wanted down to least.
func preallocate(f vfs.File, wanted, least int64) (int64, error) {
	for {
		err := f.Preallocate(wanted)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			return wanted, nil // the size says only when to seal
		case err == nil || wanted == least || !vfs.IsNoSpace(err):
			return wanted, err
		}
		wanted = max(wanted/2, least)
	}
}

// discard removes a segment that could not be made, so that it can be tried again.
func (l *Log) discard(s *segment, cause error) error {
	err := errors.Join(s.file.Close(), l.o.FS.Remove(s.path))
	if err != nil {
		return errors.Join(cause, &writeError{err})
	}
	return cause
}
