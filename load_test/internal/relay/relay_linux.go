//go:build linux && !386

package relay

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/barid-mqtt/barid/mqtt"
)

const (
	readBytes = 64 << 10
	atOnce    = 256 // events
	waitMS    = 100 // after which the context is looked at
	epollET   = 1 << 31
)

// relay is the state of the one thread.
type relay struct {
	epfd   int
	listen int
	peers  map[int32]*peer
	routes map[string][]*peer // who gets a topic, as far as it was asked for
	dirty  []*peer
	buf    []byte
}

// peer is a client.
type peer struct {
	fd      int
	tail    []byte // of a packet that has not come as a whole
	out     []byte
	filters []string
}

// Run listens and relays until ctx is done.
func Run(ctx context.Context, address string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return serve(ctx, ln.(*net.TCPListener))
}

// serve relays for who connects to a listener, which it closes, until ctx is done.
func serve(ctx context.Context, ln *net.TCPListener) error {
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		return err
	}
	defer f.Close()
	r := &relay{listen: int(f.Fd()), peers: map[int32]*peer{}, routes: map[string][]*peer{}, buf: make([]byte, readBytes)}
	if r.epfd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	defer r.close()
	if err = syscall.SetNonblock(r.listen, true); err == nil {
		err = r.watch(r.listen)
	}
	if err != nil {
		return fmt.Errorf("watching the listener: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for events := make([]syscall.EpollEvent, atOnce); ctx.Err() == nil; {
		r.round(events)
	}
	return nil
}

func (r *relay) close() {
	for fd := range r.peers {
		_ = syscall.Close(int(fd))
	}
	_ = syscall.Close(r.epfd)
}

func (r *relay) watch(fd int) error {
	return syscall.EpollCtl(r.epfd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | epollET, Fd: int32(fd)})
}

// round waits, reads what has come, and writes once to each who gets something.
func (r *relay) round(events []syscall.EpollEvent) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(r.epfd), uintptr(unsafe.Pointer(&events[0])), atOnce, waitMS, 0, 0)
	if errno != 0 {
		return
	}
	for _, e := range events[:n] {
		if int(e.Fd) == r.listen {
			r.accept()
		} else if p := r.peers[e.Fd]; p != nil {
			r.read(p)
		}
	}
	for _, p := range r.dirty {
		r.write(p)
	}
	r.dirty = r.dirty[:0]
}

func (r *relay) accept() {
	for {
		fd, _, err := syscall.Accept4(r.listen, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		r.peers[int32(fd)] = &peer{fd: fd}
		if r.watch(fd) != nil {
			r.drop(r.peers[int32(fd)])
		}
	}
}

// drop forgets a client that has left, sent nonsense, or does not take what it gets.
func (r *relay) drop(p *peer) {
	if r.peers[int32(p.fd)] == p {
		delete(r.peers, int32(p.fd))
		clear(r.routes)
		_ = syscall.Close(p.fd)
	}
}

func call(number uintptr, fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

func (r *relay) read(p *peer) {
	for {
		n, errno := call(syscall.SYS_RECVFROM, p.fd, r.buf)
		switch {
		case errno == syscall.EAGAIN:
			return
		case errno != 0 || n == 0:
			r.drop(p)
			return
		}
		data := r.buf[:n]
		if len(p.tail) > 0 {
			p.tail = append(p.tail, data...)
			data = p.tail
		}
		rest, ok := r.packets(p, data)
		if !ok {
			r.drop(p)
			return
		}
		p.tail = append(p.tail[:0], rest...)
		if n < len(r.buf) {
			return // what comes now is told anew
		}
	}
}

// packets handles the whole packets in data and returns what is left.
func (r *relay) packets(p *peer, data []byte) (rest []byte, ok bool) {
	for {
		head, size := header(data)
		if size < 0 {
			return nil, false
		}
		if head == 0 || len(data) < head+size {
			return data, true
		}
		if !r.packet(p, data[:head+size], data[head:head+size]) {
			return nil, false
		}
		data = data[head+size:]
	}
}

// header returns the length of a packet's fixed header, 0 if it has not come as a whole, and of the rest, -1 if that is
// nonsense.
func header(data []byte) (head, size int) {
	for i := 1; i < len(data); i++ {
		size |= int(data[i]&0x7F) << (7 * (i - 1))
		if data[i] < 0x80 {
			return i + 1, size
		}
		if i == 4 {
			return 0, -1
		}
	}
	return 0, 0
}

// packet handles one packet, whose body is what follows its header.
func (r *relay) packet(p *peer, whole, body []byte) bool {
	switch whole[0] >> 4 {
	case 1: // CONNECT
		r.send(p, []byte{0x20, 2, 0, 0})
	case 3: // PUBLISH
		topic, ok := text(body)
		if !ok || whole[0]&0x06 != 0 {
			return false
		}
		for _, to := range r.route(topic) {
			r.send(to, whole)
		}
	case 8: // SUBSCRIBE
		if len(body) < 2 {
			return false
		}
		filter, ok := text(body[2:])
		p.filters = append(p.filters, string(filter))
		clear(r.routes)
		r.send(p, []byte{0x90, 3, body[0], body[1], 0})
		return ok
	case 12: // PINGREQ
		r.send(p, []byte{0xD0, 0})
	}
	return true
}

// text reads a string behind its length.
func text(b []byte) ([]byte, bool) {
	if len(b) < 2 {
		return nil, false
	}
	n := int(b[0])<<8 | int(b[1])
	if len(b) < 2+n {
		return nil, false
	}
	return b[2 : 2+n], true
}

// route returns who subscribed to a topic.
func (r *relay) route(topic []byte) []*peer {
	to, known := r.routes[string(topic)]
	if known {
		return to
	}
	name := string(topic)
	for _, p := range r.peers {
		for _, f := range p.filters {
			if mqtt.MatchTopic(f, name) {
				to = append(to, p)
				break
			}
		}
	}
	r.routes[name] = to
	return to
}

func (r *relay) send(p *peer, data []byte) {
	if len(p.out) == 0 {
		r.dirty = append(r.dirty, p)
	}
	p.out = append(p.out, data...)
}

// write writes what a client gets, and waits for it to take that.
func (r *relay) write(p *peer) {
	for out := p.out; len(out) > 0 && r.peers[int32(p.fd)] == p; {
		n, errno := call(syscall.SYS_SENDTO, p.fd, out)
		switch errno {
		case 0:
			out = out[n:]
		case syscall.EAGAIN, syscall.EINTR:
			runtime.Gosched()
		default:
			r.drop(p)
		}
	}
	p.out = p.out[:0]
}
