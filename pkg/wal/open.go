package wal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

const (
	defaultSegmentBytes = 64 << 20
	minSegmentBytes     = 4 << 10
	maxSegmentBytes     = 2 << 30
)

// Open opens the log in a directory, or begins one. It takes a lock there, so that a second process is refused
// (vfs.ErrLocked). It cuts off a torn tail, and makes durable all that is left before it returns. It refuses, and leaves
// alone, a log with a hole or with a corrupt block that valid blocks follow (*CorruptError), and one of a newer format
// (*VersionError). Only the last segment is read whole; what is in the others is verified when it is read.
func Open(o Options) (*Log, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	o.SegmentBytes = min(max(o.SegmentBytes, minSegmentBytes), maxSegmentBytes)
	o.FirstSequence = max(o.FirstSequence, 1)
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("wal: open: %w", err)
	}
	lock, err := o.FS.Lock(filepath.Join(o.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("wal: open: %w", err)
	}
	l := &Log{o: o, lock: lock}
	if err := l.findSegments(); err != nil {
		for _, s := range l.segments {
			err = errors.Join(err, s.retire())
		}
		return nil, errors.Join(err, lock.Close())
	}
	return l, nil
}

// findSegments finds the segments, and makes the last one fit to go on with.
func (l *Log) findSegments() error {
	names, err := l.o.FS.List(l.o.Dir)
	if err != nil {
		return fmt.Errorf("wal: open: %w", err)
	}
	l.next = l.o.FirstSequence
	var firsts []uint64
	for _, name := range names {
		if first, ok := parseSegmentName(name); ok {
			firsts = append(firsts, first)
		}
	}
	for i, first := range firsts {
		path := filepath.Join(l.o.Dir, segmentName(first))
		if i > 0 && first != l.next {
			return &CorruptError{File: path, Reason: fmt.Sprintf(
				"the segment before it ends with block %d, so that blocks are missing or twice there", l.next-1)}
		}
		if err := l.recoverSegment(path, first, i == len(firsts)-1); err != nil {
			return err
		}
	}
	if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
		return fmt.Errorf("wal: open: %w", err)
	}
	return nil
}

// recoverSegment adds one segment to the log.
func (l *Log) recoverSegment(path string, first uint64, last bool) error {
	f, err := l.o.FS.Open(path)
	if err != nil {
		return fmt.Errorf("wal: open: %w", err)
	}
	l.next = first
	s, err := readSegmentHeader(f, path, first)
	if err == errHeader && last {
		return l.removeUnmade(f, path)
	} else if err == errHeader {
		err = &CorruptError{File: path, Reason: err.Error()}
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if !last {
		err = errors.Join(s.trust(f), f.Close())
	} else {
		s.file = f // from here on the segment closes it
		err = l.recoverTail(s)
	}
	if err != nil {
		return errors.Join(err, s.retire())
	}
	l.segments, l.next = append(l.segments, s), s.next
	return nil
}

// readSegmentHeader begins a segment from its file. errHeader says that there is no valid header.
func readSegmentHeader(f vfs.File, path string, first uint64) (*segment, error) {
	b := make([]byte, segmentHeaderBytes)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("wal: open %s: %w", path, err)
	}
	h, err := decodeSegmentHeader(b[:n])
	if newer := (*VersionError)(nil); errors.As(err, &newer) {
		newer.File = path
		return nil, newer
	}
	if err != nil {
		return nil, err
	}
	if h.first != first {
		return nil, &CorruptError{File: path, Reason: fmt.Sprintf("the header is that of block %d", h.first)}
	}
	return &segment{path: path, header: h, seed: h.seed()}, nil
}

// removeUnmade removes a last segment that has no valid header because the power went while it was made: then nothing
// is behind the header, since that is durable before the first block is written.
func (l *Log) removeUnmade(f vfs.File, path string) error {
	size, err := f.Size()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s := scanner{window: window{file: f, size: size}}
	s.end, s.size = segmentHeaderBytes, size
	err = errors.Join(s.examineJunk(), f.Close())
	switch {
	case err != nil:
		return fmt.Errorf("wal: open %s: %w", path, err)
	case s.junkEnd > segmentHeaderBytes:
		return &CorruptError{File: path, Reason: errHeader.Error()}
	}
	if err := l.o.FS.Remove(path); err != nil {
		return fmt.Errorf("wal: open: %w", err)
	}
	return nil
}

// trust takes a sealed segment's extent from its last bytes; only if they are damaged it reads the segment.
func (s *segment) trust(f vfs.File) (err error) {
	if s.size, err = f.Size(); err != nil {
		return fmt.Errorf("wal: open %s: %w", s.path, err)
	}
	s.sealed = true
	tail, head := make([]byte, indexTailBytes), make([]byte, blockHeaderBytes)
	if s.size >= segmentHeaderBytes+indexSize(0) && readFull(f, tail, s.size-indexTailBytes) {
		count, at, ok := decodeIndexTail(tail)
		if ok && at >= segmentHeaderBytes && at <= s.size-indexSize(0) && readFull(f, head, at) {
			h, ok := decodeBlockHeader(head, s.seed)
			if ok && h.kind == kindIndex && h.seq == s.header.first+count && at+h.size() == s.size {
				s.next, s.end = h.seq, at
				return nil
			}
		}
	}
	found, err := scanSegment(f, s.path, s.header)
	s.next, s.end = found.next, found.end
	return err
}

// recoverTail makes the last segment what it would be had the append that was cut off never begun, and durable.
func (l *Log) recoverTail(s *segment) error {
	found, err := scanSegment(s.file, s.path, s.header)
	if err != nil {
		return err
	}
	s.next, s.end, s.size, s.sealed, s.index = found.next, found.end, found.size, found.sealed, found.index
	if err := l.rewriteTail(s, found); err != nil {
		return fmt.Errorf("wal: open %s: %w", s.path, err)
	}
	if !s.sealed {
		l.active = s
	}
	if cut := found.junkEnd - found.end; cut > 0 {
		l.recovery = Recovery{File: s.path, Offset: found.end, CutBytes: cut, LostBlocks: found.lost}
	}
	return nil
}

// rewriteTail writes zeros over the junk, and what a failed sync may have left in memory only again: the header and the
// last block. Then it syncs all.
func (l *Log) rewriteTail(s *segment, found found) error {
	clean := make([]byte, min(windowBytes, max(found.junkEnd-found.end, 0)))
	for off := found.end; off < found.junkEnd; off += int64(len(clean)) {
		if _, err := s.file.WriteAt(clean[:min(int64(len(clean)), found.junkEnd-off)], off); err != nil {
			return err
		}
	}
	if _, err := s.file.WriteAt(s.header.encode(), 0); err != nil {
		return err
	}
	end := found.end
	if found.sealed {
		end = found.size
	}
	if found.last == 0 {
		found.last = found.end
	}
	piece := make([]byte, min(windowBytes, end-found.last))
	for off := found.last; off < end; off += int64(len(piece)) {
		piece = piece[:min(int64(len(piece)), end-off)]
		if _, err := s.file.ReadAt(piece, off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := s.file.WriteAt(piece, off); err != nil {
			return err
		}
	}
	return s.file.Sync()
}
