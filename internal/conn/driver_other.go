//go:build !unix

package conn

import "syscall"

// rawIO says that sockets can be read and written without waiting.
const rawIO = false

// Without that nobody calls these.
func readFD(uintptr, []byte) (int, error)  { return 0, syscall.EINVAL }
func writeFD(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }
func isReadable(uintptr) bool              { return true }
