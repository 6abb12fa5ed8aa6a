package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/barid-mqtt/barid/mqtt"
)

// polledLoad publishes with QoS 1 over many sockets, and reads for subscribers, all in one event loop: what a generator
// costs itself is taken from the broker that it shares the processors with. Packets are encoded once, and nothing is
// allocated while it runs.
type polledLoad struct {
	epfd    int
	ends    map[int32]*polledEnd
	pubs    []*polledEnd
	events  []syscall.EpollEvent
	in      []byte
	window  int
	sending bool

	sent, acked, delivered int
}

// polledEnd is one client's socket.
type polledEnd struct {
	fd       int
	packets  []byte // a publisher's next window of packets; nil: a subscriber
	size     int    // of one of them
	idAt     int    // where in it its identifier is
	next     int    // number of the next message
	underway int
	partial  int    // bytes of an acknowledgement that has come in part
	rest     []byte // of a packet that has come in part, for a subscriber
	acks     []byte
}

func newPolledLoad(t testing.TB, window int) *polledLoad {
	t.Helper()
	l := &polledLoad{ends: map[int32]*polledEnd{}, events: make([]syscall.EpollEvent, 256), in: make([]byte, 256<<10), window: window}
	var err error
	if l.epfd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return l
}

// add takes the socket of a connection over.
func (l *polledLoad) add(t testing.TB, nc net.Conn) *polledEnd {
	t.Helper()
	f, err := nc.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(f.Fd()))
	_ = f.Close()
	_ = nc.Close()
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err == nil {
		err = syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
	}
	if err != nil {
		t.Fatal(err)
	}
	e := &polledEnd{fd: fd}
	l.ends[int32(fd)] = e
	return e
}

// publisher adds a connection that publishes to topic.
func (l *polledLoad) publisher(t testing.TB, nc net.Conn, topic string, payload []byte) {
	t.Helper()
	e := l.add(t, nc)
	one := appendPublish(nil, topic, 0, payload)
	e.size, e.idAt = len(one), len(one)-len(payload)-2
	e.packets = bytes.Repeat(one, l.window)
	l.pubs = append(l.pubs, e)
}

func (l *polledLoad) close() {
	for _, e := range l.ends {
		_ = syscall.Close(e.fd)
	}
	_ = syscall.Close(l.epfd)
}

// run publishes for as long as it is told, and then waits until all is acknowledged and, where there are subscribers,
// delivered. It returns how many messages that were, and how long all of it took.
func (l *polledLoad) run(d time.Duration) (messages int, took time.Duration, err error) {
	begun := time.Now()
	l.sending = true
	for _, e := range l.pubs {
		if err := l.fill(e); err != nil {
			return 0, 0, err
		}
	}
	last, moved := -1, begun
	for l.acked < l.sent || len(l.ends) > len(l.pubs) && l.delivered < l.sent {
		n, errno := poll(l.epfd, l.events, 1000)
		if errno != 0 && errno != syscall.EINTR {
			return 0, 0, errno
		}
		for _, event := range l.events[:n] {
			if err := l.serve(l.ends[event.Fd]); err != nil {
				return 0, 0, err
			}
		}
		now := time.Now()
		l.sending = now.Sub(begun) < d
		if done := l.acked + l.delivered; done != last {
			last, moved = done, now
		} else if now.Sub(moved) > 20*time.Second {
			return 0, 0, fmt.Errorf("nothing comes any more: %d were sent, %d acknowledged, %d delivered", l.sent, l.acked, l.delivered)
		}
	}
	return l.acked, time.Since(begun), nil
}

// poll waits without telling the runtime, since nothing else runs here meanwhile.
func poll(epfd int, events []syscall.EpollEvent, ms int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	if errno != 0 {
		n = 0
	}
	return int(n), errno
}

func rawRead(fd int, p []byte) (int, syscall.Errno) { return rawCall(syscall.SYS_READ, fd, p) }

func rawCall(call uintptr, fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		n = 0
	}
	return int(n), errno
}

// rawWrite writes all of p. What is under way is less than a socket's buffer holds, so it hardly ever waits.
func rawWrite(fd int, p []byte) error {
	for len(p) > 0 {
		n, errno := rawCall(syscall.SYS_WRITE, fd, p)
		if errno == syscall.EAGAIN {
			time.Sleep(50 * time.Microsecond)
		} else if errno != 0 {
			return errno
		}
		p = p[n:]
	}
	return nil
}

// fill sends what a publisher's window has room for, in one write, once half of it is free.
func (l *polledLoad) fill(e *polledEnd) error {
	if !l.sending || e.underway > l.window/2 {
		return nil
	}
	n := l.window - e.underway
	for i := range n {
		binary.BigEndian.PutUint16(e.packets[i*e.size+e.idAt:], uint16(e.next%60000+1))
		e.next++
	}
	e.underway += n
	l.sent += n
	return rawWrite(e.fd, e.packets[:n*e.size])
}

// serve reads what came for one end.
func (l *polledLoad) serve(e *polledEnd) error {
	n, errno := rawRead(e.fd, l.in)
	switch {
	case errno == syscall.EAGAIN:
		return nil
	case errno != 0:
		return errno
	case n == 0:
		return fmt.Errorf("the broker closed a connection")
	case e.packets == nil:
		return l.deliver(e, l.in[:n])
	}
	acks := (e.partial + n) / 4 // a PUBACK of version 3.1.1 has 4 bytes
	e.partial = (e.partial + n) % 4
	e.underway -= acks
	l.acked += acks
	return l.fill(e)
}

// deliver acknowledges what came for a subscriber.
func (l *polledLoad) deliver(e *polledEnd, b []byte) error {
	if len(e.rest) > 0 {
		e.rest = append(e.rest, b...)
		b = e.rest
	}
	e.acks = e.acks[:0]
	for {
		h, head, err := mqtt.DecodeHeader(b)
		if err != nil || len(b) < head+int(h.Remaining) {
			break
		}
		body := b[head:]
		if h.Type == mqtt.PUBLISH {
			topic := binary.BigEndian.Uint16(body)
			e.acks = append(e.acks, 0x40, 2, body[2+topic], body[3+topic])
			l.delivered++
		}
		b = body[h.Remaining:]
	}
	e.rest = append(e.rest[:0], b...)
	return rawWrite(e.fd, e.acks)
}

// serveBare is the least that a broker can do: it reads what sockets have and answers each PUBLISH at once, in one event
// loop, and knows nothing of anything else.
func serveBare(address string) error {
	nl, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	f, err := nl.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	s := bareServer{listener: int(f.Fd()), in: make([]byte, 64<<10), rest: map[int32][]byte{}}
	if s.epfd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err == nil {
		err = s.watch(s.listener)
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for events := make([]syscall.EpollEvent, 256); ; {
		n, errno := poll(s.epfd, events, 1000)
		if errno != 0 && errno != syscall.EINTR {
			return errno
		}
		for _, e := range events[:n] {
			if int(e.Fd) == s.listener {
				err = s.accept()
			} else {
				err = s.answer(e.Fd)
			}
			if err != nil {
				return err
			}
		}
	}
}

type bareServer struct {
	epfd, listener int
	in, out        []byte
	rest           map[int32][]byte // of packets that have come in part
}

func (s *bareServer) watch(fd int) error {
	return syscall.EpollCtl(s.epfd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

func (s *bareServer) accept() error {
	fd, _, err := syscall.Accept4(s.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	return s.watch(fd)
}

func (s *bareServer) answer(fd int32) error {
	n, errno := rawRead(int(fd), s.in)
	if errno == syscall.EAGAIN {
		return nil
	}
	if errno != 0 || n == 0 {
		delete(s.rest, fd)
		return syscall.Close(int(fd))
	}
	b := append(s.rest[fd], s.in[:n]...)
	var left []byte
	s.out, left = answerBare(s.out[:0], b)
	s.rest[fd] = b[:copy(b, left)]
	return rawWrite(int(fd), s.out)
}

func answerBare(out, b []byte) (answers, left []byte) {
	for {
		h, head, err := mqtt.DecodeHeader(b)
		if err != nil || len(b) < head+int(h.Remaining) {
			return out, b
		}
		body := b[head:]
		switch h.Type {
		case mqtt.CONNECT:
			out = append(out, 0x20, 2, 0, 0)
		case mqtt.SUBSCRIBE:
			out = append(out, 0x90, 3, body[0], body[1], 1)
		case mqtt.PUBLISH:
			topic := binary.BigEndian.Uint16(body)
			out = append(out, 0x40, 2, body[2+topic], body[3+topic])
		}
		b = body[h.Remaining:]
	}
}
