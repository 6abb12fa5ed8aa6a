package wal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"
)

// scanBytes is how much Scan reads at once where blocks are smaller.
const scanBytes = 256 << 10

// Read returns the payload of a block, verified, in dst's memory if it has the capacity and in new memory otherwise. The
// errors are ErrTrimmed, ErrNotYet, ErrClosed, *CorruptError and those of the file system. It does not wait for appends,
// and a block is readable as soon as its Append has returned, and not before.
func (l *Log) Read(seq uint64, dst []byte) (payload []byte, err error) {
	v, err := l.view(seq)
	if err != nil {
		return nil, err
	}
	defer v.release()
	granule, from, to := v.find(seq)
	if to-from < 2*granuleBytes { // by several blocks, perhaps: none is to hold the memory of all
		b := granules.Get().(*[2 * granuleBytes]byte)
		defer granules.Put(b)
		payload, err = v.readFrom(granule, seq, from, b[:to-from])
		return append(dst[:0], payload...), err
	}
	buf := slices.Grow(dst[:0], int(to-from))[:to-from]
	payload, err = v.readFrom(granule, seq, from, buf)
	return buf[:copy(buf, payload)], err
}

// granules are buffers for what is read with a small block.
var granules = sync.Pool{New: func() any { return new([2 * granuleBytes]byte) }}

// readFrom reads a granule into buf, and returns a block's payload, which is there.
func (v *view) readFrom(granule int, seq uint64, from int64, buf []byte) (payload []byte, err error) {
	err = v.walk(granule, buf, from, func(at uint64, p []byte) error {
		if at == seq {
			payload = p
			return errFound
		}
		return nil
	})
	switch err {
	case errFound:
		return payload, nil
	case nil:
		reason := fmt.Sprintf("block %d is not where the index says", seq)
		return nil, &CorruptError{File: v.path, Offset: from, Reason: reason}
	}
	return nil, err
}

// errFound ends a walk.
var errFound = errors.New("found")

// walk reads what lies at an offset, where the granule of that number begins, into buf and calls fn for each block.
func (v *view) walk(granule int, buf []byte, offset int64, fn func(seq uint64, payload []byte) error) error {
	if n, err := v.file.ReadAt(buf, offset); n < len(buf) {
		if errors.Is(err, io.EOF) {
			return &CorruptError{File: v.path, Offset: offset + int64(n), Reason: "the file ends within a block"}
		}
		return fmt.Errorf("wal: read: %w", err)
	}
	want := v.header.first + uint64(v.entries[granule].seq)
	for at := int64(0); at < int64(len(buf)); want++ {
		h, ok := decodeBlockHeader(buf[at:], v.seed)
		if !ok || h.kind != kindBlock || h.seq != want || at+h.size() > int64(len(buf)) {
			return &CorruptError{File: v.path, Offset: offset + at, Reason: fmt.Sprintf("the header of block %d is not valid", want)}
		}
		payload := buf[at+blockHeaderBytes:][:h.length]
		if checksum(payload) != h.sum {
			return &CorruptError{File: v.path, Offset: offset + at, Reason: fmt.Sprintf("the payload of block %d does not match its checksum", want)}
		}
		if err := fn(want, payload); err != nil {
			return err
		}
		at += h.size()
	}
	return nil
}

// Scan calls fn for the blocks from a sequence on, in order, until the end that the log had when Scan was called, or until
// fn returns an error, which Scan returns as it is. The payload is valid only during the call, and fn may change it. fn
// may call the log's methods. A scan from Next does nothing; one from behind it is ErrNotYet, and one from before First
// is ErrTrimmed, as is one whose next segment is trimmed meanwhile.
func (l *Log) Scan(from uint64, fn func(seq uint64, payload []byte) error) error {
	end := l.Next()
	if from > end {
		return ErrNotYet
	}
	var buf []byte
	for from < end {
		v, err := l.view(from)
		if err != nil {
			return err
		}
		buf, err = v.scan(from, min(v.next, end), buf, fn)
		v.release()
		if err != nil {
			return err
		}
		from = v.next
	}
	return nil
}

// scan calls fn for the blocks of a segment. It returns buf, which may have grown.
func (v *view) scan(from, to uint64, buf []byte, fn func(seq uint64, payload []byte) error) ([]byte, error) {
	granule, start, end := v.find(from)
	for start < v.end {
		following := granule + 1
		for end < v.end && v.granuleEnd(following)-start <= scanBytes {
			end = v.granuleEnd(following)
			following++
		}
		buf = slices.Grow(buf[:0], int(end-start))[:end-start]
		err := v.walk(granule, buf, start, func(seq uint64, payload []byte) error {
			if seq < from || seq >= to {
				return nil
			}
			return fn(seq, payload)
		})
		if err != nil {
			return buf, err
		}
		granule, start, end = following, end, v.granuleEnd(following)
	}
	return buf, nil
}

// view finds the segment of a block and opens it. The caller releases it.
func (l *Log) view(seq uint64) (view, error) {
	v, err := l.pin(seq)
	if err != nil {
		return view{}, err
	}
	opened, err := v.load(l.o.FS)
	if opened {
		l.keepOpen(v.segment)
	}
	if err != nil {
		v.release()
		return view{}, fmt.Errorf("wal: read: %w", err)
	}
	return v, nil
}

func (l *Log) pin(seq uint64) (view, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case l.closed:
		return view{}, ErrClosed
	case seq >= l.next:
		return view{}, ErrNotYet
	case seq < l.first():
		return view{}, ErrTrimmed
	}
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].next > seq })
	return l.segments[i].pin(), nil
}

// keepOpen notes that a sealed segment's file is open, and closes another one if there are too many.
func (l *Log) keepOpen(s *segment) {
	l.openedMu.Lock()
	defer l.openedMu.Unlock()
	l.opened = append(l.opened, s)
	for i := 0; i < len(l.opened) && len(l.opened) > maxOpen; {
		if l.opened[i].evict() {
			l.opened = slices.Delete(l.opened, i, i+1)
		} else {
			i++
		}
	}
}
