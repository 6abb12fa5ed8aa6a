package vfs

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

func memFileWith(t testing.TB, m *Mem, name string, data []byte) File {
	t.Helper()
	f := must[File](t)(m.Create(name))
	must[int](t)(f.WriteAt(data, 0))
	ok(t, f.Sync())
	ok(t, m.SyncDir(filepath.Dir(name)))
	return f
}

func TestCrashKeepsWhatWasSyncedAndTearsTheRest(t *testing.T) {
	const sectors = 16
	kept, lost, torn := 0, 0, 0
	for seed := range uint64(50) {
		m := NewMem(seed)
		f := memFileWith(t, m, "file", bytes.Repeat([]byte("a"), sectors*sectorBytes))
		must[int](t)(f.WriteAt(bytes.Repeat([]byte("b"), 4*sectorBytes), 4*sectorBytes))
		m.Crash(seed)
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("a file from before the crash: %v", err)
		}
		data := must[[]byte](t)(ReadFile(m, "file"))
		if len(data) != sectors*sectorBytes {
			t.Fatalf("%d bytes are left", len(data))
		}
		written := 0
		for i := range sectors {
			s := data[i*sectorBytes:][:sectorBytes]
			if s[0] == 'b' {
				written++
			}
			if !bytes.Equal(s, bytes.Repeat(s[:1], sectorBytes)) || s[0] == 'b' && (i < 4 || i >= 8) || s[0] != 'a' && s[0] != 'b' {
				t.Fatalf("seed %d: sector %d is %q…", seed, i, s[:8])
			}
		}
		switch written {
		case 0:
			lost++
		case 4:
			kept++
		default:
			torn++
		}
	}
	if kept == 0 || lost == 0 || torn == 0 {
		t.Fatalf("kept %d, lost %d, torn %d: one kind of crash never happens", kept, lost, torn)
	}
}

// Against a naive model: after a crash every byte is what some write since the last good sync, or that sync, left there.
func TestCrashProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMem(rapid.Uint64().Draw(t, "seed"))
		f, err := m.Create("f")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		const size = 6000
		var current [size]byte
		possible := [size]map[byte]bool{}
		synced := func() {
			for i := range possible {
				possible[i] = map[byte]bool{current[i]: true}
			}
		}
		synced()
		length, shortest := 0, 0
		for range rapid.IntRange(1, 20).Draw(t, "operations") {
			if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
				if err := f.Sync(); err != nil {
					t.Fatal(err)
				}
				synced()
				shortest = length
				continue
			}
			off := rapid.IntRange(0, size-1).Draw(t, "offset")
			p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.IntRange(1, size-off).Draw(t, "length"))
			if _, err := f.WriteAt(p, int64(off)); err != nil {
				t.Fatal(err)
			}
			copy(current[off:], p)
			length = max(length, off+len(p))
			for i := off; i < off+len(p); i++ {
				possible[i][p[0]] = true
			}
		}
		if data, err := ReadFile(m, "f"); err != nil || !bytes.Equal(data, current[:length]) {
			t.Fatalf("before the crash the content is wrong (%v)", err)
		}
		m.Crash(rapid.Uint64().Draw(t, "crash"))
		data, err := ReadFile(m, "f")
		if err != nil || len(data) < shortest || len(data) > length {
			t.Fatalf("%d bytes, between %d and %d are right: %v", len(data), shortest, length, err)
		}
		for i, b := range data {
			if !possible[i][b] {
				t.Fatalf("byte %d is %d, possible are %v", i, b, possible[i])
			}
		}
	})
}

func TestCrashForgetsNamesThatWereNotSynced(t *testing.T) {
	there := map[string]int{}
	for seed := range uint64(40) {
		m := NewMem(seed)
		ok(t, memFileWith(t, m, "old", nil).Close())
		ok(t, memFileWith(t, m, "stays", nil).Close())
		f := must[File](t)(m.Create("new"))
		ok(t, f.Sync())
		ok(t, m.Rename("old", "renamed"))
		m.Crash(seed)
		_, oldErr := m.Stat("old")
		_, renamedErr := m.Stat("renamed")
		if (oldErr == nil) == (renamedErr == nil) {
			t.Fatalf("seed %d: a rename was done by halves: %v, %v", seed, oldErr, renamedErr)
		}
		for _, name := range must[[]string](t)(m.List(".")) {
			there[name]++
		}
	}
	if there["stays"] != 40 || there["new"] == 0 || there["new"] == 40 || there["old"] == 0 || there["renamed"] == 0 {
		t.Fatal(there)
	}
}

func TestSyncAfterAFailedSyncSavesNothing(t *testing.T) {
	lost, kept := 0, 0
	for seed := range uint64(60) {
		m := NewMem(seed)
		f := memFileWith(t, m, "file", []byte("old"))
		must[int](t)(f.WriteAt([]byte("new"), 0))
		m.FailOnce(0, OpSync, syscall.EIO)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		ok(t, f.Sync())
		m.Crash(seed)
		switch data := must[[]byte](t)(ReadFile(m, "file")); string(data) {
		case "old":
			lost++
		case "new":
			kept++
		default:
			t.Fatalf("%q", data)
		}
		// Written again it is durable again.
		f = must[File](t)(m.Open("file"))
		must[int](t)(f.WriteAt([]byte("new"), 0))
		ok(t, f.Sync())
		m.Crash(seed)
		if data := must[[]byte](t)(ReadFile(m, "file")); string(data) != "new" {
			t.Fatalf("%q", data)
		}
	}
	if lost == 0 || kept == 0 {
		t.Fatalf("lost %d, kept %d", lost, kept)
	}
}

func TestKillKeepsWhatWasWritten(t *testing.T) {
	m := NewMem(1)
	f := must[File](t)(m.Create("file"))
	must[int](t)(f.WriteAt([]byte("data"), 0))
	_, err := m.Lock("lock")
	ok(t, err)
	m.Kill()
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}
	if data := must[[]byte](t)(ReadFile(m, "file")); string(data) != "data" {
		t.Fatalf("%q", data)
	}
	_, err = m.Lock("lock")
	ok(t, err)
}

func TestWriteFileIsAllOrNothing(t *testing.T) {
	for at := 0; ; at++ {
		m := NewMem(uint64(at))
		ok(t, WriteFile(m, "file", []byte("old")))
		m.FailAfter(at, OpAny, syscall.EIO)
		err := WriteFile(m, "file", []byte("new and longer"))
		m.Crash(uint64(at))
		data := must[[]byte](t)(ReadFile(m, "file"))
		if string(data) != "new and longer" && (err == nil || string(data) != "old") {
			t.Fatalf("power cut at operation %d (%v): %q", at, err, data)
		}
		ok(t, WriteFile(m, "file", []byte("third"))) // what is left of the temporary file is no obstacle
		if err == nil {
			return
		}
	}
}

func TestCapacity(t *testing.T) {
	m := NewMem(1)
	m.SetCapacity(10 * chunkBytes)
	f := must[File](t)(m.Create("file"))
	ok(t, f.Preallocate(4*chunkBytes))
	must[int](t)(f.WriteAt(make([]byte, 4*chunkBytes), 0))
	if free := must[int64](t)(m.Free(".")); free != 6*chunkBytes {
		t.Fatalf("%d chunks free, want 6: writing to what is preallocated takes nothing", free/chunkBytes)
	}
	if err := f.Preallocate(11 * chunkBytes); !IsNoSpace(err) {
		t.Fatal(err)
	}
	n, err := f.WriteAt(make([]byte, 8*chunkBytes), 4*chunkBytes)
	if !IsNoSpace(err) || n > 6*chunkBytes {
		t.Fatalf("%d bytes written, %v", n, err)
	}
	ok(t, f.Truncate(chunkBytes))
	ok(t, f.Sync())
	if free := must[int64](t)(m.Free(".")); free != 9*chunkBytes {
		t.Fatalf("%d chunks free after truncating", free/chunkBytes)
	}
	ok(t, m.Remove("file"))
	if free := must[int64](t)(m.Free(".")); free != 10*chunkBytes {
		t.Fatalf("%d chunks free after removing", free/chunkBytes)
	}
}

func TestFaultsAndCounts(t *testing.T) {
	m := NewMem(1)
	f := must[File](t)(m.Create("file"))
	m.FailAfter(2, OpWrite, syscall.EIO)
	m.FailOnce(1, OpRead, syscall.ENXIO)
	var writes, reads []bool
	for range 4 {
		_, err := f.WriteAt([]byte("x"), 0)
		writes = append(writes, errors.Is(err, syscall.EIO))
		_, err = f.ReadAt(nil, 0)
		reads = append(reads, errors.Is(err, syscall.ENXIO))
	}
	for i := range 4 {
		if writes[i] != (i >= 2) || reads[i] != (i == 1) {
			t.Fatalf("writes failed %v, reads %v", writes, reads)
		}
	}
	m.Heal()
	must[int](t)(f.WriteAt([]byte("x"), 0))
	if w, r, all := m.Count(OpWrite), m.Count(OpRead), m.Count(OpAny); w != 5 || r != 4 || all != 10 {
		t.Fatalf("%d writes, %d reads, %d in all", w, r, all)
	}
	if OpSyncDir.String() != "syncdir" || OpTruncate.String() != "truncate" || Op(200).String() != "Op(200)" {
		t.Fatal("names of operations are wrong")
	}
}
