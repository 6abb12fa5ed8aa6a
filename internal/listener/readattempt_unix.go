//go:build unix

package listener

import (
	"fmt"
	"io"
	"syscall"
)

// readAttempt reads a socket once, without waiting. Its function is made once, so that a read allocates nothing.
type readAttempt struct {
	try func(fd uintptr) bool
	p   []byte
	n   int
	err error
}

func (a *readAttempt) do(raw syscall.RawConn, p []byte) (int, error) {
	if a.try == nil {
		a.try = func(fd uintptr) bool {
			for {
				if a.n, a.err = syscall.Read(int(fd), a.p); a.err != syscall.EINTR {
					return true
				}
			}
		}
	}
	a.p = p
	err := raw.Read(a.try)
	a.p = nil
	switch {
	case err != nil:
		return 0, err
	case a.err == syscall.EAGAIN:
		return 0, ErrWouldBlock
	case a.err != nil:
		return 0, fmt.Errorf("listener: reading socket: %w", a.err)
	case a.n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return a.n, nil
}

const canReadNow = true

// waitReadable waits until a read would not wait. It has to look at the socket itself: the runtime reports only what
// changes after it has been asked.
func waitReadable(raw syscall.RawConn) error {
	var b [1]byte
	err := raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	if err != nil {
		return fmt.Errorf("listener: waiting for socket: %w", err)
	}
	return nil
}

// writeNow writes to a socket once, without waiting.
func writeNow(raw syscall.RawConn, p []byte) (n int, err error) {
	var writeErr error
	err = raw.Write(func(fd uintptr) bool {
		for {
			if n, writeErr = syscall.Write(int(fd), p); writeErr != syscall.EINTR {
				return true
			}
		}
	})
	if err == nil && writeErr != nil && writeErr != syscall.EAGAIN {
		err = fmt.Errorf("listener: writing socket: %w", writeErr)
	}
	return max(n, 0), err
}
