//go:build !unix

package conn

import "syscall"

// Without Unix sockets there is no raw reading: Serve gets no RawConn there.
func readFD(uintptr, []byte) (int, error)  { return 0, syscall.EINVAL }
func writeFD(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }
func isReadable(uintptr) bool              { return true }
