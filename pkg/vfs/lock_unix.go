//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package vfs

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockFile takes an flock, which belongs to the open file and therefore ends with the process, however it ends.
func lockFile(name string) (io.Closer, error) {
	f, err := openOS(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	err = f.(*osFile).control("flock", func(fd uintptr) error {
		return syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
