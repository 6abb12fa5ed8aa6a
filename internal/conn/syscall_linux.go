//go:build linux && !race && !386

package conn

import (
	"syscall"
	"unsafe"
)

// These calls do not wait, so they are made without telling the runtime: that would cost them a tenth, and on a busy
// machine the runtime would take the processor away from the loop in the midst of a call and give it to another thread.
// They are a socket's own, since read and write come to those through the layer of files.

// readFD and writeFD try once, without waiting: EAGAIN says that the socket is not ready.
func readFD(fd uintptr, p []byte) (int, error) {
	return transfer(syscall.SYS_RECVFROM, fd, p, syscall.MSG_DONTWAIT)
}

func writeFD(fd uintptr, p []byte) (int, error) {
	return transfer(syscall.SYS_SENDTO, fd, p, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

func transfer(call, fd uintptr, p []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
