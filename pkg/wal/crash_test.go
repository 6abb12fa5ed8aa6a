package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

// history is what a client of the log knows.
type history struct {
	fs        *vfs.Mem
	o         Options
	rng       *rand.Rand
	lengths   map[uint64]int // of payloads whose Append returned
	acked     uint64         // the last of them
	attempted int            // length of the payload whose Append failed after that; -1: there is none
	trimmed   uint64         // TruncateBefore was called with it
}

func newHistory(seed uint64, synced bool) *history {
	fs := vfs.NewMem(seed)
	return &history{
		fs: fs, o: Options{FS: fs, Dir: dir, SegmentBytes: 8 << 10, Sync: synced},
		rng: rand.New(rand.NewPCG(seed, 2)), lengths: map[uint64]int{}, attempted: -1,
	}
}

// work appends and trims until the first error, which it returns.
func (h *history) work(l *Log, appends int) error {
	for range appends {
		n := 8 + h.rng.IntN(1500)
		if h.rng.IntN(10) == 0 {
			n *= 10
		}
		seq, err := l.Append(payloadOf(l.Next(), n))
		if err != nil {
			h.attempted = n
			return err
		}
		h.lengths[seq], h.acked, h.attempted = n, seq, -1
		if h.rng.IntN(8) == 0 && seq > 10 {
			h.trimmed = max(h.trimmed, seq-10)
			if err := l.TruncateBefore(seq - 10); err != nil {
				return err
			}
		}
	}
	return nil
}

// check says what is wrong (see isWrong) with a log that was opened again: everything acknowledged and not trimmed is there with its
// payload, and nothing else but perhaps the block whose Append failed.
func (h *history) check(l *Log) error {
	if l.First() > max(h.trimmed, 1) {
		return wrongf("first is %d, trimmed was before %d", l.First(), h.trimmed)
	}
	next := l.First()
	err := l.Scan(next, func(seq uint64, p []byte) error {
		want, known := h.lengths[seq]
		if seq == h.acked+1 && h.attempted >= 0 {
			want, known = h.attempted, true
		}
		if seq != next || !known || !bytes.Equal(p, payloadOf(seq, want)) {
			return wrongf("block %d (expected %d): known %v, %d bytes, want %d", seq, next, known, len(p), want)
		}
		next++
		return nil
	})
	if err != nil {
		return err
	}
	if next <= h.acked || next != l.Next() {
		return wrongf("blocks end before %d, Next is %d, acknowledged %d", next, l.Next(), h.acked)
	}
	if next == h.acked+2 { // the one in doubt is there, and from now on it has to stay
		h.acked++
		h.lengths[h.acked], h.attempted = h.attempted, -1
	}
	return nil
}

// run opens the log, checks it and works.
func (h *history) run(appends int) (*Log, error) {
	l, err := Open(h.o)
	if err != nil {
		return nil, err
	}
	if err := h.check(l); err != nil {
		return l, err
	}
	return l, h.work(l, appends)
}

// wrong is an error that no fault excuses.
type wrong struct{ error }

func wrongf(format string, args ...any) error { return &wrong{fmt.Errorf(format, args...)} }

func isWrong(err error) bool {
	var w *wrong
	var c *CorruptError
	var v *VersionError
	return errors.As(err, &w) || errors.As(err, &c) || errors.As(err, &v)
}

func seedsFor(t *testing.T) uint64 {
	if testing.Short() {
		return 1
	}
	return 4
}

// The power goes at each operation of a workload in turn, while it recovers too, and after the log went on.
func TestPowerCutAtEveryOperationLosesNothingAcknowledged(t *testing.T) {
	for seed := range seedsFor(t) {
		for at, done := 0, false; !done; at++ {
			h := newHistory(seed, true)
			h.fs.FailAfter(at, vfs.OpAny, syscall.EIO)
			_, err := h.run(40)
			done = err == nil
			for step, cut := range []int{at % 23, at % 7, 1 << 30} {
				h.fs.Crash(seed<<32 + uint64(at*3+step))
				if isWrong(err) {
					t.Fatalf("seed %d, cut at operation %d, step %d: %v", seed, at, step, err)
				}
				h.fs.FailAfter(cut, vfs.OpAny, syscall.EIO)
				_, err = h.run(5)
			}
			if err != nil {
				t.Fatalf("seed %d, cut at operation %d: at the end: %v", seed, at, err)
			}
		}
	}
}

// One operation fails, the log is opened again while the kernel still believes what it believes, goes on, and only then
// the power goes. A block that was kept although its sync had failed must be on the disk by then.
func TestFailedOperationThenReopenThenPowerCut(t *testing.T) {
	for seed := range seedsFor(t) {
		for at, done := 0, false; !done; at++ {
			h := newHistory(seed, true)
			h.fs.FailOnce(at, vfs.OpAny, syscall.EIO)
			l, err := h.run(40)
			done = err == nil
			fail := func(when string, err error) {
				t.Fatalf("seed %d, operation %d fails, %s: %v", seed, at, when, err)
			}
			if isWrong(err) {
				fail("at once", err)
			}
			if l != nil && l.Err() != nil {
				if _, err := l.Append(nil); !errors.Is(err, ErrPoisoned) {
					fail("and another append", err)
				}
			}
			h.fs.Kill()
			h.fs.Heal()
			if _, err := h.run(at % 3 * 3); err != nil {
				fail("reopened", err)
			}
			h.fs.Crash(seed<<32 + uint64(at))
			if _, err := h.run(3); err != nil {
				fail("after the power cut", err)
			}
		}
	}
}

func TestKillLosesNothingEvenWithoutSync(t *testing.T) {
	for seed := range seedsFor(t) {
		h := newHistory(seed, false)
		for range 20 {
			if _, err := h.run(h.rng.IntN(12)); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			h.fs.Kill()
		}
	}
}

// Without Sync a power cut takes blocks from the end, but never opens a hole, and never reaches into sealed segments.
func TestPowerCutWithoutSyncKeepsAPrefix(t *testing.T) {
	lost := 0
	for seed := range 200 * seedsFor(t) {
		h := newHistory(seed, false)
		l, err := h.run(h.rng.IntN(60))
		if err != nil {
			t.Fatal(err)
		}
		sealed := uint64(1)
		for _, s := range l.Segments() {
			if s.Sealed {
				sealed = s.Next
			}
		}
		h.fs.Crash(seed)
		if l, err = Open(h.o); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if l.Next() < sealed || l.Next() > h.acked+1 {
			t.Fatalf("seed %d: next is %d, sealed were those before %d, appended up to %d", seed, l.Next(), sealed, h.acked)
		}
		if l.Next() <= h.acked {
			lost++
		}
		h.acked = l.Next() - 1
		if err := errors.Join(h.check(l), h.work(l, 5), h.check(l)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	if lost == 0 {
		t.Fatal("no crash lost anything: the test tests nothing")
	}
}

// What a cut removed must not come back when new blocks reach it, even if they are just as long.
func TestCutBlocksStayAway(t *testing.T) {
	mem := vfs.NewMem(1)
	o := Options{FS: mem, Dir: dir}
	l := mustOpen(t, o)
	for range 4 {
		mustAppend(t, l, 1000)
	}
	path := l.Segments()[0].Path
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, mem, path, segmentHeaderBytes+blockSize(1000), flip, 1)
	l = mustOpen(t, o)
	if r := l.Recovery(); l.Next() != 2 || !r.LostBlocks || r.CutBytes < 3000 {
		t.Fatalf("next %d, recovery %+v", l.Next(), r)
	}
	mustAppend(t, l, 1000)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l = mustOpen(t, o); l.Next() != 3 {
		t.Fatalf("next is %d, want 3", l.Next())
	}
}

// The sync of a new segment's header fails and the kernel takes it for clean. Once the log is open again, the segment
// before it may be trimmed, so that the header is all that knows the sequence.
func TestSequenceSurvivesALostHeader(t *testing.T) {
	for seed := range uint64(40) {
		mem := vfs.NewMem(seed)
		o := Options{FS: mem, Dir: dir, SegmentBytes: 4096, Sync: true}
		l := mustOpen(t, o)
		mustAppend(t, l, 3000)
		mem.FailOnce(1, vfs.OpSync, syscall.EIO) // after that of the first segment's index
		if _, err := l.Append(payloadOf(2, 3000)); !errors.Is(err, ErrPoisoned) {
			t.Fatal(err)
		}
		mem.Kill()
		if err := mustOpen(t, o).TruncateBefore(2); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			mem.Crash(seed)
			if l = mustOpen(t, o); l.Next() != 2 {
				t.Fatalf("seed %d: next is %d, want 2", seed, l.Next())
			}
		}
	}
}
