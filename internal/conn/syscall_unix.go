//go:build unix && (!linux || race)

package conn

import "syscall"

// With the race detector they are the ones of package syscall on Linux too, which tell it that what is read from a socket
// was written to it before.

// readFD and writeFD try once, without waiting: EAGAIN says that the socket is not ready.
func readFD(fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Read(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}

func writeFD(fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Write(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}
