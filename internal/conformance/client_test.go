package conformance

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing/synctest"
	"time"
)

// patience is how much virtual time an expectation gives the broker, in steps. It is short beside every interval that
// scripts are about, which are seconds.
const (
	patience     = 100 * time.Millisecond
	patienceStep = 20 * time.Millisecond
)

// client is one connection of a scenario, seen from the client's side.
type client struct {
	conn       net.Conn
	level      byte
	watch      *watch
	dropped    bool // by us
	closed     bool // the script has seen that the server closed it
	ignoreRest bool

	mu     sync.Mutex
	unread []byte
	eof    bool // the server closed it
}

// errNothing says that nothing arrived within patience, errClosed that the server closed the connection.
var (
	errNothing = errors.New("nothing")
	errClosed  = errors.New("closed")
)

func newClient(conn net.Conn, level byte) *client {
	c := &client{conn: conn, level: level, watch: newWatch(level)}
	go c.readAll()
	return c
}

func (c *client) readAll() {
	buf := make([]byte, 32*1024)
	for {
		n, err := c.conn.Read(buf)
		c.mu.Lock()
		c.unread = append(c.unread, buf[:n]...)
		c.eof = c.eof || err != nil
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// next returns the next packet, errNothing or errClosed, or says why what came is no packet.
func (c *client) next() (Packet, error) {
	for waited := time.Duration(0); ; waited += patienceStep {
		synctest.Wait()
		p, err := c.poll()
		if !errors.Is(err, errNothing) || waited >= patience {
			return p, err
		}
		<-time.After(patienceStep)
	}
}

func (c *client) poll() (Packet, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, rest, err := Decode(c.unread, c.level)
	switch {
	case err == nil:
		size := len(c.unread) - len(rest)
		c.unread = rest
		if err := c.watch.got(p, size); err != nil {
			return p, fmt.Errorf("%s: %w", p, err)
		}
		return p, nil
	case !errors.Is(err, ErrIncomplete):
		return p, err
	case c.eof && len(c.unread) > 0:
		return p, errors.New("half a packet, then closed")
	case c.eof:
		return p, errClosed
	}
	return p, errNothing
}

// closeToo closes the client's side when err says that the server has closed its own.
func (c *client) closeToo(err error) {
	if errors.Is(err, errClosed) {
		c.closed = true
		_ = c.conn.Close()
	}
}

// drop cuts the connection without a word.
func (c *client) drop() {
	c.dropped = true
	_ = c.conn.Close()
	synctest.Wait()
}

// ended reports whether nothing more can come that the script must look at.
func (c *client) ended() bool { return c.dropped || c.closed || c.ignoreRest }
