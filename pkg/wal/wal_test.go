package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "data/log"

// payloadOf makes the payload that block seq has in these tests: its sequence, then bytes that follow from it.
func payloadOf(seq uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seq, 7))
	p := binary.LittleEndian.AppendUint64(nil, seq)
	for len(p) < n {
		p = binary.LittleEndian.AppendUint64(p, rng.Uint64())
	}
	return p[:n]
}

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func mustAppend(t testing.TB, l *Log, n int) uint64 {
	t.Helper()
	want := l.Next()
	seq, err := l.Append(payloadOf(want, n))
	if err != nil {
		t.Fatal(err)
	}
	if seq != want || l.Next() != want+1 {
		t.Fatalf("Append returned %d, Next is %d, want %d and one more", seq, l.Next(), want)
	}
	return seq
}

// verify reads all blocks both ways and returns how many there are.
func verify(t testing.TB, l *Log) int {
	t.Helper()
	want := l.First()
	err := l.Scan(want, func(seq uint64, p []byte) error {
		if seq != want {
			return fmt.Errorf("scan: block %d after %d", seq, want-1)
		}
		want++
		if !bytes.Equal(p, payloadOf(seq, len(p))) {
			return fmt.Errorf("scan: block %d has another payload", seq)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want != l.Next() {
		t.Fatalf("the scan ended before block %d, Next is %d", want, l.Next())
	}
	var buf []byte
	for seq := l.First(); seq < want; seq++ {
		if buf, err = l.Read(seq, buf); err != nil {
			t.Fatalf("read block %d: %v", seq, err)
		}
		if !bytes.Equal(buf, payloadOf(seq, len(buf))) {
			t.Fatalf("read: block %d has another payload", seq)
		}
	}
	return int(want - l.First())
}

func TestBlocksComeBackAfterReopening(t *testing.T) {
	for _, synced := range []bool{true, false} {
		fs := vfs.NewMem(1)
		o := Options{FS: fs, Dir: dir, SegmentBytes: 64 << 10, Sync: synced}
		sizes := []int{8, 9, 100, 5000, 20_000, 8, 70_000, 16 << 10, 8}
		l := mustOpen(t, o)
		total := 0
		for round := range 4 {
			for i := range 90 {
				mustAppend(t, l, sizes[(i+round)%len(sizes)])
				total++
			}
			if n := verify(t, l); n != total {
				t.Fatalf("%d blocks, want %d", n, total)
			}
			before := l.Segments()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, o)
			if after := l.Segments(); !slices.Equal(before, after) {
				t.Fatalf("segments were %v and are %v", before, after)
			}
			if n := verify(t, l); n != total || l.Recovery() != (Recovery{}) {
				t.Fatalf("%d blocks, want %d; recovery %+v", n, total, l.Recovery())
			}
		}
		if n := len(l.Segments()); n < 20 {
			t.Fatalf("only %d segments", n)
		}
	}
}

func TestEmptyPayloadAndLimits(t *testing.T) {
	l := mustOpen(t, Options{FS: vfs.NewMem(1), Dir: dir, SegmentBytes: 4096, Sync: true, FirstSequence: 1000})
	if l.First() != 1000 || l.Next() != 1000 || l.Bytes() != 0 {
		t.Fatalf("a new log: first %d, next %d, bytes %d", l.First(), l.Next(), l.Bytes())
	}
	if seq, err := l.Append(nil); seq != 1000 || err != nil {
		t.Fatal(seq, err)
	}
	if p, err := l.Read(1000, nil); len(p) != 0 || err != nil {
		t.Fatal(p, err)
	}
	if _, err := l.Append(make([]byte, MaxPayload+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	if _, err := l.Read(1001, nil); !errors.Is(err, ErrNotYet) {
		t.Fatal(err)
	}
	if _, err := l.Read(999, nil); !errors.Is(err, ErrTrimmed) {
		t.Fatal(err)
	}
	if err := l.Scan(1001, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.Scan(1002, nil); !errors.Is(err, ErrNotYet) {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, errAppend := l.Append(nil)
	_, errRead := l.Read(1000, nil)
	for _, err := range []error{errAppend, errRead, l.Scan(1000, nil), l.TruncateBefore(1001), l.Close()} {
		if !errors.Is(err, ErrClosed) {
			t.Fatalf("after Close: %v", err)
		}
	}
}

func TestReadReusesTheCallersMemory(t *testing.T) {
	l := mustOpen(t, Options{FS: vfs.NewMem(1), Dir: dir})
	for range 50 {
		mustAppend(t, l, 300)
	}
	dst := make([]byte, 0, 64<<10)
	for seq := uint64(1); seq <= 50; seq++ {
		p, err := l.Read(seq, dst)
		if err != nil {
			t.Fatal(err)
		}
		if &p[:1][0] != &dst[:1][0] || cap(p) != cap(dst) {
			t.Fatalf("block %d is in other memory", seq)
		}
		dst = p
	}
}

func TestTruncateDropsWholeSegmentsForGood(t *testing.T) {
	fs := vfs.NewMem(1)
	o := Options{FS: fs, Dir: dir, SegmentBytes: 8 << 10, Sync: true}
	l := mustOpen(t, o)
	for range 100 {
		mustAppend(t, l, 1000)
	}
	bytesBefore, segments := l.Bytes(), l.Segments()
	if err := l.TruncateBefore(segments[3].First + 1); err != nil {
		t.Fatal(err)
	}
	if l.First() != segments[3].First || l.Bytes() >= bytesBefore {
		t.Fatalf("first is %d, want %d; bytes %d, before %d", l.First(), segments[3].First, l.Bytes(), bytesBefore)
	}
	if _, err := l.Read(l.First()-1, nil); !errors.Is(err, ErrTrimmed) {
		t.Fatal(err)
	}
	if err := l.Scan(l.First()-1, nil); !errors.Is(err, ErrTrimmed) {
		t.Fatal(err)
	}
	fs.Crash(1)
	l = mustOpen(t, o)
	if verify(t, l); l.First() != segments[3].First || l.Next() != 101 {
		t.Fatalf("after a crash: blocks %d to %d", l.First(), l.Next())
	}
	if err := l.TruncateBefore(1 << 60); err != nil {
		t.Fatal(err)
	}
	if n := len(l.Segments()); n != 1 || l.Next() != 101 {
		t.Fatalf("%d segments, next %d", n, l.Next())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l = mustOpen(t, o); l.Next() != 101 {
		t.Fatalf("the sequence is forgotten: next is %d", l.Next())
	}
	mustAppend(t, l, 10)
	verify(t, l)
}

func TestSecondOpenIsRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"mem": {FS: vfs.NewMem(1), Dir: dir},
		"os":  {FS: vfs.OS(), Dir: t.TempDir() + "/a/b"},
	} {
		t.Run(name, func(t *testing.T) {
			l := mustOpen(t, o)
			if _, err := Open(o); !errors.Is(err, vfs.ErrLocked) {
				t.Fatalf("the second Open: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			mustOpen(t, o)
		})
	}
}

func TestOnTheRealFileSystem(t *testing.T) {
	o := Options{FS: vfs.OS(), Dir: t.TempDir(), SegmentBytes: 1 << 20, Sync: true}
	l := mustOpen(t, o)
	for i := range 30 {
		mustAppend(t, l, 8+i*5000)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, o)
	if n := verify(t, l); n != 30 {
		t.Fatalf("%d blocks, want 30", n)
	}
	if err := l.TruncateBefore(30); err != nil {
		t.Fatal(err)
	}
	names, err := o.FS.List(o.Dir)
	if err != nil || len(names) != len(l.Segments())+1 {
		t.Fatalf("files %v, segments %v, %v", names, l.Segments(), err)
	}
}

func TestSyncedAndUnsyncedTakeTurns(t *testing.T) {
	fs := vfs.NewMem(1)
	for i := range 6 {
		l := mustOpen(t, Options{FS: fs, Dir: dir, Sync: i%2 == 0})
		if got := l.Next(); got != uint64(i)+1 {
			t.Fatalf("next is %d, want %d", got, i+1)
		}
		mustAppend(t, l, 100)
		if s := l.Segments(); len(s) != i+1 {
			t.Fatalf("%d segments after %d changes", len(s), i)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// An empty segment, left by an append that failed, is the only thing that knows the next sequence once what was before it
// is trimmed.
func TestEmptyLastSegmentKeepsTheSequence(t *testing.T) {
	fs := vfs.NewMem(1)
	o := Options{FS: fs, Dir: dir, SegmentBytes: 4096, Sync: true}
	l := mustOpen(t, o)
	mustAppend(t, l, 3000)
	fs.FailOnce(2, vfs.OpWrite, syscall.EIO) // index, header, then the block
	if _, err := l.Append(payloadOf(2, 3000)); !errors.Is(err, ErrPoisoned) {
		t.Fatal(err)
	}
	_ = l.Close()
	l = mustOpen(t, o)
	if s := l.Segments(); len(s) != 2 || s[1].First != 2 || l.Next() != 2 {
		t.Fatalf("segments %v", s)
	}
	if err := l.TruncateBefore(2); err != nil {
		t.Fatal(err)
	}
	fs.SetCapacity(8 << 10)
	if _, err := l.Append(payloadOf(2, 50_000)); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	fs.Crash(3)
	if l = mustOpen(t, o); l.Next() != 2 {
		t.Fatalf("next is %d, want 2", l.Next())
	}
	fs.SetCapacity(-1)
	mustAppend(t, l, 50_000)
	mustAppend(t, l, 50_000)
	_ = l.Close()
	o.Sync = false
	l = mustOpen(t, o)
	if n := verify(t, l); n != 2 {
		t.Fatalf("%d blocks", n)
	}
}
