package unpolled

import (
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is an accepted connection.
type Conn struct {
	// Static after construction.
	fd     int
	remote net.Addr

	users   atomic.Int32           // system calls that are under way, and closed
	lingers atomic.Bool            // closing waits
	polled  atomic.Pointer[polled] // nil: the poller does not have it

	mu sync.Mutex // serialises Close and poll
}

// polled is a socket that the runtime polls.
type polled struct {
	file *os.File
	raw  syscall.RawConn
}

// closed is the bit of Conn.users that says that no more may come.
const closed = 1 << 30

var (
	_ net.Conn        = (*Conn)(nil)
	_ syscall.Conn    = (*Conn)(nil)
	_ syscall.RawConn = (*raw)(nil)
)

// enter and leave bracket the use of the descriptor, which is not closed meanwhile.
func (c *Conn) enter() bool {
	if c.users.Add(1)&closed == 0 {
		return true
	}
	c.users.Add(-1)
	return false
}

func (c *Conn) leave() { c.users.Add(-1) }

// poll hands the connection to the runtime's poller, if it does not have it.
func (c *Conn) poll() (*polled, error) {
	if p := c.polled.Load(); p != nil {
		return p, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.polled.Load(); p != nil {
		return p, nil
	}
	if c.users.Load()&closed != 0 {
		return nil, net.ErrClosed
	}
	f := os.NewFile(uintptr(c.fd), "socket")
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &polled{f, raw}
	c.polled.Store(p)
	return p, nil
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return (*raw)(c), nil }

// raw is a connection as a syscall.RawConn.
type raw Conn

// Control calls f with the descriptor.
func (r *raw) Control(f func(fd uintptr)) error {
	c := (*Conn)(r)
	if !c.enter() {
		return net.ErrClosed
	}
	defer c.leave()
	f(uintptr(c.fd))
	return nil
}

// once calls f, unless the poller has the connection, whose deadlines count then.
func (r *raw) once(f func(fd uintptr) bool) (done bool, err error) {
	c := (*Conn)(r)
	if c.polled.Load() != nil {
		return false, nil
	}
	if !c.enter() {
		return false, net.ErrClosed
	}
	defer c.leave()
	return f(uintptr(c.fd)), nil
}

// Read waits for input until f reports true.
func (r *raw) Read(f func(fd uintptr) bool) error {
	if done, err := r.once(f); done || err != nil {
		return err
	}
	p, err := (*Conn)(r).poll()
	if err != nil {
		return err
	}
	return (*Conn)(r).explain(p.raw.Read(f))
}

// Write waits for room until f reports true.
func (r *raw) Write(f func(fd uintptr) bool) error {
	if done, err := r.once(f); done || err != nil {
		return err
	}
	p, err := (*Conn)(r).poll()
	if err != nil {
		return err
	}
	return (*Conn)(r).explain(p.raw.Write(f))
}

// explain has whatever fails on a closed connection fail for that.
func (c *Conn) explain(err error) error {
	if err != nil && c.users.Load()&closed != 0 {
		return net.ErrClosed
	}
	return err
}

// Read waits for bytes.
func (c *Conn) Read(p []byte) (int, error) {
	polled, err := c.poll()
	if err != nil {
		return 0, err
	}
	n, err := polled.file.Read(p)
	return n, c.explain(err)
}

// Write writes all of p, and waits for that.
func (c *Conn) Write(p []byte) (int, error) {
	polled, err := c.poll()
	if err != nil {
		return 0, err
	}
	n, err := polled.file.Write(p)
	return n, c.explain(err)
}

// Close closes the connection. What waits for it returns net.ErrClosed.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users.Or(closed)&closed != 0 {
		return net.ErrClosed
	}
	for c.users.Load() != closed { // for no longer than a call that does not wait takes
		runtime.Gosched()
	}
	if p := c.polled.Load(); p != nil {
		return p.file.Close()
	}
	if c.lingers.Load() {
		return os.NewSyscallError("close", syscall.Close(c.fd))
	}
	return os.NewSyscallError("close", closeNow(c.fd))
}

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// LocalAddr returns the address that the client connected to; nil: the connection is closed.
func (c *Conn) LocalAddr() (a net.Addr) {
	_ = (*raw)(c).Control(func(fd uintptr) {
		if sa, err := syscall.Getsockname(int(fd)); err == nil {
			a = address(sa)
		}
	})
	return a
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.deadline(t, (*os.File).SetDeadline) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.deadline(t, (*os.File).SetReadDeadline) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.deadline(t, (*os.File).SetWriteDeadline) }

func (c *Conn) deadline(t time.Time, set func(*os.File, time.Time) error) error {
	p, err := c.poll()
	if err != nil {
		return err
	}
	return c.explain(set(p.file, t))
}

// CloseWrite ends the direction to the client.
func (c *Conn) CloseWrite() error {
	return c.control("shutdown", func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_WR) })
}

// SetLinger says what becomes of what is not sent when the connection is closed, as net.TCPConn.SetLinger does.
func (c *Conn) SetLinger(seconds int) error {
	l := syscall.Linger{Linger: int32(max(seconds, 0))}
	if seconds >= 0 {
		l.Onoff = 1
	}
	c.lingers.Store(seconds > 0)
	return c.control("setsockopt", func(fd int) error {
		return syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &l)
	})
}

func (c *Conn) control(name string, call func(fd int) error) error {
	var err error
	if closed := (*raw)(c).Control(func(fd uintptr) { err = call(int(fd)) }); closed != nil {
		return closed
	}
	return os.NewSyscallError(name, err)
}
