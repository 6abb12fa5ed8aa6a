//go:build unix && (!linux || race || 386)

package conn

import "syscall"

// With the race detector, and where sockets have no system calls of their own, they are the ones of package syscall on
// Linux too; those tell the detector that what is read from a socket was written to it before.

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
