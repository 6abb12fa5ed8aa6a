package memnet

import (
	"net"
	"sync"
	"syscall"
)

// backlogMax is how many connections may wait to be accepted, as a kernel's backlog.
const backlogMax = 4096

// Listener is a net.Listener in memory.
type Listener struct {
	options Options // static

	mu     sync.Mutex // guards what follows
	change sync.Cond
	queue  []*Conn // dialled, not accepted yet
	closed bool
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a listener whose connections have the given options.
func Listen(o Options) *Listener {
	if o.ServerAddr == nil {
		o.ServerAddr = Addr("server")
	}
	l := &Listener{options: o}
	l.change.L = &l.mu
	return l
}

// Accept returns the server's end of the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.change.Wait()
	}
	if l.closed {
		return nil, l.wrap("accept", net.ErrClosed)
	}
	c := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return c, nil
}

// Dial connects, with the client address of the listener's options. It does not wait for Accept.
func (l *Listener) Dial() (*Conn, error) { return l.DialFrom(nil) }

// DialFrom connects from the given address; nil means the address of the listener's options.
func (l *Listener) DialFrom(addr net.Addr) (*Conn, error) {
	o := l.options
	if addr != nil {
		o.ClientAddr = addr
	}
	client, server := PipeWith(o)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue) >= backlogMax {
		return nil, l.wrap("dial", syscall.ECONNREFUSED)
	}
	l.queue = append(l.queue, server)
	l.change.Signal()
	return client, nil
}

// Close stops the listener. Connections that nobody accepted are reset; the others live on.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.wrap("close", net.ErrClosed)
	}
	l.closed = true
	for _, c := range l.queue {
		_ = c.Reset() // it is open: nobody had it
	}
	l.queue = nil
	l.change.Broadcast()
	return nil
}

// Addr returns the server's address.
func (l *Listener) Addr() net.Addr { return l.options.ServerAddr }

func (l *Listener) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: "mem", Addr: l.options.ServerAddr, Err: err}
}
