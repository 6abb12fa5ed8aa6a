package api

import (
	"container/list"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	// maxSockets is how many connections a server has at a time, those of WebSockets not counted. Past it, the oldest on
	// which nobody with credentials is being answered makes room: silence and half requests keep nobody out.
	maxSockets = 1024
	// bodyPatience is how long a request's body may take, and writePatience how long a client may take to read 64 KiB of
	// an answer.
	bodyPatience  = 30 * time.Second
	writePatience = 30 * time.Second
	writePiece    = 64 << 10
)

// sockets are the connections of one listener.
type sockets struct {
	net.Listener
	room    func(net.Conn) bool // whether there is a descriptor for it; nil: always
	crowded func()              // a connection was closed for want of room; may be nil
	most    int

	mu   sync.Mutex // guards what follows, and serving of each socket
	open *list.List // of *socket, the oldest first
}

// socket is one connection, below TLS.
type socket struct {
	net.Conn
	in      *sockets
	place   *list.Element // in open; nil: it is none of the server's any more
	serving int           // requests of somebody with credentials
}

// Accept implements net.Listener.
func (s *sockets) Accept() (net.Conn, error) {
	for {
		c, err := s.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if s.room != nil && !s.room(c) { // the next one gets the descriptor of the one that goes
			s.makeRoom()
			_ = c.Close()
			continue
		}
		s.mu.Lock()
		full := s.open.Len() >= s.most
		s.mu.Unlock()
		if full && !s.makeRoom() {
			_ = c.Close()
			continue
		}
		k := &socket{Conn: c, in: s}
		s.mu.Lock()
		k.place = s.open.PushBack(k)
		s.mu.Unlock()
		return k, nil
	}
}

// makeRoom closes the oldest connection on which nobody with credentials is being answered, and reports whether there is one.
func (s *sockets) makeRoom() bool {
	if s.crowded != nil {
		s.crowded()
	}
	s.mu.Lock()
	var oldest *socket
	for e := s.open.Front(); e != nil && oldest == nil; e = e.Next() {
		if k := e.Value.(*socket); k.serving == 0 {
			oldest = k
		}
	}
	s.mu.Unlock()
	if oldest == nil {
		return false
	}
	_ = oldest.Close()
	return true
}

// Close implements net.Conn.
func (k *socket) Close() error {
	k.leave()
	return k.Conn.Close()
}

// leave takes the connection off the server's: it is closed, or has become a WebSocket.
func (k *socket) leave() {
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	if k.place != nil {
		k.in.open.Remove(k.place)
		k.place = nil
	}
}

// Write implements net.Conn. A client that does not read the answer is not waited for without an end.
func (k *socket) Write(p []byte) (n int, err error) {
	k.in.mu.Lock()
	ours := k.place != nil
	k.in.mu.Unlock()
	if !ours {
		return k.Conn.Write(p)
	}
	for {
		piece := p[:min(len(p), writePiece)]
		if err := k.Conn.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
			return n, err
		}
		wrote, err := k.Conn.Write(piece)
		n += wrote
		if p = p[wrote:]; err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// SyscallConn implements syscall.Conn, which event loops want of a connection that becomes a WebSocket.
func (k *socket) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := k.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, syscall.EINVAL
}

// serves counts a request of somebody with credentials until done is called.
func (k *socket) serves() (done func()) {
	if k == nil {
		return func() {}
	}
	count := func(n int) {
		k.in.mu.Lock()
		k.serving += n
		k.in.mu.Unlock()
	}
	count(1)
	return func() { count(-1) }
}

type socketKey struct{}

// withSocket remembers the connection in the context of its requests.
func withSocket(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, socketKey{}, socketOf(c))
}

// socketOf finds the socket below TLS; nil: there is none of ours.
func socketOf(c net.Conn) *socket {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	k, _ := c.(*socket)
	return k
}

// stateOf follows a connection that is handed over.
func stateOf(c net.Conn, state http.ConnState) {
	if k := socketOf(c); k != nil && state == http.StateHijacked {
		k.leave()
		_ = k.SetWriteDeadline(time.Time{})
	}
}

// hurry gives the body of a request until bodyPatience is over. What is read to its end has all the time that its handler
// takes.
func hurry(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(bodyPatience)) == nil {
		r.Body = &hurried{r.Body, c}
	}
}

// hurried is a body that ends the hurry with its end.
type hurried struct {
	io.ReadCloser
	c *http.ResponseController
}

// Read implements io.Reader.
func (h *hurried) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if err == io.EOF {
		_ = h.c.SetReadDeadline(time.Time{})
	}
	return n, err
}
