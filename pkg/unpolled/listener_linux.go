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

// listener accepts without the runtime's poller, but waits for clients in it, until Unpoll.
type listener struct {
	// Static after construction.
	addr net.Addr
	file *os.File // the socket, since one of package net cannot be waited for; closed by Unpoll
	raw  syscall.RawConn
	rest net.Listener // to be closed with it; nil: none

	closed atomic.Bool

	owning sync.Mutex // guards own
	own    int        // the socket as Unpoll left it; -1: the poller has it

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
	l := &listener{addr: ln.Addr(), file: f, raw: raw, own: -1}
	if tcp, ok := ln.(*net.TCPListener); ok {
		_ = tcp.Close() // the file keeps the socket open, and the poller need not have it twice
	} else {
		l.rest = ln // which removes its file when it is closed
	}
	l.try = func(fd uintptr) bool {
		l.fd, l.from, l.err = acceptOne(int(fd))
		return l.err != syscall.EAGAIN
	}
	return l
}

// acceptOne accepts a connection that is there and has not left again.
func acceptOne(fd int) (conn int, from net.Addr, err error) {
	for {
		conn, from, err = acceptNow(fd)
		if err != syscall.EINTR && err != syscall.ECONNABORTED {
			return conn, from, err
		}
	}
}

// Unpoll takes the listener from the runtime's poller for good, so that others may wait for its descriptor. After that
// connections come from TryAccept only. ok is false if it is closed.
func (l *listener) Unpoll() (fd int, ok bool) {
	l.owning.Lock()
	defer l.owning.Unlock()
	if l.own >= 0 || l.closed.Load() {
		return l.own, l.own >= 0
	}
	err := l.raw.Control(func(old uintptr) {
		if n, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0); errno == 0 {
			l.own = int(n)
		}
	})
	if err != nil || l.own < 0 {
		return -1, false
	}
	_ = l.file.Close() // the socket is open through the other descriptor
	return l.own, true
}

// TryAccept accepts a connection if one is there; nil and no error: none is. It comes after Unpoll.
func (l *listener) TryAccept() (net.Conn, error) {
	l.owning.Lock()
	defer l.owning.Unlock()
	if l.own < 0 {
		return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: net.ErrClosed}
	}
	fd, from, err := acceptOne(l.own)
	switch {
	case err == syscall.EAGAIN:
		return nil, nil
	case err != nil:
		return nil, &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: os.NewSyscallError("accept4", err)}
	}
	return &Conn{fd: fd, remote: from}, nil
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
	err := l.closeSocket()
	if l.rest != nil {
		err = errors.Join(err, l.rest.Close())
	}
	return err
}

func (l *listener) closeSocket() error {
	l.owning.Lock()
	defer l.owning.Unlock()
	if l.own < 0 {
		return l.file.Close()
	}
	fd := l.own
	l.own = -1
	return os.NewSyscallError("close", closeNow(fd))
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
