package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/barid-mqtt/barid/internal/storage/badger"
	"github.com/barid-mqtt/barid/pkg/vfs"
)

const (
	// unfinished ends the name of a directory while it is being restored.
	unfinished = ".restore"
	lockName   = "LOCK"
	// lostFound is at the root of some file systems, which are empty nevertheless.
	lostFound = "lost+found"
)

// Restore makes a data directory of a backup. The directory must be missing or empty. One that is missing is made under
// another name, and gets its own when it is whole. One that exists is filled as it is, since it may be the root of a file
// system, or have an owner and a mode for a reason: until it is whole, no broker opens it.
func Restore(ctx context.Context, dir string, r io.Reader, log *slog.Logger) error {
	dir = filepath.Clean(dir)
	err := restore(dir, &contextReader{ctx, r}, log)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, badger.ErrSnapshot) {
		return fmt.Errorf("this is not a backup, or not all of one: %w", err)
	}
	if err != nil {
		return fmt.Errorf("the data directory %s: %w", dir, err)
	}
	return nil
}

func restore(dir string, r io.Reader, log *slog.Logger) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return restoreMissing(dir, r, log)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == lockName }) && inUse(dir) {
		return ErrRunning
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !belongs(e.Name()) }) {
		return ErrNotEmpty
	}
	return restoreEmpty(dir, r, log)
}

// belongs reports whether an empty directory may have an entry of that name.
func belongs(name string) bool { return name == lockName || name == lostFound }

// inUse reports whether somebody holds the lock of a directory that has one.
func inUse(dir string) bool {
	lock, err := vfs.OS().Lock(filepath.Join(dir, lockName))
	if err != nil {
		return errors.Is(err, vfs.ErrLocked)
	}
	_ = lock.Close() // nothing was written
	return false
}

func restoreMissing(dir string, r io.Reader, log *slog.Logger) (err error) {
	fsys := vfs.OS()
	parent := filepath.Dir(dir)
	if err := fsys.MkdirAll(parent); err != nil {
		return err
	}
	made := dir + unfinished
	if err := os.Mkdir(made, 0o700); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there, of another restore that is under way or did not end; remove it in the latter case", made)
	} else if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(made))
		}
	}()
	if err := badger.Restore(badger.Options{Dir: made, Logger: log}, r); err != nil {
		return err
	}
	if err := os.Rename(made, dir); err != nil { // not over a directory: a broker may have made one
		return err
	}
	return fsys.SyncDir(parent)
}

func restoreEmpty(dir string, r io.Reader, log *slog.Logger) error {
	if err := checkOwner(dir); err != nil {
		return err
	}
	err := badger.Restore(badger.Options{Dir: dir, Logger: log}, r)
	if errors.Is(err, badger.ErrInUse) {
		return ErrRunning
	}
	if err != nil {
		return errors.Join(err, empty(dir))
	}
	return nil
}

// empty removes what a restore left in a directory that was empty before. It holds the lock, and touches nothing once
// the directory is a data directory, so that it never takes what a broker has made.
func empty(dir string) (err error) {
	lock, err := vfs.OS().Lock(filepath.Join(dir, lockName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if found, err := badger.IsDirectory(dir); found || err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !belongs(e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// contextReader reads until its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
