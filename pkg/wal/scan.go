package wal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

func checksum(payload []byte) uint32 { return crc32.Checksum(payload, castagnoli) }

// found is what a segment was found to hold.
type found struct {
	next    uint64 // the sequence behind the last block
	end     int64  // where blocks end
	last    int64  // where the last block begins; 0: there is none
	index   index
	sealed  bool  // the index is there, and the file ends with it
	size    int64 // the file's
	junkEnd int64 // where the last byte that is not zero, and no block's, ends; end if there is none
	lost    bool  // later blocks stand in the junk
}

// scanSegment reads all blocks of a segment. It returns a *CorruptError if blocks that were durable are damaged.
func scanSegment(f vfs.File, path string, h segmentHeader) (found, error) {
	size, err := f.Size()
	if err != nil {
		return found{}, err
	}
	s := scanner{window: window{file: f, size: size}, seed: h.seed()}
	s.found = found{next: h.first, end: segmentHeaderBytes, size: size}
	for {
		more, err := s.step(h.first)
		if err != nil {
			return found{}, fmt.Errorf("wal: scan %s: %w", path, err)
		}
		if !more {
			break
		}
	}
	if s.sealed {
		return s.found, nil
	}
	if err := s.examineJunk(); err != nil {
		return found{}, fmt.Errorf("wal: scan %s: %w", path, err)
	}
	if s.lost && !h.unsynced {
		return found{}, &CorruptError{File: path, Offset: s.end, Reason: "no valid block, but later blocks follow"}
	}
	return s.found, nil
}

type scanner struct {
	found
	window window
	seed   uint32
}

// step takes the next block and reports whether there was one.
func (s *scanner) step(first uint64) (bool, error) {
	head, err := s.window.bytes(s.end, blockHeaderBytes)
	if err != nil {
		return false, err
	}
	h, ok := decodeBlockHeader(head, s.seed)
	if !ok || h.seq != s.next || s.end+blockHeaderBytes+int64(h.length) > s.size {
		return false, nil
	}
	sum, err := s.window.checksum(s.end+blockHeaderBytes, int64(h.length))
	if err != nil || sum != h.sum {
		return false, err
	}
	if h.kind == kindIndex {
		s.sealed = s.end+h.size() == s.size
		return false, nil
	}
	s.index.add(h.seq-first, s.end, h.size())
	s.last, s.next, s.end = s.end, s.next+1, s.end+h.size()
	return true, nil
}

// examineJunk looks at what is behind the last block.
func (s *scanner) examineJunk() error {
	s.junkEnd = s.end
	for off := s.end; off < s.size; {
		b, err := s.window.bytes(off, min(windowBytes, int(s.size-off)))
		if err != nil {
			return err
		}
		if len(b) == 0 {
			break // the file became shorter
		}
		if used := usedBytes(b); used > 0 {
			s.junkEnd = off + int64(used)
			s.lost = s.lost || s.laterBlock(b)
		}
		// Overlap, so that no header is cut in two; off stays a multiple of the alignment.
		if off+int64(len(b)) >= s.size {
			break
		}
		off += int64(len(b)-blockHeaderBytes) &^ (alignment - 1)
	}
	return nil
}

// zeros is what usedBytes compares with.
var zeros [4096]byte

// usedBytes returns where the last byte of b that is not zero ends.
func usedBytes(b []byte) int {
	for len(b) >= len(zeros) && bytes.Equal(b[len(b)-len(zeros):], zeros[:]) {
		b = b[:len(b)-len(zeros)]
	}
	return len(bytes.TrimRight(b, "\x00"))
}

// laterBlock reports whether the header of a block later than the one that is missing is in b, which begins at a multiple
// of the alignment.
func (s *scanner) laterBlock(b []byte) bool {
	for i := 0; i+blockHeaderBytes <= len(b); i += alignment {
		if h, ok := decodeBlockHeader(b[i:], s.seed); ok && h.seq > s.next {
			return true
		}
	}
	return false
}

// windowBytes is how much a window reads at once.
const windowBytes = 1 << 20

// window reads a file in large steps.
type window struct {
	file  vfs.File
	size  int64
	buf   []byte
	start int64
}

// bytes returns n bytes at an offset, less where the file ends. n is at most windowBytes. They are valid until the next
// call.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	n = int(max(min(int64(n), w.size-off), 0))
	if n == 0 {
		return nil, nil
	}
	if off < w.start || off+int64(n) > w.start+int64(len(w.buf)) {
		if w.buf == nil {
			w.buf = make([]byte, 0, min(windowBytes, w.size))
		}
		w.buf = w.buf[:min(int64(cap(w.buf)), w.size-off)]
		got, err := w.file.ReadAt(w.buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			w.buf = w.buf[:0]
			return nil, err
		}
		w.buf, w.start = w.buf[:got], off
	}
	b := w.buf[off-w.start:]
	return b[:min(n, len(b))], nil
}

// checksum returns the CRC of a part of the file.
func (w *window) checksum(off, n int64) (uint32, error) {
	var sum uint32
	for n > 0 {
		b, err := w.bytes(off, int(min(n, windowBytes)))
		if err != nil {
			return 0, err
		}
		if len(b) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		sum = crc32.Update(sum, castagnoli, b)
		off, n = off+int64(len(b)), n-int64(len(b))
	}
	return sum, nil
}
