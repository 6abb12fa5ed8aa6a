package conn

import (
	"syscall"
	"time"
	"unsafe"
)

// control adds a descriptor to those that are polled, or takes it out.
func control(epfd, op, fd int, e *syscall.EpollEvent) error {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(e)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// pollNow asks for events without waiting for them.
func pollNow(epfd int, events []syscall.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
		uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// rest has the thread sleep: time.Sleep is rounded up to a millisecond where the runtime has nothing else to do. The runtime
// knows of it, and lets others have the processor.
func rest(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // shorter if a signal comes
}
