package loop

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// Numbers that package syscall lacks.
const (
	sysEpollPwait2  = 441 // the same for all architectures; since Linux 5.11
	prSetTimerSlack = 29
)

const maxEvents = 256

// poller waits for sockets, a time, and wake.
type poller struct {
	epfd    int
	wakeR   int
	wakeW   int
	events  [maxEvents]syscall.EpollEvent
	sockets []*socket // by descriptor; guarded by the loop's lock
	coarse  bool      // the kernel has no epoll_pwait2
}

func newPoller() (*poller, error) {
	p := new(poller)
	var err error
	if p.epfd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	pipe := make([]int, 2)
	if err := syscall.Pipe2(pipe, syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		_ = syscall.Close(p.epfd)
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	p.wakeR, p.wakeW = pipe[0], pipe[1]
	if err := p.control(syscall.EPOLL_CTL_ADD, p.wakeR, syscall.EPOLLIN); err != nil {
		p.close()
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	return p, nil
}

// start prepares the goroutine that waits. Its thread is its own, with timers as exact as the kernel has them: the
// usual slack of 50 µs would be in every latency of an open loop.
func (p *poller) start() {
	runtime.LockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0) // without it times are coarser, not wrong
}

func (p *poller) close() {
	for _, s := range p.sockets {
		if s != nil { // was still connecting
			_ = syscall.Close(s.fd)
		}
	}
	_ = syscall.Close(p.epfd)
	_ = syscall.Close(p.wakeR)
	_ = syscall.Close(p.wakeW)
}

func (p *poller) wake() { _, _ = syscall.Write(p.wakeW, []byte{0}) }

func (p *poller) sleep(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // a signal may end it early
}

func (p *poller) control(op, fd int, events uint32) error {
	return syscall.EpollCtl(p.epfd, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

// timespec64 is what epoll_pwait2 takes on every architecture; syscall.Timespec is shorter on those of 32 bits.
type timespec64 struct{ sec, nsec int64 }

// wait waits for events until the given time. It returns how many there are.
func (p *poller) wait(until int64) int {
	left := max(until-Now(), 0)
	if until != Never && !p.coarse {
		ts := timespec64{left / 1e9, left % 1e9}
		n, _, errno := syscall.Syscall6(sysEpollPwait2, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])), maxEvents,
			uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno == 0 {
			return int(n)
		}
		p.coarse = errno != syscall.EINTR
		return 0
	}
	ms := -1
	if until != Never {
		ms = int(min(left/int64(time.Millisecond), 1000))
	}
	n, err := syscall.EpollWait(p.epfd, p.events[:], ms)
	if err != nil {
		return 0
	}
	return n
}

// serve handles n events.
func (p *poller) serve(l *Loop, n int) {
	for i := range p.events[:n] {
		e := &p.events[i]
		if int(e.Fd) == p.wakeR {
			_, _ = syscall.Read(p.wakeR, l.buf)
			continue
		}
		if int(e.Fd) >= len(p.sockets) {
			continue
		}
		s := p.sockets[e.Fd]
		if s == nil || s.connecting && s.round == l.rounds { // an event of a descriptor that was closed in this round
			continue
		}
		if s.connecting {
			s.connected()
			continue
		}
		if e.Events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			s.read(l)
		}
		if e.Events&syscall.EPOLLOUT != 0 && s.open {
			s.drained()
		}
	}
}

// socket is a plain TCP connection of a client.
type socket struct {
	c          *Client
	fd         int
	round      uint64 // that it was made in
	connecting bool
	open       bool
	paused     bool
	waits      bool // for output to be taken
}

// dialSocket starts to connect a plain socket. It reports false if that needs the system's resolver or another network.
func (c *Client) dialSocket(t *Target) bool {
	family, remote := sockaddr(t.peer)
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		c.fail(fmt.Errorf("opening a socket: %w", err))
		return true
	}
	prepare(fd)
	if a, ok := t.source(dialed.Add(1)); ok {
		if err := bindSource(fd, a); err != nil {
			_ = syscall.Close(fd)
			c.fail(fmt.Errorf("binding a socket to %v: %w", a, err))
			return true
		}
	}
	err = syscall.Connect(fd, remote)
	if err != nil && !errors.Is(err, syscall.EINPROGRESS) {
		_ = syscall.Close(fd)
		c.fail(fmt.Errorf("connecting to %s: %w", t.Addr, err))
		return true
	}
	s := &socket{c: c, fd: fd, connecting: true, open: true, round: c.loop.rounds}
	p := c.loop.poll
	for fd >= len(p.sockets) {
		p.sockets = append(p.sockets, nil)
	}
	p.sockets[fd] = s
	if err := p.control(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLOUT); err != nil {
		s.close()
		c.fail(fmt.Errorf("watching a socket: %w", err))
	}
	return true
}

// fail tells the handler in the next round: not while it is dialing.
func (c *Client) fail(err error) { c.loop.Post(func() { c.handler.Closed(c, err) }) }

// prepare sets a socket's options. None is essential.
func prepare(fd int) {
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	// No TIME_WAIT: a storm would use up the ports.
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 0})
}

func (s *socket) connected() {
	code, err := syscall.GetsockoptInt(s.fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	if err == nil {
		s.connecting = false
		err = s.watch(syscall.EPOLLIN)
	}
	if err != nil {
		s.close()
		s.c.handler.Closed(s.c, fmt.Errorf("connecting: %w", err))
		return
	}
	s.c.opened(s)
}

func (s *socket) watch(events uint32) error {
	return s.c.loop.poll.control(syscall.EPOLL_CTL_MOD, s.fd, events)
}

// rewatch asks for what is wanted now. A descriptor that is watched can always be watched for something else.
func (s *socket) rewatch() {
	var events uint32
	if !s.paused {
		events |= syscall.EPOLLIN
	}
	if s.waits {
		events |= syscall.EPOLLOUT
	}
	_ = s.watch(events)
}

func (s *socket) read(l *Loop) {
	c := s.c
	kept := len(c.part)
	if kept > len(l.buf)/2 {
		l.buf = make([]byte, 2*len(l.buf))
	}
	copy(l.buf, c.part)
	n, err := syscall.Read(s.fd, l.buf[kept:])
	l.now = Now()
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
	case err != nil:
		c.ended(err)
	case n == 0:
		c.ended(io.EOF)
	default:
		c.feed(l.buf[:kept+n])
	}
}

func (s *socket) drained() {
	s.waits = false
	s.rewatch()
	s.c.drained()
}

func (s *socket) write(b []byte) (int, error) {
	n, err := syscall.Write(s.fd, b)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		n, err = 0, nil
	}
	if err == nil && n < len(b) {
		s.waits = true
		s.rewatch()
	}
	return max(n, 0), err
}

func (s *socket) pause(on bool) {
	s.paused = on
	s.rewatch()
}

func (s *socket) close() {
	s.open = false
	s.c.loop.poll.sockets[s.fd] = nil
	_ = syscall.Close(s.fd)
}
