//go:build unix

package conn

import "syscall"

// rawIO says that sockets can be read and written without waiting.
const rawIO = true

// isReadable reports whether a socket has something to read, an end or an error included.
func isReadable(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err != syscall.EAGAIN && err != syscall.EINTR
}
