package unpolled

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// listener accepts without the runtime's poller, but waits for clients in it.
type listener struct {
	// Static after construction.
	addr net.Addr
	file *os.File // the socket, since one of package net cannot be waited for
	raw  syscall.RawConn
	rest net.Listener // to be closed with it; nil: none

	closed atomic.Bool

	mu   sync.Mutex // guards what follows: what the last try returned
	try  func(fd uintptr) bool
	fd   int
	from net.Addr
	err  error
}

// Listener returns a listener whose connections are unpolled. It owns ln. If ln is not a socket, or is one that is closed,
// it returns ln.
func Listener(ln net.Listener) net.Listener {
	filer, ok := ln.(interface{ File() (*os.File, error) })
	if !ok {
		return ln
	}
	f, err := filer.File()
	if err != nil {
		return ln
	}
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return ln
	}
	l := &listener{addr: ln.Addr(), file: f, raw: raw}
	if tcp, ok := ln.(*net.TCPListener); ok {
		_ = tcp.Close() // the file keeps the socket open, and the poller need not have it twice
	} else {
		l.rest = ln // which removes its file when it is closed
	}
	l.try = func(fd uintptr) bool {
		for {
			l.fd, l.from, l.err = acceptNow(int(fd))
			if l.err != syscall.EINTR && l.err != syscall.ECONNABORTED { // who left before it was accepted
				return l.err != syscall.EAGAIN
			}
		}
	}
	return l
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.raw.Read(l.try)
	switch {
	case l.closed.Load():
		if err == nil && l.err == nil { // it came just now
			_ = syscall.Close(l.fd)
		}
		err = net.ErrClosed
	case err == nil && l.err != nil:
		err = os.NewSyscallError("accept4", l.err)
	}
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: err}
	}
	return &Conn{fd: l.fd, remote: l.from}, nil
}

// Addr returns the address that it listens on.
func (l *listener) Addr() net.Addr { return l.addr }

// Close stops listening.
func (l *listener) Close() error {
	l.closed.Store(true)
	err := l.file.Close()
	if l.rest != nil {
		err = errors.Join(err, l.rest.Close())
	}
	return err
}

// address makes the address that package net would.
func address(sa syscall.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port, Zone: zone(sa.ZoneId)}
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: "unix"}
	}
	return nil
}

func zone(id uint32) string {
	if id == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}
