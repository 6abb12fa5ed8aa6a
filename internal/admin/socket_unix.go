//go:build unix

package admin

import (
	"fmt"
	"os"
	"syscall"
)

// private has the socket made with its mode, where the system lets it be said before there is a file (Linux does), so
// that there is no moment in which others may connect.
func private(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
}

// checkOwner keeps root from leaving files in a directory that its owner, the broker's user, could not open.
func checkOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 && stat.Uid != 0 {
		return fmt.Errorf("it belongs to user %d, who could not use it after root did; run this as that user", stat.Uid)
	}
	return nil
}
