//go:build !unix

package listener

import (
	"errors"
	"syscall"
)

// readAttempt cannot read without waiting on this system.
type readAttempt struct{}

func (*readAttempt) do(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }

const canReadNow = false

func waitReadable(syscall.RawConn) error { return errors.ErrUnsupported }

func writeNow(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }
