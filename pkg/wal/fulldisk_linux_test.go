package wal

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

// smallDisk mounts a real file system of 8 MiB, which takes root.
func smallDisk(t *testing.T) string {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// Somebody fills the disk, the log itself fills it, and each time appends are refused before anything is written and go
// on when there is room.
func TestFullRealDisk(t *testing.T) {
	disk := smallDisk(t)
	o := Options{FS: vfs.OS(), Dir: filepath.Join(disk, "log"), SegmentBytes: 1 << 20, Sync: true, ReserveBytes: 256 << 10}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, 1000)
	other := filepath.Join(disk, "other")
	if err := os.WriteFile(other, make([]byte, 7<<20-128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	fill := func() (appended int) {
		for {
			if _, err := l.Append(payloadOf(l.Next(), 50_000)); err == nil {
				appended++
			} else if errors.Is(err, ErrNoSpace) && l.Err() == nil {
				return appended
			} else {
				t.Fatal(err)
			}
		}
	}
	if n := fill(); n != 0 {
		t.Fatalf("%d blocks were appended below the reserve", n)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if n := fill(); n < 100 {
		t.Fatalf("%d blocks of 50 kB fit on 8 MiB", n)
	}
	if free, err := o.FS.Free(disk); err != nil || free < o.ReserveBytes {
		t.Fatalf("%d bytes are free, %v", free, err)
	}
	verify(t, l)
	if err := l.Close(); err != nil { // and a full disk is no obstacle to a start
		t.Fatal(err)
	}
	if l, err = Open(o); err != nil {
		t.Fatal(err)
	}
	if err := l.TruncateBefore(l.Next()); err != nil {
		t.Fatal(err)
	}
	if n := fill(); n < 80 {
		t.Fatalf("%d blocks after trimming", n)
	}
	verify(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
