//go:build unix

package password

import (
	"os"
	"syscall"
)

// keepOwner gives f the owner of the file that it is to replace, as far as that is allowed: root that edits a broker's
// file must not lock the broker out.
func keepOwner(f *os.File, name string) {
	info, err := os.Stat(name)
	if err != nil {
		return
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(s.Uid), int(s.Gid)) // who may not, owns what they write, as with any editor
	}
}
