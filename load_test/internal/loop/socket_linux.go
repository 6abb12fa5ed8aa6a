package loop

import (
	"net/netip"
	"syscall"
)

// ipBindAddressNoPort has the kernel choose the port when it connects, so that each peer has all ports of an address.
const ipBindAddressNoPort = 24

// sockaddr turns an address into the kernel's form.
func sockaddr(a netip.AddrPort) (family int, sa syscall.Sockaddr) {
	if a.Addr().Is4() {
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// bindSource binds a socket to a local address.
func bindSource(fd int, a netip.Addr) error {
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1) // without it there are fewer ports
	_, local := sockaddr(netip.AddrPortFrom(a, 0))
	return syscall.Bind(fd, local)
}
