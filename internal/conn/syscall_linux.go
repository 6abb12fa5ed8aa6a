//go:build linux && !race

package conn

import (
	"syscall"
	"unsafe"
)

// These calls do not wait, so they are made without telling the runtime: that would cost them a tenth, and on a busy
// machine the runtime would take the processor away from the loop in the midst of a call and give it to another thread.

// readFD and writeFD try once, without waiting: EAGAIN says that the socket is not ready.
func readFD(fd uintptr, p []byte) (int, error) { return transfer(syscall.SYS_READ, fd, p) }

func writeFD(fd uintptr, p []byte) (int, error) { return transfer(syscall.SYS_WRITE, fd, p) }

func transfer(call, fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
