package conn

import (
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
)

// epollEvents are told once, when they happen (EPOLLET, 1<<31): with the other mode a socket keeps the place in the
// kernel's list that it had the last time.
const epollEvents = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<31

// loopEvents is how many events a loop takes at a time.
const loopEvents = 256

// Loop waits for many plain sockets at once, and feeds their connections, so that an idle connection has neither a
// goroutine nor a buffer. Events are handled in the order in which the kernel reports them: what one client sent before
// another is handled before it, which a goroutine each does not promise.
//
// What waits for something other than input (a suspension, a goodbye) leaves the loop for a goroutine of its own, and
// comes back when it only waits for input again.
type Loop struct {
	metrics *metrics.Metrics
	epoll   *os.File // parks in the runtime's own poller
	raw     syscall.RawConn
	epfd    int
	wakeR   int // a pipe: written to when something is in the queue
	wakeW   int
	wg      sync.WaitGroup

	mu      sync.Mutex // guards what follows
	drivers map[int32]*driver
	queue   []*driver // to leave the loop
	woken   bool
	stopped bool
}

// NewLoop starts a loop. Stop ends it, when no connection uses it any more.
func NewLoop(m *metrics.Metrics) (*Loop, error) {
	l := &Loop{metrics: m, drivers: make(map[int32]*driver)}
	var err error
	if l.epfd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	pipe := make([]int, 2)
	if err = syscall.Pipe2(pipe, syscall.O_NONBLOCK|syscall.O_CLOEXEC); err == nil {
		l.wakeR, l.wakeW = pipe[0], pipe[1]
		err = l.watch(l.wakeR)
	}
	if err == nil {
		err = syscall.SetNonblock(l.epfd, true) // so that the runtime polls it
	}
	if err == nil {
		l.epoll = os.NewFile(uintptr(l.epfd), "epoll")
		l.raw, err = l.epoll.SyscallConn()
	}
	if err != nil {
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	l.wg.Go(l.run)
	return l, nil
}

// Stop ends the loop.
func (l *Loop) Stop() {
	l.mu.Lock()
	l.stopped = true
	l.wake()
	l.mu.Unlock()
	l.wg.Wait()
	_ = l.epoll.Close()
	_ = syscall.Close(l.wakeR)
	_ = syscall.Close(l.wakeW)
}

// wake has the loop look at its queue. The caller holds l.mu.
func (l *Loop) wake() {
	if !l.woken {
		l.woken = true
		_, _ = syscall.Write(l.wakeW, []byte{0})
	}
}

func (l *Loop) watch(fd int) error {
	return syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: epollEvents, Fd: int32(fd)})
}

// add takes a connection in that only waits for input.
func (l *Loop) add(d *driver, fd int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.drivers[int32(fd)] = d
	if err := l.watch(fd); err != nil {
		delete(l.drivers, int32(fd))
		return false
	}
	return true
}

// remove takes it out. It reports whether it was there.
func (l *Loop) remove(d *driver) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drivers[int32(d.fd)] != d {
		return false
	}
	delete(l.drivers, int32(d.fd))
	_ = syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_DEL, d.fd, nil)
	return true
}

// eject has a connection leave the loop, to be ended.
func (l *Loop) eject(d *driver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, d)
	l.wake()
}

// unread is a socket that may have more to read than was read. ends: its end was told, and is not told again.
type unread struct {
	fd   int32
	ends bool
}

// run handles events, one flush for all that a round brings.
func (l *Loop) run() {
	b := NewBatch()
	buf := make([]byte, readBytes)
	events := make([]syscall.EpollEvent, loopEvents)
	var more, again []unread
	for {
		n := 0
		err := l.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(fd), events, 0)
			return (n != 0 || len(more) > 0) && err != syscall.EINTR
		})
		if err != nil {
			return
		}
		b.Now = time.Now()
		again, more = more, again[:0]
		for _, u := range again {
			if l.serve(b, u.fd, buf, u.ends) {
				more = append(more, u)
			}
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == l.wakeR {
				_, _ = syscall.Read(l.wakeR, buf)
			} else if ends := e.Events&^syscall.EPOLLIN != 0; l.serve(b, e.Fd, buf, ends) {
				more = append(more, unread{e.Fd, ends})
			}
		}
		b.Flush(l.metrics)
		if l.dismiss() {
			return
		}
	}
}

// serve reads what one connection's client sent, and feeds it. It reports whether there may be more: a full buffer, or,
// where that is known to come, the end.
func (l *Loop) serve(b *Batch, fd int32, buf []byte, ends bool) (more bool) {
	l.mu.Lock()
	d := l.drivers[fd]
	l.mu.Unlock()
	if d == nil {
		return false
	}
	n, err := readFD(uintptr(fd), buf)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err == nil && n == 0:
		err = io.EOF
	}
	if err != nil {
		l.hand(d, Hungry, err)
		return false
	}
	if s := d.c.Feed(b, buf[:n]); s != Hungry || d.c.ending.Load() != nil {
		l.hand(d, s, nil)
		return false
	}
	return ends || n == len(buf)
}

// hand gives a connection to a goroutine.
func (l *Loop) hand(d *driver, s Status, err error) {
	if l.remove(d) {
		go d.run(s, err)
	}
}

// dismiss hands over what is to leave the loop. It reports whether the loop is to end.
func (l *Loop) dismiss() (stopped bool) {
	l.mu.Lock()
	queue := l.queue
	l.queue, l.woken = nil, false
	stopped = l.stopped
	l.mu.Unlock()
	for _, d := range queue {
		l.hand(d, Hungry, nil)
	}
	return stopped
}
