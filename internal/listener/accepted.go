package listener

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/barid-mqtt/barid/pkg/proxyproto"
)

// Accepted is a connection behind its handshakes: what it reads and writes are MQTT bytes. It counts for its listener
// until it is closed.
type Accepted struct {
	net.Conn // the uppermost layer: a socket, TLS or WebSocket

	// Static.
	Listener  string               // the listener's name
	Transport string               // its type
	TLS       *tls.ConnectionState // nil: no TLS; VerifiedChains says whose certificate it was, if any
	Proxy     *proxyproto.Header   // nil: no PROXY protocol
	Raw       syscall.Conn         // the kernel's socket below all layers; nil: there is none
	remote    net.Addr
	local     net.Addr // that the proxy gives; nil: the socket's own
	socket    *socket
	listener  *Listener

	closed atomic.Bool
}

var _ net.Conn = (*Accepted)(nil)

// RemoteAddr returns the client's address: the one that the proxy gives, if one does.
func (a *Accepted) RemoteAddr() net.Addr { return a.remote }

// LocalAddr returns the address that the client connected to: the one that the proxy gives, if one does.
func (a *Accepted) LocalAddr() net.Addr {
	if a.local != nil {
		return a.local
	}
	return a.socket.LocalAddr()
}

// Bare returns the kernel's socket if the connection is nothing but that, so that MQTT bytes can be read from and
// written to it directly. nil: there are layers between, or there is no socket.
func (a *Accepted) Bare() syscall.RawConn {
	if a.Conn != net.Conn(a.socket) {
		return nil
	}
	return a.socket.raw
}

// ReadNow is Read without waiting: with nothing to read it returns ErrWouldBlock. It returns errors.ErrUnsupported where
// there is no kernel socket to ask.
//
// So the one goroutine that reads can wait for the socket without a buffer (WaitReadable, or an event loop on Raw), and
// then read until ErrWouldBlock: layers may hold bytes that the socket no longer shows.
func (a *Accepted) ReadNow(p []byte) (int, error) {
	if a.socket.raw == nil || !canReadNow {
		return 0, errors.ErrUnsupported
	}
	a.socket.noWait = true
	n, err := a.Conn.Read(p)
	a.socket.noWait = false
	return n, err
}

// TryRead is ReadNow that returns 0 and no error when there is nothing to read now.
func (a *Accepted) TryRead(p []byte) (int, error) {
	n, err := a.ReadNow(p)
	if err == ErrWouldBlock || errors.Is(err, ErrWouldBlock) {
		err = nil
	}
	return n, err
}

// WriteLater makes writes wait no more: what the kernel does not take at once stays in memory, for Drain. Layers such as
// TLS, which cannot go on after a write that took a part, then never see one. Call it before anything is written.
func (a *Accepted) WriteLater() { a.socket.out = new(outbox) }

// TryWrite writes all of p, after WriteLater. drained says that the kernel has it all; if not, Drain has to follow
// before more is written.
func (a *Accepted) TryWrite(p []byte) (drained bool, err error) {
	a.socket.out.hold()
	_, err = a.Conn.Write(p)
	drained, sendErr := a.socket.out.release(a.socket.raw)
	if err == nil {
		err = sendErr
	}
	return drained, err
}

// Drain writes what TryWrite left, as far as the write deadline allows. Only one call at a time may be made of it or
// TryWrite.
func (a *Accepted) Drain() error {
	if a.socket.out == nil {
		return nil
	}
	return a.socket.out.drain(a.socket.Conn)
}

// WaitReadable waits until the kernel's socket has something to read or has ended, or the read deadline passes. Like
// ReadNow it may be unsupported.
func (a *Accepted) WaitReadable() error {
	if a.socket.raw == nil {
		return errors.ErrUnsupported
	}
	return waitReadable(a.socket.raw)
}

// CloseWrite ends the direction to the client, after all that was written: the socket is half closed, a TLS connection
// says close_notify, WebSocket sends a close frame. The client's bytes can still be read.
func (a *Accepted) CloseWrite() error {
	c, ok := a.Conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	err := c.CloseWrite()
	if drainErr := a.Drain(); err == nil {
		err = drainErr
	}
	return err
}

// Close closes all layers, with their goodbyes as far as those take no time to speak of.
func (a *Accepted) Close() error {
	if !a.closed.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	defer a.listener.current.Add(-1)
	if a.Conn != net.Conn(a.socket) {
		a.socket.beginClose()
	}
	return a.Conn.Close()
}

// Abort closes the socket below all layers, without goodbyes and without sending what the kernel still holds. It never
// blocks.
func (a *Accepted) Abort() error {
	if !a.closed.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	defer a.listener.current.Add(-1)
	if c, ok := a.socket.Conn.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0) // fails only on a socket that is gone
	}
	return a.socket.Conn.Close()
}
