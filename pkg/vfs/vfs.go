// Package vfs is the small part of a file system that a log needs, behind an interface: OS is the real one, Mem is one
// that forgets what was not synced, tears writes and fails on demand, so that tests can cut the power anywhere.
//
// The rules that both keep, and that Mem enforces:
//
//   - What was written is durable only after File.Sync returned nil.
//   - A file that was created, renamed or removed is so durably only after SyncDir of its directory returned nil. Syncing
//     the file is not enough.
//   - After a failed Sync nothing is known of the data written since the last good one, and a later Sync that returns nil
//     says nothing about it: the kernel may have dropped the pages and marked them clean.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
)

// ErrLocked says that another process, or another user of this one, holds the lock.
var ErrLocked = errors.New("vfs: locked by another process")

// FS is a file system. Names are paths as path/filepath builds them. Errors wrap fs.ErrNotExist, fs.ErrExist and the
// error numbers of package syscall where they apply. All methods are safe for concurrent use.
type FS interface {
	// Create makes a new file for reading and writing. One that exists is fs.ErrExist, and left alone.
	Create(name string) (File, error)
	// Open opens a file that exists, for reading and writing.
	Open(name string) (File, error)
	// Stat describes a file or directory.
	Stat(name string) (Info, error)
	// List returns the names of what is in a directory, sorted, without the directory's own name.
	List(dir string) ([]string, error)
	// Rename gives a file another name and replaces what has that name, at once or not at all.
	Rename(from, to string) error
	// Remove removes a file. One that is open stays readable until it is closed.
	Remove(name string) error
	// MkdirAll makes a directory and the parents that are missing, and makes them durable.
	MkdirAll(dir string) error
	// SyncDir makes durable which names a directory has.
	SyncDir(dir string) error
	// Lock takes the exclusive lock that the file of that name stands for, and makes the file if it is missing. It does
	// not wait: ErrLocked says that it is taken. Closing what it returns, or the end of the process, releases it.
	Lock(name string) (io.Closer, error)
	// Free returns how many bytes can still be written to the file system that holds the directory.
	Free(dir string) (int64, error)
}

// File is an open file. ReadAt and WriteAt may run at the same time on different ranges.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes durable what was written, and the file's size.
	Sync() error
	// Preallocate takes the space of the first size bytes, so that writing them cannot run out of it, and makes the file
	// at least that long; bytes never written read as zero. ENOSPC (see IsNoSpace) says that the space is not there. A
	// file system that cannot do it returns errors.ErrUnsupported and changes nothing.
	Preallocate(size int64) error
	// Truncate sets the file's size.
	Truncate(size int64) error
	// Size returns the file's size.
	Size() (int64, error)
}

// Info is what Stat tells.
type Info struct {
	Size int64
	Dir  bool
}

// IsNoSpace reports whether an error says that the disk, or the user's share of it, is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || isQuota(err)
}

// ReadFile returns the whole of a file.
func ReadFile(fsys FS, name string) ([]byte, error) { return ReadFileInto(nil, fsys, name) }

// ReadFileInto returns it in dst's memory, if that suffices.
func ReadFileInto(dst []byte, fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data := slices.Grow(dst[:0], int(size))[:size]
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, size), data); err != nil {
		return nil, fmt.Errorf("vfs: read %s: %w", name, err)
	}
	return data, nil
}

// WriteFile replaces a small file's content, durably: after a crash at any moment the file is the old or the new one,
// and the new one once WriteFile returned nil. It uses name + ".new" on the way.
func WriteFile(fsys FS, name string, data []byte) error {
	temporary := name + ".new"
	if err := fsys.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeNew(fsys, temporary, data); err != nil {
		return err
	}
	if err := fsys.Rename(temporary, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

func writeNew(fsys FS, name string, data []byte) (err error) {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	return f.Sync()
}
