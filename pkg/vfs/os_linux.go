package vfs

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
)

// Sync hides the Sync of os.File: fdatasync leaves out what nobody reads back, such as the time of the last change.
func (f *osFile) Sync() error {
	return f.control("fdatasync", func(fd uintptr) error { return syscall.Fdatasync(int(fd)) })
}

func (f *osFile) Preallocate(size int64) error {
	err := f.control("fallocate", func(fd uintptr) error { return syscall.Fallocate(int(fd), 0, 0, size) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return fmt.Errorf("vfs: preallocate %s: %w", f.Name(), errors.ErrUnsupported)
	}
	return err
}

func (osFS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (osFS) Free(dir string) (int64, error) {
	var st syscall.Statfs_t
	err := syscall.Statfs(dir, &st)
	for err == syscall.EINTR {
		err = syscall.Statfs(dir, &st)
	}
	if err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if st.Bsize <= 0 || st.Bavail > math.MaxInt64/uint64(st.Bsize) {
		return math.MaxInt64, nil
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

func isQuota(err error) bool { return errors.Is(err, syscall.EDQUOT) }
