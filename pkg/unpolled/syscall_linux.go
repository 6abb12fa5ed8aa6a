//go:build linux && !race && !386

package unpolled

import (
	"net"
	"syscall"
	"unsafe"
)

// These calls do not wait, so they are made without telling the runtime. It would wake up its monitor for them, which
// then looks after threads for a while: a sixth of what it costs to accept a connection and close it.

// acceptNow accepts a connection if one is there: EAGAIN says that none is.
func acceptNow(fd int) (conn int, remote net.Addr, err error) {
	var sa syscall.RawSockaddrAny
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)),
		syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, nil, errno
	}
	return int(n), addressOf(&sa), nil
}

// addressOf reads an address as the kernel writes it.
func addressOf(sa *syscall.RawSockaddrAny) net.Addr {
	switch sa.Addr.Family {
	case syscall.AF_INET:
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa))
		return address(&syscall.SockaddrInet4{Port: port(&in.Port), Addr: in.Addr})
	case syscall.AF_INET6:
		in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(sa))
		return address(&syscall.SockaddrInet6{Port: port(&in.Port), ZoneId: in.Scope_id, Addr: in.Addr})
	case syscall.AF_UNIX:
		un := (*syscall.RawSockaddrUnix)(unsafe.Pointer(sa))
		return address(&syscall.SockaddrUnix{Name: unixName(un)})
	}
	return nil
}

// port reads a port, which is in the network's order.
func port(p *uint16) int {
	b := (*[2]byte)(unsafe.Pointer(p))
	return int(b[0])<<8 | int(b[1])
}

// unixName is the path of a socket as package net shows it: with '@' where the kernel has a zero in front.
func unixName(un *syscall.RawSockaddrUnix) string {
	name := []byte{byte(un.Path[0])}
	if name[0] == 0 {
		name[0] = '@'
	}
	for _, c := range un.Path[1:] {
		if c == 0 {
			break
		}
		name = append(name, byte(c))
	}
	return string(name)
}

// closeNow closes a socket, which does not wait as long as nobody asked it to linger.
func closeNow(fd int) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}
