package listener

import (
	"net"
	"time"

	"github.com/barid-mqtt/barid/pkg/ratelimit"
)

// Loops wait for many sockets at once.
type Loops interface {
	// Watch has ready called, which must not wait, whenever a socket becomes readable, once first if it is now, and again if
	// ready says that there is more. ready does not run any more when stop returns; nil: there is no loop.
	Watch(fd int, ready func() (more bool)) (stop func())
}

// watchable is a socket that listens and need not be waited for by a goroutine.
type watchable interface {
	// Unpoll returns its descriptor, for others to wait for.
	Unpoll() (fd int, ok bool)
	// TryAccept accepts a connection if one is there; nil and no error: none is.
	TryAccept() (net.Conn, error)
}

// atOnce is how many connections are accepted before others have their turn.
const atOnce = 64

// ServeOn is Serve with connections accepted by loops, where the socket is one that they can wait for: a goroutine that
// accepts has to be woken up for each that comes.
func (l *Listener) ServeOn(loops Loops, handle func(*Accepted)) error {
	s, ok := l.socket.(watchable)
	if !ok {
		return l.Serve(handle)
	}
	if !l.beginWatch() {
		return nil
	}
	defer l.running.Done()
	defer close(l.unwatched)
	fd, ok := s.Unpoll()
	if !ok {
		return l.wrap(net.ErrClosed)
	}
	v := &visits{l: l, from: s, handle: handle, rate: ratelimit.New(float64(l.o.AcceptRate), max(1, l.o.AcceptRate/10)), paused: make(chan error, 1)}
	for backoff := minBackoff; l.await(&v.rate); {
		before := l.accepted.Load()
		watched, err := v.watch(loops, fd)
		switch {
		case !watched:
			return l.wrap(net.ErrClosed)
		case err == nil: // the rate, or Close
			continue
		case l.accepted.Load() != before:
			backoff = minBackoff
		}
		l.acceptErrors.Add(1)
		l.report(AcceptingFailed, nil, err)
		l.pause(backoff)
		backoff = min(2*backoff, maxBackoff)
	}
	return nil
}

// beginWatch is enter for ServeOn: Close waits until no loop knows the socket any more before it closes that, since a loop
// would take the next with its number for it.
func (l *Listener) beginWatch() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.running.Add(1)
	l.unwatched = make(chan struct{})
	return true
}

// visits are the calls of a loop when clients connect.
type visits struct {
	l      *Listener
	from   watchable
	handle func(*Accepted)

	// Owned by the loop while it watches, and else by ServeOn.
	rate   ratelimit.Bucket
	idle   bool       // it accepts no more before it is watched anew
	paused chan error // gets why: an error, or nil for the rate
}

// watch has a loop accept connections until that has to pause, and returns why; nil: for the rate, or for Close.
func (v *visits) watch(loops Loops, fd int) (watched bool, err error) {
	v.idle = false
	stop := loops.Watch(fd, v.ready)
	if stop == nil {
		return false, nil
	}
	defer stop()
	select {
	case err = <-v.paused:
	case <-v.l.done:
	}
	return true, err
}

// ready accepts what is there. It reports whether there may be more.
func (v *visits) ready() (more bool) {
	for range atOnce {
		if v.idle || v.l.isClosed() {
			return false
		}
		if v.rate.Wait(time.Now(), 1) > 0 {
			return v.pause(nil)
		}
		c, err := v.from.TryAccept()
		switch {
		case err != nil:
			return v.pause(err)
		case c == nil:
			return false
		}
		v.rate.Allow(time.Now())
		v.l.admit(c, v.handle)
	}
	return true
}

func (v *visits) pause(why error) (more bool) {
	v.idle = true
	v.paused <- why
	return false
}
