package listener

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/pkg/ratelimit"
)

// After a failure to accept, the loop pauses: descriptors that ran out do not come back at once.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// Listener is an open listener.
type Listener struct {
	o      Options                 // static
	socket net.Listener            // static; nil: connections are handed over by Upgrade
	tls    atomic.Pointer[secured] // nil inside: no TLS
	slots  chan struct{}           // holds one element for each handshake under way

	*counts // static after Succeed

	done    chan struct{}  // closed by Close
	running sync.WaitGroup // Serve and the handshakes

	mu        sync.Mutex // guards what follows, and running.Add against Close
	closed    bool
	unwatched chan struct{}          // closed when no loop knows the socket any more; nil: none does
	pending   map[*Accepted]struct{} // in a handshake
}

// counts are what a listener counts. One that takes another's place goes on with them.
type counts struct {
	accepted, refused, failed, acceptErrors atomic.Uint64
	current                                 atomic.Int64
}

// Stats are a listener's counts.
type Stats struct {
	Accepted          uint64 // handed over
	Refused           uint64 // turned away at once: too many connections, handshakes or descriptors
	HandshakeFailures uint64 // PROXY, TLS or WebSocket failed or took too long
	AcceptErrors      uint64 // the system gave no connection
	Current           int64  // open, handshakes included
}

// Listen opens a listener. Clients can connect from now on; Serve accepts them.
func Listen(o Options) (*Listener, error) {
	l, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if l.socket, err = open(&l.o); err != nil {
		return nil, l.wrap(err)
	}
	return l, nil
}

// On returns a listener over one that is open already, such as one in memory. Bind is not looked at.
func On(socket net.Listener, o Options) (*Listener, error) {
	l, err := prepare(o)
	if err != nil {
		return nil, err
	}
	l.socket = socket
	return l, nil
}

// Check returns what Listen would say of the options and of the files that they name. It opens no socket.
func Check(o Options) error {
	_, err := prepare(o)
	return err
}

// prepare does all but opening.
func prepare(o Options) (*Listener, error) {
	l := &Listener{o: o, counts: new(counts), done: make(chan struct{}), pending: map[*Accepted]struct{}{}}
	if err := l.o.check(); err != nil {
		return nil, l.wrap(err)
	}
	l.slots = make(chan struct{}, l.o.MaxHandshakes)
	if err := l.Reload(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Listener) wrap(err error) error { return fmt.Errorf("listener %s: %w", l.o.Name, err) }

// Reload reads the certificate files again, for the connections to come. If they are bad, the old ones stay in use.
func (l *Listener) Reload() error {
	s, err := loadTLS(&l.o)
	if err != nil {
		return l.wrap(err)
	}
	l.tls.Store(s)
	return nil
}

// Succeed has l go on with the counts of a listener whose place it takes, so that connections which that one accepted
// count for MaxConnections. It comes before Serve.
func (l *Listener) Succeed(old *Listener) { l.counts = old.counts }

// Addr returns the address that the listener is bound to. A Handed one has none.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }

// Stats returns the counts.
func (l *Listener) Stats() Stats {
	return Stats{
		Accepted: l.accepted.Load(), Refused: l.refused.Load(), HandshakeFailures: l.failed.Load(),
		AcceptErrors: l.acceptErrors.Load(), Current: l.current.Load(),
	}
}

// Serve accepts connections until Close and hands them to handle, which owns them and must not block: it is called by
// the accept loop, or by the goroutine of a handshake, several at a time. Failures to accept do not end it. It returns
// nil after Close, and an error only if the socket was closed by somebody else.
func (l *Listener) Serve(handle func(*Accepted)) error {
	if !l.enter(nil) {
		return nil
	}
	defer l.running.Done()
	rate := ratelimit.New(float64(l.o.AcceptRate), max(1, l.o.AcceptRate/10))
	backoff := minBackoff
	for l.pace(&rate) {
		c, err := l.socket.Accept()
		switch {
		case err == nil:
			backoff = minBackoff
			l.admit(c, handle)
		case l.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			return l.wrap(err)
		default:
			l.acceptErrors.Add(1)
			l.report(AcceptingFailed, nil, err)
			l.pause(backoff)
			backoff = min(2*backoff, maxBackoff)
		}
	}
	return nil
}

// pace waits until the accept rate allows another connection, and counts that. It reports false after Close.
func (l *Listener) pace(rate *ratelimit.Bucket) bool {
	if !l.await(rate) {
		return false
	}
	rate.Allow(time.Now())
	return true
}

// await waits until the accept rate allows another connection, and reports false after Close.
func (l *Listener) await(rate *ratelimit.Bucket) bool {
	for {
		wait := rate.Wait(time.Now(), 1)
		if wait == 0 {
			return !l.isClosed()
		}
		if !l.pause(wait) {
			return false
		}
	}
}

// pause waits for d, and reports false after Close.
func (l *Listener) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.done:
		return false
	}
}

// admit hands a connection over, or starts its handshake, or turns it away.
func (l *Listener) admit(c net.Conn, handle func(*Accepted)) {
	if n := l.current.Add(1); l.o.MaxConnections > 0 && n > int64(l.o.MaxConnections) {
		l.turnAway(c, MaxConnections)
		return
	}
	a := l.newAccepted(c)
	if l.o.MaxDescriptor > 0 && a.descriptor() >= l.o.MaxDescriptor {
		l.turnAway(c, MaxDescriptors)
		return
	}
	if !l.o.needsHandshake() {
		l.accepted.Add(1)
		handle(a)
		return
	}
	select {
	case l.slots <- struct{}{}:
	default:
		l.turnAway(c, MaxHandshakes)
		return
	}
	if !l.enter(a) { // closed meanwhile
		<-l.slots
		_ = a.Abort()
		return
	}
	go l.shake(a, handle)
}

// turnAway closes a connection that the listener has no room for.
func (l *Listener) turnAway(c net.Conn, why Reason) {
	l.refused.Add(1)
	l.report(why, c.RemoteAddr(), nil)
	l.current.Add(-1)
	_ = c.Close() // nobody is interested in how that ends
}

func (l *Listener) newAccepted(c net.Conn) *Accepted {
	s, sc := newSocket(c)
	return &Accepted{
		Conn: s, Listener: l.o.Name, Transport: l.o.Type, Raw: sc, socket: s, listener: l,
		remote: c.RemoteAddr(),
	}
}

func (l *Listener) report(why Reason, remote net.Addr, err error) {
	if l.o.OnProblem != nil {
		l.o.OnProblem(Problem{Listener: l.o.Name, Reason: why, Remote: remote, Err: err})
	}
}

// enter adds a goroutine that Close waits for, and the connection whose handshake it runs, if any. After Close it
// reports false.
func (l *Listener) enter(a *Accepted) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.running.Add(1)
	if a != nil {
		l.pending[a] = struct{}{}
	}
	return true
}

// leave takes a connection off those in a handshake, and reports whether it may be handed over: not after Close.
func (l *Listener) leave(a *Accepted) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, a)
	return !l.closed
}

func (l *Listener) isClosed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Close stops listening, cuts off handshakes, and waits until Serve and they are over; so handle must not call it.
// Connections that were handed over stay open: they belong to whoever got them.
func (l *Listener) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	pending, unwatched := l.pending, l.unwatched
	l.pending = nil
	l.mu.Unlock()
	var err error
	if first {
		close(l.done)
		if unwatched != nil {
			<-unwatched
		}
		if l.socket != nil {
			err = l.socket.Close()
		}
		for a := range pending {
			_ = a.Abort() // its handshake fails, and sees that this was Close
		}
	}
	l.running.Wait()
	if err != nil {
		return l.wrap(err)
	}
	return nil
}
