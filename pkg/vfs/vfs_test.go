package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// each runs a test with both file systems, in a directory that exists.
func each(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, OS(), t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem(1)
		if err := m.MkdirAll("some/dir"); err != nil {
			t.Fatal(err)
		}
		test(t, m, "some/dir")
	})
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "file")
		if _, err := fsys.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("open what is not there: %v", err)
		}
		f := must[File](t)(fsys.Create(name))
		if _, err := fsys.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("create what is there: %v", err)
		}
		must[int](t)(f.WriteAt([]byte("world"), 4095))
		must[int](t)(f.WriteAt([]byte("hello"), 0))
		if size := must[int64](t)(f.Size()); size != 4100 {
			t.Fatalf("size %d", size)
		}
		buf := make([]byte, 10)
		if n, err := f.ReadAt(buf, 4093); n != 7 || err != io.EOF || string(buf[:n]) != "\x00\x00world" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		if n, err := f.ReadAt(buf, 5000); n != 0 || err != io.EOF {
			t.Fatalf("read behind the end: %d, %v", n, err)
		}
		ok(t, f.Sync())
		ok(t, f.Truncate(4097))
		ok(t, f.Truncate(4099))
		if n, _ := f.ReadAt(buf, 4095); string(buf[:n]) != "wo\x00\x00" {
			t.Fatalf("after truncating and growing: %q", buf[:n])
		}
		ok(t, f.Close())
		if _, err := f.ReadAt(buf, 0); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("read from a closed file: %v", err)
		}
		if err := f.Sync(); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("sync of a closed file: %v", err)
		}
		again := must[File](t)(fsys.Open(name))
		if n, err := again.ReadAt(buf[:5], 0); n != 5 || err != nil || string(buf[:5]) != "hello" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		ok(t, again.Close())
	})
}

func TestPreallocatedBytesAreZeros(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		f := must[File](t)(fsys.Create(filepath.Join(dir, "file")))
		defer f.Close()
		must[int](t)(f.WriteAt([]byte("x"), 0))
		err := f.Preallocate(1 << 20)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		ok(t, err)
		buf := make([]byte, 1<<20)
		must[int](t)(io.ReadFull(io.NewSectionReader(f, 0, 1<<20), buf))
		if buf[0] != 'x' || !bytes.Equal(buf[1:], make([]byte, 1<<20-1)) {
			t.Fatal("preallocated bytes are not zeros")
		}
		ok(t, f.Preallocate(10))
		if size := must[int64](t)(f.Size()); size != 1<<20 {
			t.Fatalf("preallocating less made the file %d bytes long", size)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		sub := filepath.Join(dir, "a", "b")
		ok(t, fsys.MkdirAll(sub))
		ok(t, fsys.MkdirAll(sub))
		for _, name := range []string{"two", "one"} {
			ok(t, WriteFile(fsys, filepath.Join(sub, name), []byte(name)))
		}
		if err := fsys.MkdirAll(filepath.Join(sub, "one")); !errors.Is(err, syscall.ENOTDIR) {
			t.Fatalf("a directory in place of a file: %v", err)
		}
		if names := must[[]string](t)(fsys.List(sub)); !slices.Equal(names, []string{"one", "two"}) {
			t.Fatal(names)
		}
		if names := must[[]string](t)(fsys.List(filepath.Dir(sub))); !slices.Equal(names, []string{"b"}) {
			t.Fatal(names)
		}
		open := must[File](t)(fsys.Open(filepath.Join(sub, "two")))
		defer open.Close()
		ok(t, fsys.Rename(filepath.Join(sub, "one"), filepath.Join(sub, "two")))
		if data := must[[]byte](t)(ReadFile(fsys, filepath.Join(sub, "two"))); string(data) != "one" {
			t.Fatalf("renamed: %q", data)
		}
		buf := make([]byte, 3)
		if _, err := open.ReadAt(buf, 0); err != nil || string(buf) != "two" {
			t.Fatalf("the open file: %q, %v", buf, err)
		}
		ok(t, fsys.Remove(filepath.Join(sub, "two")))
		ok(t, fsys.SyncDir(sub))
		missing := filepath.Join(sub, "two")
		_, statErr := fsys.Stat(missing)
		_, listErr := fsys.List(filepath.Join(dir, "nowhere"))
		_, createErr := fsys.Create(filepath.Join(dir, "nowhere", "x"))
		for _, err := range []error{statErr, listErr, createErr, fsys.Remove(missing), fsys.Rename(missing, missing+"2")} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("what is not there: %v", err)
			}
		}
		if info := must[Info](t)(fsys.Stat(sub)); !info.Dir {
			t.Fatalf("a directory: %+v", info)
		}
		if free := must[int64](t)(fsys.Free(sub)); free <= 0 {
			t.Fatalf("%d bytes free", free)
		}
	})
}

func TestLockIsExclusive(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "lock")
		held := must[io.Closer](t)(fsys.Lock(name))
		if _, err := fsys.Lock(name); !errors.Is(err, ErrLocked) {
			t.Fatalf("a second lock: %v", err)
		}
		ok(t, held.Close())
		ok(t, must[io.Closer](t)(fsys.Lock(name)).Close())
	})
}

// The child process of the next test tries to take the lock that this one holds.
func TestLockHoldsAgainstAnotherProcess(t *testing.T) {
	const variable = "VFS_TEST_LOCK"
	if name := os.Getenv(variable); name != "" {
		_, err := OS().Lock(name)
		fmt.Println("locked:", errors.Is(err, ErrLocked))
		return
	}
	name := filepath.Join(t.TempDir(), "lock")
	try := func() bool {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLockHoldsAgainstAnotherProcess$")
		cmd.Env = append(os.Environ(), variable+"="+name)
		out := must[[]byte](t)(cmd.CombinedOutput())
		return bytes.Contains(out, []byte("locked: true"))
	}
	held := must[io.Closer](t)(OS().Lock(name))
	if !try() {
		t.Fatal("another process took the lock too")
	}
	ok(t, held.Close())
	if try() {
		t.Fatal("the lock was not released")
	}
}
