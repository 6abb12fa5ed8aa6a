package memnet

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// Conn is one end of a connection in memory. Its methods may be called by several goroutines at once.
type Conn struct {
	in, out       *stream
	local, remote net.Addr
	resetOnUnread bool
}

var _ net.Conn = (*Conn)(nil)

// Read reads what the peer wrote. It returns io.EOF after the peer's Close or CloseWrite.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write hands bytes to the peer, and blocks while the peer has a full buffer to read. Bytes of two writes never mix.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// WaitReadable blocks until Read would return at once: with bytes, with io.EOF or with an error.
func (c *Conn) WaitReadable() error { return c.wrap("wait", c.in.waitReadable()) }

// Unread returns how many bytes wait to be read at this end.
func (c *Conn) Unread() int { return c.in.unread() }

// Close closes both directions. The peer reads what was written before, then io.EOF; its writes fail.
func (c *Conn) Close() error {
	if c.resetOnUnread && c.in.unread() > 0 {
		return c.Reset()
	}
	return c.close(io.EOF)
}

// CloseWithError is Close, but the peer's Read ends with err instead of io.EOF.
func (c *Conn) CloseWithError(err error) error { return c.close(err) }

func (c *Conn) close(end error) error {
	first := c.in.closeRead(syscall.EPIPE)
	c.out.closeWrite(end, net.ErrClosed)
	if !first {
		return c.wrap("close", net.ErrClosed)
	}
	return nil
}

// CloseWrite closes the direction to the peer: it reads what was written before, then io.EOF. Reading goes on.
func (c *Conn) CloseWrite() error {
	if !c.out.closeWrite(io.EOF, syscall.EPIPE) {
		return c.wrap("close", net.ErrClosed)
	}
	return nil
}

// Reset closes the connection the hard way: the peer loses what it has not read, and reads and writes fail there with
// an error that is syscall.ECONNRESET.
func (c *Conn) Reset() error {
	first := c.in.closeRead(syscall.ECONNRESET)
	c.out.reset(syscall.ECONNRESET)
	if !first {
		return c.wrap("close", net.ErrClosed)
	}
	return nil
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the time after which reads fail with os.ErrDeadlineExceeded; zero means never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.wrap("set", c.in.setReadDeadline(t))
}

// SetWriteDeadline sets the time after which writes fail with os.ErrDeadlineExceeded; zero means never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.wrap("set", c.out.setWriteDeadline(t))
}

// wrap makes errors look as those of a socket do. io.EOF stays bare, as readers expect.
func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}
