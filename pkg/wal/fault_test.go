package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

func TestNoSpaceIsNoPoison(t *testing.T) {
	mem := vfs.NewMem(1)
	mem.SetCapacity(64 << 10)
	o := Options{FS: mem, Dir: dir, SegmentBytes: 16 << 10, Sync: true, ReserveBytes: 8 << 10}
	l := mustOpen(t, o)
	appended := 0
	for range 3 {
		var err error
		for err == nil {
			if _, err = l.Append(payloadOf(l.Next(), 1000)); err == nil {
				appended++
			}
		}
		if !errors.Is(err, ErrNoSpace) || errors.Is(err, ErrPoisoned) || l.Err() != nil {
			t.Fatalf("a full disk: %v, poison %v", err, l.Err())
		}
		if free, _ := mem.Free(dir); free < o.ReserveBytes {
			t.Fatalf("%d bytes free, %d are reserved", free, o.ReserveBytes)
		}
		verify(t, l)
		if err := l.TruncateBefore(l.Next() - 20); err != nil {
			t.Fatal(err)
		}
	}
	if appended < 60 {
		t.Fatalf("only %d blocks in all: space was not used again", appended)
	}
	mem.Crash(1)
	l = mustOpen(t, o)
	if verify(t, l); l.Next() != uint64(appended)+1 {
		t.Fatalf("next is %d, %d were appended", l.Next(), appended)
	}
}

func TestReserveIsSeenWithinASegment(t *testing.T) {
	mem := vfs.NewMem(1)
	mem.SetCapacity(1 << 20)
	l := mustOpen(t, Options{FS: mem, Dir: dir, SegmentBytes: 64 << 10, Sync: true, ReserveBytes: 512 << 10})
	mustAppend(t, l, 100)
	mem.SetCapacity(256 << 10) // somebody else takes it
	writes := mem.Count(vfs.OpWrite)
	if _, err := l.Append(payloadOf(2, 100)); !errors.Is(err, ErrNoSpace) || mem.Count(vfs.OpWrite) != writes {
		t.Fatalf("below the reserve: %v, %d writes", err, mem.Count(vfs.OpWrite)-writes)
	}
	mem.SetCapacity(-1)
	mustAppend(t, l, 100)
}

func TestPreallocationTakesWhatThereIs(t *testing.T) {
	mem := vfs.NewMem(1)
	l := mustOpen(t, Options{FS: mem, Dir: dir, SegmentBytes: 1 << 20, Sync: true})
	mem.FailOnce(0, vfs.OpPreallocate, syscall.ENOSPC)
	mustAppend(t, l, 100)
	mem.FailAfter(0, vfs.OpPreallocate, syscall.ENOSPC)
	for range 3 {
		if _, err := l.Append(payloadOf(2, 2<<20)); !errors.Is(err, ErrNoSpace) || l.Err() != nil {
			t.Fatal(err, l.Err())
		}
	}
	mem.Heal()
	mustAppend(t, l, 2<<20)
	verify(t, l)
}

func TestWithoutPreallocation(t *testing.T) {
	mem := vfs.NewMem(1)
	mem.FailAfter(0, vfs.OpPreallocate, errors.ErrUnsupported)
	o := Options{FS: mem, Dir: dir, SegmentBytes: 8 << 10, Sync: true}
	l := mustOpen(t, o)
	for i := range 40 {
		mustAppend(t, l, 8+i*50)
	}
	if n := len(l.Segments()); n < 5 {
		t.Fatalf("%d segments", n)
	}
	mem.Crash(4)
	mem.FailAfter(0, vfs.OpPreallocate, errors.ErrUnsupported)
	l = mustOpen(t, o)
	mustAppend(t, l, 100)
	if n := verify(t, l); n != 41 {
		t.Fatalf("%d blocks", n)
	}
}

func TestFailedWriteOrSyncPoisons(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync} {
		for _, cause := range []error{syscall.EIO, syscall.ENOSPC} { // once writing, no space is as bad as anything
			mem := vfs.NewMem(1)
			l := mustOpen(t, Options{FS: mem, Dir: dir, Sync: true})
			mustAppend(t, l, 100)
			mem.FailOnce(0, op, cause)
			_, err := l.Append(payloadOf(2, 100))
			if !errors.Is(err, ErrPoisoned) || !errors.Is(err, cause) || errors.Is(err, ErrNoSpace) {
				t.Fatalf("%v fails with %v: %v", op, cause, err)
			}
			before := mem.Count(vfs.OpWrite) + mem.Count(vfs.OpSync)
			if _, err := l.Append(payloadOf(2, 100)); !errors.Is(err, ErrPoisoned) || !errors.Is(err, cause) {
				t.Fatalf("the append after it: %v", err)
			}
			if n := verify(t, l); n != 1 {
				t.Fatalf("%d blocks can be read", n)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if after := mem.Count(vfs.OpWrite) + mem.Count(vfs.OpSync); after != before {
				t.Fatalf("%d writes or syncs after the failed one", after-before)
			}
		}
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	mem := vfs.NewMem(1)
	mem.FailAfter(0, vfs.OpCreate, fs.ErrPermission)
	l := mustOpen(t, Options{FS: mem, Dir: dir})
	if _, err := l.Append(nil); !errors.Is(err, fs.ErrPermission) {
		t.Fatal(err)
	}
}

// change changes bytes of a file, durably.
func change(t *testing.T, fsys vfs.FS, path string, off int64, with func(b []byte), n int) {
	t.Helper()
	f, err := fsys.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	with(b)
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func flip(b []byte) { b[0] ^= 0x10 }

// build makes a log of 40 blocks of 1,000 bytes in several segments and closes it.
func build(t *testing.T) (*vfs.Mem, Options, []SegmentInfo) {
	t.Helper()
	mem := vfs.NewMem(1)
	o := Options{FS: mem, Dir: dir, SegmentBytes: 16 << 10, Sync: true}
	l := mustOpen(t, o)
	for range 40 {
		mustAppend(t, l, 1000)
	}
	segments := l.Segments()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(segments) < 3 || segments[len(segments)-1].Next-segments[len(segments)-1].First < 3 {
		t.Fatalf("segments %v", segments)
	}
	return mem, o, segments
}

// Every bit of the last segment flips in turn: either the log opens with all blocks, or it lacks the last one alone,
// or it is refused. No block ever has other bytes.
func TestBitFlipsInTheLastSegment(t *testing.T) {
	mem, o, segments := build(t)
	last := segments[len(segments)-1]
	refused, cut, harmless := 0, 0, 0
	for off := int64(0); off < last.Bytes+64; off += 3 {
		restore := flip
		change(t, mem, last.Path, off, flip, 1)
		l, err := Open(o)
		var corrupt *CorruptError
		var newer *VersionError
		switch {
		case errors.As(err, &corrupt), errors.As(err, &newer):
			refused++
		case err != nil:
			t.Fatal(err)
		default:
			n := verify(t, l)
			if n == 40 {
				harmless++
			} else if cut++; n != 39 || l.Recovery().CutBytes == 0 {
				t.Fatalf("offset %d: %d blocks, recovery %+v", off, n, l.Recovery())
			}
			if n < 40 {
				mustAppend(t, l, 1000)
				restore = nil
			} else if off >= last.Bytes || off < segmentHeaderBytes {
				restore = nil // written anew by Open
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if restore != nil {
			change(t, mem, last.Path, off, restore, 1)
		}
	}
	if refused < 500 || cut < 100 || harmless < 10 {
		t.Fatalf("refused %d, cut %d, harmless %d", refused, cut, harmless)
	}
}

func TestDamageInEarlierSegments(t *testing.T) {
	mem, o, segments := build(t)
	s := segments[1]
	corruptAt := func(l *Log, seq uint64) error {
		var corrupt *CorruptError
		_, err := l.Read(seq, nil)
		if !errors.As(err, &corrupt) || corrupt.File != s.Path {
			return errors.Join(errors.New("not noticed"), err)
		}
		if err := l.Scan(seq, func(uint64, []byte) error { return nil }); !errors.As(err, &corrupt) {
			return errors.Join(errors.New("not noticed by Scan"), err)
		}
		return nil
	}
	// A block is noticed when it is read, and others are well.
	at := int64(segmentHeaderBytes) + 2*blockSize(1000)
	for _, off := range []int64{at, at + 4, at + 8, at + 16, at + 20, at + 24, at + 1023} {
		change(t, mem, s.Path, off, flip, 1)
		l := mustOpen(t, o)
		if err := corruptAt(l, s.First+2); err != nil {
			t.Fatalf("offset %d: %v", off, err)
		}
		if _, err := l.Read(s.Next, nil); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		change(t, mem, s.Path, off, flip, 1)
	}
	// A damaged index is made again from the blocks.
	info, err := mem.Stat(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	for off := s.Bytes - 24 - 8 - 24; off < info.Size; off++ {
		change(t, mem, s.Path, off, flip, 1)
		l := mustOpen(t, o)
		if n := verify(t, l); n != 40 {
			t.Fatalf("index damaged at %d: %d blocks", off, n)
		}
		_ = l.Close()
		change(t, mem, s.Path, off, flip, 1)
	}
	for off := range int64(64) {
		change(t, mem, s.Path, off, flip, 1)
		if l, err := Open(o); err == nil {
			_ = l.Close()
			t.Fatalf("header damaged at %d: not noticed", off)
		}
		change(t, mem, s.Path, off, flip, 1)
	}
}

func TestHolesAreRefused(t *testing.T) {
	mem, o, segments := build(t)
	if err := mem.Remove(segments[1].Path); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if _, err := Open(o); !errors.As(err, &corrupt) || corrupt.File != segments[2].Path {
		t.Fatalf("a segment is missing: %v", err)
	}
	mem, o, segments = build(t)
	if err := mem.Rename(segments[2].Path, segments[1].Path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.As(err, &corrupt) || corrupt.File != segments[1].Path {
		t.Fatalf("a segment has another's name: %v", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	mem, o, segments := build(t)
	for _, s := range segments {
		change(t, mem, s.Path, 0, func(b []byte) {
			binary.LittleEndian.PutUint16(b[8:], FormatVersion+1)
			binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
		}, segmentHeaderBytes)
		var newer *VersionError
		_, err := Open(o)
		if !errors.As(err, &newer) || newer.Version != FormatVersion+1 || !strings.Contains(err.Error(), "version 2") {
			t.Fatal(err)
		}
		change(t, mem, s.Path, 0, func(b []byte) {
			binary.LittleEndian.PutUint16(b[8:], FormatVersion)
			binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
		}, segmentHeaderBytes)
	}
	mustOpen(t, o)
}

// A payload that holds bytes of a log, even with the right sequence, is no block.
func TestPayloadCannotPoseAsABlock(t *testing.T) {
	mem := vfs.NewMem(1)
	o := Options{FS: mem, Dir: dir, Sync: true}
	l := mustOpen(t, o)
	mustAppend(t, l, 100)
	forged := appendBlock(make([]byte, 0, 4096), segmentHeader{salt: 1}.seed(), kindBlock, 3, []byte("forged"))
	forged = appendBlock(forged, 0, kindBlock, 3, []byte("forged"))
	mem.FailOnce(0, vfs.OpSync, syscall.EIO)
	if _, err := l.Append(append(make([]byte, 2048), forged...)); !errors.Is(err, ErrPoisoned) {
		t.Fatal(err)
	}
	_ = l.Close()
	// The header's sector is lost, the payload is there.
	path := filepath.Join(dir, segmentName(1))
	change(t, mem, path, segmentHeaderBytes+blockSize(100), func(b []byte) { clear(b) }, blockHeaderBytes)
	l = mustOpen(t, o)
	if l.Next() != 2 {
		t.Fatalf("next is %d", l.Next())
	}
}
