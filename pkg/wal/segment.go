package wal

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

// segment is one file of the log.
type segment struct {
	// Static after construction.
	path   string
	header segmentHeader
	seed   uint32

	// Guarded by Log.mu. They change only while the segment is the active one, by the appender.
	next   uint64 // the sequence behind the last block that can be read
	end    int64  // where the blocks that can be read end
	size   int64  // as preallocated; once sealed, the file's size
	sealed bool

	// Guarded by mu. Only a sealed segment may be without file and index; they are loaded when they are needed.
	mu    sync.Mutex
	file  vfs.File
	index index
	refs  int  // readers
	gone  bool // out of the log: the last reader closes the file
}

// bytes is what the segment holds. The caller holds Log.mu.
func (s *segment) bytes() int64 {
	if s.sealed {
		return s.size
	}
	return s.end
}

// view is what a reader sees of a segment: the blocks that were durable when it came. It keeps the file open until
// release is called.
type view struct {
	*segment
	file    vfs.File
	entries []entry
	next    uint64
	end     int64
}

// pin makes a view of a segment, whose file may not be loaded yet. The caller holds Log.mu, for reading at least.
func (s *segment) pin() view {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs++
	return view{segment: s, next: s.next, end: s.end}
}

func (s *segment) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refs--
	if s.refs == 0 && s.gone {
		_ = s.closeFile() // it was only read
	}
}

// retire takes the segment out of use.
func (s *segment) retire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	if s.refs > 0 {
		return nil
	}
	return s.closeFile()
}

// evict closes the file if nobody reads it, and reports whether it is closed.
func (s *segment) evict() bool {
	if !s.mu.TryLock() {
		return false // it is being opened
	}
	defer s.mu.Unlock()
	if s.refs > 0 {
		return false
	}
	_ = s.closeFile() // it was synced when it was sealed
	return true
}

func (s *segment) closeFile() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file, s.index = nil, index{}
	return err
}

// load gives the view its file and index, and reports whether it had to open the file.
func (v *view) load(fsys vfs.FS) (opened bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.segment.file == nil {
		if opened, err = true, v.open(fsys, v.next, v.end); err != nil {
			return false, err
		}
	}
	v.file, v.entries = v.segment.file, v.index.entries
	return opened, nil
}

// open opens a sealed segment. The caller holds s.mu.
func (s *segment) open(fsys vfs.FS, next uint64, end int64) error {
	f, err := fsys.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) && s.gone {
		return ErrTrimmed
	}
	if err != nil {
		return err
	}
	entries, ok := s.readIndex(f, next, end)
	if !ok {
		found, err := scanSegment(f, s.path, s.header)
		if err == nil && found.next != next {
			err = &CorruptError{File: s.path, Offset: found.end, Reason: "blocks are missing"}
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		entries = found.index.entries
	}
	s.file, s.index = f, index{entries: entries}
	return nil
}

// readIndex returns the index of a sealed segment, or false if it is damaged.
func (s *segment) readIndex(f vfs.File, next uint64, end int64) ([]entry, bool) {
	size, err := f.Size()
	if err != nil || size-end < indexSize(0) {
		return nil, false
	}
	b := make([]byte, size-end)
	if !readFull(f, b, end) {
		return nil, false
	}
	h, ok := decodeBlockHeader(b, s.seed)
	if !ok || h.kind != kindIndex || h.seq != next || h.size() != int64(len(b)) {
		return nil, false
	}
	if payload := b[blockHeaderBytes:]; checksum(payload) == h.sum {
		return decodeIndex(payload, next-s.header.first, end)
	}
	return nil, false
}

// find returns the part of the file, from and to, that holds a block.
func (v *view) find(seq uint64) (granule int, from, to int64) {
	rel := uint32(seq - v.header.first)
	i, exact := slices.BinarySearchFunc(v.entries, rel, func(e entry, rel uint32) int { return int(int64(e.seq) - int64(rel)) })
	if !exact {
		i--
	}
	return i, v.entries[i].at(), v.granuleEnd(i)
}

// granuleEnd is where what an entry stands for ends. The index of the active segment may have entries for blocks that
// the view does not see.
func (v *view) granuleEnd(i int) int64 {
	if i+1 < len(v.entries) {
		return min(v.entries[i+1].at(), v.end)
	}
	return v.end
}

// readFull reports whether all of b was read.
func readFull(f vfs.File, b []byte, off int64) bool {
	n, err := f.ReadAt(b, off)
	return n == len(b) && (err == nil || err == io.EOF)
}
