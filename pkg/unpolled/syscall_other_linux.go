//go:build linux && (race || 386)

package unpolled

import (
	"net"
	"syscall"
)

// With the race detector they are the ones of package syscall, as it looks at those.

// acceptNow accepts a connection if one is there: EAGAIN says that none is.
func acceptNow(fd int) (conn int, remote net.Addr, err error) {
	conn, sa, err := syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	return conn, address(sa), err
}

func closeNow(fd int) error { return syscall.Close(fd) }
