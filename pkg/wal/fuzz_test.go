package wal

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

// Whatever a block header is decoded from is what encoding it gives.
func FuzzDecodeBlockHeader(f *testing.F) {
	f.Add(appendBlock(nil, 7, kindBlock, 12, []byte("payload")), uint32(7))
	f.Add(appendBlock(nil, 0, kindIndex, 1, nil), uint32(0))
	f.Add(make([]byte, 64), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, seed uint32) {
		h, ok := decodeBlockHeader(b, seed)
		if !ok || int64(len(b)) < h.size() {
			return
		}
		payload := b[blockHeaderBytes:][:h.length]
		if checksum(payload) != h.sum || !bytes.Equal(b[21:24], make([]byte, 3)) {
			return
		}
		again := appendBlock(nil, seed, h.kind, h.seq, payload)
		if !bytes.Equal(again[:blockHeaderBytes+len(payload)], b[:blockHeaderBytes+len(payload)]) {
			t.Fatalf("%x was decoded, %x encoded", b, again)
		}
	})
}

func FuzzDecodeIndex(f *testing.F) {
	entries := []entry{{0, 8}, {3, 2100}}
	f.Add(encodeIndex(1, 5, 10, entries, 20_000)[blockHeaderBytes:], uint64(5), int64(20_000))
	f.Fuzz(func(t *testing.T, b []byte, count uint64, end int64) {
		entries, ok := decodeIndex(b, count, end)
		if !ok {
			return
		}
		if again := encodeIndex(0, 0, count, entries, end)[blockHeaderBytes:]; !bytes.Equal(again, b) {
			t.Fatalf("%x was decoded, %x encoded", b, again)
		}
	})
}

// A segment of any bytes opens or is refused, and what opens can be read and appended to. The input replaces what is
// behind a valid header, where blocks sealed with the right salt may stand.
func FuzzOpenSegment(f *testing.F) {
	header := segmentHeader{first: 1, salt: 42}
	seed := header.seed()
	blocks := appendBlock(nil, seed, kindBlock, 1, []byte("one"))
	blocks = appendBlock(blocks, seed, kindBlock, 2, bytes.Repeat([]byte("two"), 100))
	f.Add(blocks, true)
	f.Add(blocks[:len(blocks)-9], false)
	f.Add(append(blocks, encodeIndex(seed, 1, 3, []entry{{0, 8}, {1, 12}}, int64(segmentHeaderBytes+len(blocks)))...), true)
	f.Add(append(blocks[:32:32], encodeIndex(seed, 1, 2, []entry{{0, 8}}, 96)...), true)
	f.Fuzz(func(t *testing.T, behind []byte, last bool) {
		mem := vfs.NewMem(1)
		put(t, mem, 1, append(header.encode(), behind...))
		if !last {
			put(t, mem, 3, segmentHeader{first: 3, salt: 1}.encode())
		}
		l, err := Open(Options{FS: mem, Dir: dir, Sync: true})
		var corrupt *CorruptError
		if errors.As(err, &corrupt) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		n := l.Next()
		err = l.Scan(1, func(seq uint64, _ []byte) error { _, err := l.Read(seq, nil); return err })
		if err != nil && !errors.As(err, &corrupt) {
			t.Fatal(err)
		}
		if seq, err := l.Append([]byte("more")); seq != n || err != nil {
			t.Fatal(seq, err)
		}
		if p, err := l.Read(n, nil); string(p) != "more" || err != nil {
			t.Fatal(p, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func put(t *testing.T, mem *vfs.Mem, first uint64, content []byte) {
	t.Helper()
	if err := mem.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(mem, filepath.Join(dir, segmentName(first)), content); err != nil {
		t.Fatal(err)
	}
}
