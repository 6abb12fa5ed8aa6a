//go:build !linux

package vfs

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
)

func (f *osFile) Preallocate(int64) error {
	return fmt.Errorf("vfs: preallocate %s: %w", f.Name(), errors.ErrUnsupported)
}

func (osFS) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // there is no such call; the file system journals names itself
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Free knows no limit here: a full disk shows as an error of the write.
func (osFS) Free(string) (int64, error) { return math.MaxInt64, nil }

func isQuota(error) bool { return false }
