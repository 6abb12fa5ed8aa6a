package proc

import (
	"syscall"
	"time"
	"unsafe"
)

// cpuTime asks the kernel for a process's processor time in nanoseconds, where /proc/PID/stat counts hundredths of a
// second: the clock of a process has its complemented id and the number 2, "as the scheduler counts", for its name.
func cpuTime(pid int) (time.Duration, bool) {
	const schedulerClock = 2
	var ts syscall.Timespec
	clock := uintptr(^pid)<<3 | schedulerClock
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}
