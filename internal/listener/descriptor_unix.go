//go:build unix

package listener

import (
	"net"
	"syscall"
)

// Descriptor is the number of a connection's descriptor. The system gives the lowest that is free, so all below it are
// taken. 0: it has none.
func Descriptor(c net.Conn) uint64 {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	return descriptorOf(raw)
}

func descriptorOf(raw syscall.RawConn) (n uint64) {
	_ = raw.Control(func(fd uintptr) { n = uint64(fd) }) // fails on what is closed
	return n
}

func (a *Accepted) descriptor() uint64 {
	if a.socket.raw == nil {
		return 0
	}
	return descriptorOf(a.socket.raw)
}
