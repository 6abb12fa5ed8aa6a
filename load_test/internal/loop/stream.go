package loop

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/pkg/websocket"
)

// dialTimeout bounds the making of a connection with its handshakes.
const dialTimeout = 30 * time.Second

// streamBytes is how much output a stream takes ahead of what the broker reads.
const streamBytes = 256 << 10

var dialed atomic.Uint32

// Dial starts to connect. The client's handler hears of it by Connected or Closed.
func (c *Client) Dial(t *Target) {
	if t.Scheme == "mqtt" && c.dialSocket(t) {
		return
	}
	c.loop.wg.Go(func() { c.runStream(t) })
}

// stream is a connection with a goroutine that reads and, while there is output, one that writes.
type stream struct {
	c    *Client
	conn net.Conn

	mu      sync.Mutex // guards what follows
	resume  *sync.Cond
	paused  bool
	closed  bool
	writing bool
	pending []byte
	full    bool // write took less than it was given
}

func (c *Client) runStream(t *Target) {
	conn, err := dial(t)
	l := c.loop
	l.mu.Lock()
	if err != nil || l.stopped {
		if err == nil {
			_ = conn.Close()
		}
		c.handler.Closed(c, err)
		l.endRound()
		l.mu.Unlock()
		return
	}
	s := &stream{c: c, conn: conn}
	s.resume = sync.NewCond(&s.mu)
	c.opened(s)
	l.endRound()
	l.mu.Unlock()
	s.read()
}

// dial makes a connection of any kind.
func dial(t *Target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	var d net.Dialer
	if a, ok := t.source(dialed.Add(1)); ok {
		d.LocalAddr = &net.TCPAddr{IP: a.AsSlice()}
	}
	conn, err := d.DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	_ = conn.(*net.TCPConn).SetLinger(0) // no TIME_WAIT: a storm would use up the ports
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	if t.Scheme == "mqtts" || t.Scheme == "wss" {
		secure := tls.Client(conn, t.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		conn = secure
	}
	if t.Scheme == "ws" || t.Scheme == "wss" {
		ws, err := websocket.Client(conn, websocket.ClientOptions{Host: t.Addr, Path: t.Path, Subprotocols: []string{"mqtt"}})
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("WebSocket handshake: %w", err)
		}
		conn = ws
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// read feeds the client until the connection ends.
func (s *stream) read() {
	l := s.c.loop
	buf := make([]byte, 16<<10)
	kept := 0
	for s.mayRead() {
		if kept == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		n, err := s.conn.Read(buf[kept:])
		l.mu.Lock()
		if s.c.conn != s { // closed from this end
			l.mu.Unlock()
			return
		}
		l.now = Now()
		if s.c.part = s.c.part[:0]; n > 0 {
			s.c.feed(buf[:kept+n])
		}
		kept = copy(buf, s.c.part)
		if err != nil && s.c.conn == s {
			s.c.ended(err)
		}
		l.endRound()
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// mayRead waits while reading is paused. It reports whether the connection is still wanted.
func (s *stream) mayRead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.paused && !s.closed {
		s.resume.Wait()
	}
	return !s.closed
}

func (s *stream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(b), streamBytes-len(s.pending))
	s.pending = append(s.pending, b[:n]...)
	s.full = n < len(b)
	if !s.writing && n > 0 {
		s.writing = true
		s.c.loop.wg.Go(s.drain)
	}
	return n, nil
}

// drain writes until there is nothing more.
func (s *stream) drain() {
	var b []byte
	for {
		s.mu.Lock()
		b, s.pending = s.pending, b[:0]
		full := s.full
		s.full = false
		if len(b) == 0 || s.closed {
			s.writing = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if _, err := s.conn.Write(b); err != nil {
			b = nil // the reader sees it too, and tells
		}
		if full {
			l := s.c.loop
			l.mu.Lock()
			if s.c.conn == s {
				s.c.drained()
				l.endRound()
			}
			l.mu.Unlock()
		}
	}
}

func (s *stream) pause(on bool) {
	s.mu.Lock()
	s.paused = on
	s.resume.Broadcast()
	s.mu.Unlock()
}

// close lets a DISCONNECT out that was just handed over, within a moment.
func (s *stream) close() {
	s.mu.Lock()
	last := s.pending
	s.pending = nil
	waits := s.writing && len(last) > 0
	s.closed = true
	s.resume.Broadcast()
	s.mu.Unlock()
	s.c.loop.wg.Go(func() {
		if waits {
			_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = s.conn.Write(last)
		}
		_ = s.conn.Close()
	})
}
