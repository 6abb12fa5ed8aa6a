package memnet

import (
	"net"
	"os"
	"sync"
	"time"
)

// keepBytes is how much of an empty buffer a stream keeps: many idle connections must not hold what they once needed.
const keepBytes = 4 << 10

// stream is one direction of a connection.
type stream struct {
	limit int // static

	mu        sync.Mutex // guards what follows
	change    sync.Cond  // broadcast at every change of it
	buf       []byte     // buf[off:] is unread
	off       int
	end       error // what the reader gets when nothing is unread; nil: the writer may write more
	writerErr error // what writes fail with; nil: open
	closed    bool  // the reading end was closed
	writing   bool  // a write is under way; others wait, so that their bytes do not mix
	readBy    deadline
	writeBy   deadline
}

func newStream(limit int) *stream {
	s := &stream{limit: limit}
	s.change.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) == 0 && !s.closed {
		return 0, nil
	}
	if err := s.awaitReadable(); err != nil {
		return 0, err
	}
	n := copy(p, s.buf[s.off:])
	if n == 0 {
		return 0, s.end
	}
	s.off += n
	if s.off == len(s.buf) {
		s.off, s.buf = 0, s.buf[:0]
		if cap(s.buf) > keepBytes {
			s.buf = nil
		}
	}
	s.change.Broadcast()
	return n, nil
}

func (s *stream) waitReadable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.awaitReadable()
}

// awaitReadable waits until something is unread or the stream has ended.
func (s *stream) awaitReadable() error {
	for {
		switch {
		case s.closed:
			return net.ErrClosed
		case s.readBy.passed():
			return os.ErrDeadlineExceeded
		case s.off < len(s.buf) || s.end != nil:
			return nil
		}
		s.change.Wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing {
		if err := s.writeError(); err != nil {
			return 0, err
		}
		s.change.Wait()
	}
	s.writing = true
	defer func() {
		s.writing = false
		s.change.Broadcast()
	}()
	for {
		if err := s.writeError(); err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
		room := s.limit - (len(s.buf) - s.off)
		if room <= 0 {
			s.change.Wait()
			continue
		}
		n += s.put(p[n:min(len(p), n+room)])
	}
}

// writeError says why a write cannot go on now.
func (s *stream) writeError() error {
	if s.writerErr == nil && s.writeBy.passed() {
		return os.ErrDeadlineExceeded
	}
	return s.writerErr
}

// put appends p, for which there is room, and wakes the reader.
func (s *stream) put(p []byte) int {
	if s.off > 0 && len(s.buf)+len(p) > cap(s.buf) {
		s.buf = s.buf[:copy(s.buf, s.buf[s.off:])]
		s.off = 0
	}
	s.buf = append(s.buf, p...)
	s.change.Broadcast()
	return len(p)
}

func (s *stream) unread() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.buf) - s.off
}

// closeWrite ends the stream for its reader, once it has read everything, with end; writes fail with writerErr. It
// reports whether the stream was open.
func (s *stream) closeWrite(end, writerErr error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.end == nil
	if open {
		s.end = end
	}
	if s.writerErr != net.ErrClosed { // a closed end stays closed
		s.writerErr = writerErr
	}
	s.writeBy.stop()
	s.change.Broadcast()
	return open
}

// closeRead closes the reading end: reads there fail, unread bytes are gone, and the peer's writes fail with writerErr
// unless they did already. It reports whether the end was open.
func (s *stream) closeRead(writerErr error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.closed = true
	if s.writerErr == nil {
		s.writerErr = writerErr
	}
	s.buf, s.off = nil, 0
	s.readBy.stop()
	s.change.Broadcast()
	return true
}

// reset ends the stream at once: its reader loses what is unread and gets err.
func (s *stream) reset(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end, s.writerErr = err, net.ErrClosed
	s.buf, s.off = nil, 0
	s.writeBy.stop()
	s.change.Broadcast()
}

func (s *stream) setReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if s.readBy.set(t, s.wake) {
		s.change.Broadcast()
	}
	return nil
}

func (s *stream) setWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writerErr == net.ErrClosed {
		return net.ErrClosed
	}
	if s.writeBy.set(t, s.wake) {
		s.change.Broadcast()
	}
	return nil
}

// wake lets everybody who waits look again.
func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change.Broadcast()
}

// deadline is a point in time at which somebody is woken. The stream's mutex guards it.
type deadline struct {
	at    time.Time // zero: none
	timer *time.Timer
}

// set moves the deadline to t, and calls wake when it passes. It reports whether it has passed already, for the caller to
// wake those who wait: a timer that is due at once is run, in virtual time, on a stack for which the race detector may
// have no context, and it crashes (seen with Go 1.26).
func (d *deadline) set(t time.Time, wake func()) (passed bool) {
	d.stop()
	if t.IsZero() {
		return false
	}
	// A time without a monotonic reading could still lie ahead when its timer has fired.
	left := time.Until(t)
	d.at = time.Now().Add(left)
	if left <= 0 {
		return true
	}
	d.timer = time.AfterFunc(left, wake)
	return false
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
	*d = deadline{}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
