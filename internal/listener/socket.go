package listener

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// closeLinger bounds what the layers above may take to say goodbye when a connection is closed. TLS alone would wait
// five seconds for a peer that reads nothing.
const closeLinger = 250 * time.Millisecond

// socket is the lowest layer of a connection.
type socket struct {
	net.Conn
	raw     syscall.RawConn           // static; nil: not a socket of the kernel's
	out     *outbox                   // static after the handshakes; nil: writes wait
	closeBy atomic.Pointer[time.Time] // not nil: Close has begun, and no write may take longer than until then

	// Owned by the goroutine that reads.
	noWait  bool
	reading readAttempt
}

// newSocket returns a socket over c, and c's system interface, nil if it has none.
func newSocket(c net.Conn) (*socket, syscall.Conn) {
	s := &socket{Conn: c}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return s, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil { // closed already: the first read will say so
		return s, nil
	}
	s.raw = raw
	return s, sc
}

// Read waits for bytes unless noWait is set.
func (s *socket) Read(p []byte) (int, error) {
	if s.noWait {
		return s.reading.do(s.raw, p)
	}
	return s.Conn.Read(p)
}

// Write writes all of p, at once or, after WriteLater, when it can.
func (s *socket) Write(p []byte) (int, error) {
	if s.out != nil {
		return s.out.write(s.raw, p)
	}
	return s.Conn.Write(p)
}

// SetWriteDeadline sets the write deadline, which once closing has begun is in closeLinger at the latest: for all layers
// together, since each of them sets its own.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if limit := s.closeBy.Load(); limit != nil && (t.IsZero() || t.After(*limit)) {
		t = *limit
	}
	return s.Conn.SetWriteDeadline(t)
}

// beginClose bounds the writes to come, and one that is under way.
func (s *socket) beginClose() {
	limit := time.Now().Add(closeLinger)
	s.closeBy.Store(&limit)
	_ = s.Conn.SetWriteDeadline(limit) // fails only on what is closed
}

// CloseWrite closes the direction to the peer, if the connection can.
func (s *socket) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// ErrWouldBlock is what ReadNow returns when there is nothing to read now. It is a net.Error that is a timeout and
// temporary: layers in between, such as crypto/tls, go on after it.
var ErrWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "listener: nothing to read now" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }
