//go:build unix

package broker

import "syscall"

// descriptorLimit is how many descriptors the process may have; 0: no limit is known.
func descriptorLimit() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return uint64(r.Cur) // its type differs between systems
}
