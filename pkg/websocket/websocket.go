// Package websocket carries a stream of bytes over the WebSocket protocol (RFC 6455): a Conn is a net.Conn whose bytes
// travel as the payload of binary frames. Where frames begin and end means nothing to the reader.
//
// A Conn holds no buffer. Read reads from the transport straight into the caller's slice, takes the frames apart there
// and moves their unmasked payload together, so that one system call serves any number of frames, an idle connection
// costs some 300 bytes, and the length that a frame claims costs nothing.
//
//	slice after reading    [hdr|payload 1][hdr|payl… 2]
//	slice returned         [payload 1|payl… 2]
//
// Whatever the transport delivered is handed out by the same Read; nothing is kept back but a header cut short or a
// control frame cut short.
package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/pkg/ratelimit"
)

// Status is the status code of a close frame.
type Status uint16

// The status codes of RFC 6455 that this package uses or reports.
const (
	StatusNormal          Status = 1000
	StatusGoingAway       Status = 1001
	StatusProtocolError   Status = 1002
	StatusUnsupportedData Status = 1003 // a text frame
	StatusNone            Status = 1005 // the close frame had no code; never on the wire
	StatusInvalidPayload  Status = 1007
	StatusPolicyViolation Status = 1008
	StatusTooBig          Status = 1009
	StatusInternalError   Status = 1011
)

// CloseError is how a Conn ended, other than by an orderly close.
type CloseError struct {
	Code   Status
	Reason string
	Remote bool // the peer said so; otherwise this end found fault with the peer
}

// Error says who ended the connection, and why.
func (e *CloseError) Error() string {
	who := "websocket: closing"
	if e.Remote {
		who = "websocket: closed by peer"
	}
	return fmt.Sprintf("%s with %d: %s", who, e.Code, e.Reason)
}

// Is makes errors.Is(err, io.EOF) true for a close frame of the peer.
func (e *CloseError) Is(target error) bool { return e.Remote && target == io.EOF }

// errCloseSent is what writes fail with after a close frame.
var errCloseSent = fmt.Errorf("websocket: write after close frame: %w", net.ErrClosed)

// closeWriteTimeout bounds how long Close waits to get its close frame out.
const closeWriteTimeout = time.Second

// DefaultControlPerSecond is how many control frames a second a peer may send, and ten times as many at once.
const DefaultControlPerSecond = 100

// Conn is a WebSocket connection. One goroutine may read while one writes; Close and the deadlines may be called from
// anywhere.
type Conn struct {
	transport   net.Conn // static
	subprotocol string   // static
	client      bool     // static: this end masks its frames, and the peer must not

	in incoming // owned by the goroutine that reads

	writing  sync.Mutex // held while a frame goes out; guards writeErr
	writeErr error      // a frame was cut short, or a close frame was sent: nothing may follow

	queueing     sync.Mutex // guards the next two; held for a moment only, never while writing
	pongs        []byte     // pong frames that wait to be written
	closePending []byte     // a close frame that waits to be written; empty but not nil once it was
}

var _ net.Conn = (*Conn)(nil)

// newConn returns a Conn over c. early is what was read past the handshake; the Conn keeps it.
func newConn(c net.Conn, client bool, subprotocol string, early []byte, controlPerSecond int) *Conn {
	if controlPerSecond == 0 {
		controlPerSecond = DefaultControlPerSecond
	}
	conn := &Conn{transport: c, client: client, subprotocol: subprotocol}
	conn.in.early = early
	conn.in.controlRate = ratelimit.New(float64(controlPerSecond), 10*controlPerSecond)
	return conn
}

// NetConn returns the connection underneath.
func (c *Conn) NetConn() net.Conn { return c.transport }

// Subprotocol returns the subprotocol that was agreed on, "" for none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// LocalAddr returns the transport's local address.
func (c *Conn) LocalAddr() net.Addr { return c.transport.LocalAddr() }

// RemoteAddr returns the transport's remote address.
func (c *Conn) RemoteAddr() net.Addr { return c.transport.RemoteAddr() }

// SetDeadline sets the transport's deadlines. A write that runs into its deadline ends the connection for writing.
func (c *Conn) SetDeadline(t time.Time) error { return c.transport.SetDeadline(t) }

// SetReadDeadline sets the transport's read deadline. Reading may go on after a timeout.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.transport.SetReadDeadline(t) }

// SetWriteDeadline sets the transport's write deadline.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.transport.SetWriteDeadline(t) }

// Close sends a close frame with StatusNormal, if that is possible without waiting for a write under way, and closes
// the transport.
func (c *Conn) Close() error { return c.CloseStatus(StatusNormal, "") }

// CloseStatus is Close with a status and a reason of at most 123 bytes; a longer one is cut.
func (c *Conn) CloseStatus(code Status, reason string) error {
	_ = c.transport.SetWriteDeadline(time.Now().Add(closeWriteTimeout)) // fails only on what is closed already
	c.queueClose(code, reason)
	c.flush()
	return c.transport.Close()
}

// CloseWrite sends a close frame; writes fail afterwards. Reading goes on until the peer has answered with its own
// close frame, which Read reports as io.EOF. The transport stays open: it is the server's to close, after that.
func (c *Conn) CloseWrite() error {
	c.queueClose(StatusNormal, "")
	c.flush()
	return nil
}

// isTemporary reports whether reading may go on after err: a deadline, or nothing there now.
func isTemporary(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
