package conn

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	readBytes      = 64 << 10
	smallReadBytes = 2 << 10
	lastReads      = time.Second    // for the input that a connection is closed after
	lastReadBytes  = 16 * readBytes // of it
	lastReadWait   = time.Millisecond
)

var readBuffers = sync.Pool{New: func() any { b := make([]byte, readBytes); return &b }}

// Socket is what a driver reads from and writes to. With a kernel's socket at hand, the driver waits for that to be
// readable, and holds no buffer meanwhile.
type Socket struct {
	Conn net.Conn
	Bare syscall.RawConn // the kernel's socket, if Conn is nothing but that
	// Below is the kernel's socket below the layers (TLS, WebSocket) of Conn, and Layers are those; both nil: there is no
	// such socket.
	Below  syscall.RawConn
	Layers Layers
	// Loops, if not nil, wait for the kernel's socket, so that an idle connection needs no goroutine.
	Loops *Loops
}

// Layers are what lies between a kernel's socket and MQTT. None of their calls but Drain waits.
type Layers interface {
	// TryRead reads what can be read now: 0 and no error if that is nothing.
	TryRead(p []byte) (int, error)
	// TryWrite takes all of p. What of it the socket does not take at once stays in the layers, for Drain.
	TryWrite(p []byte) (drained bool, err error)
	// Drain writes what is left in the layers, as far as the write deadline allows.
	Drain() error
}

// Drive gives a connection its driver: start starts it, and calls over when the connection has ended and nothing of it
// runs any more.
func Drive(c *Conn, s Socket) (start func(over func())) {
	d := &driver{c: c, nc: s.Conn}
	d.findSocket(&s)
	c.Drive(d, d.wake)
	return func(over func()) {
		d.ended = over
		if !d.park() {
			d.unpark()
			go d.run(Hungry, nil)
		}
	}
}

// driver reads and writes for one connection. One goroutine at a time reads: a loop's, or one of its own.
type driver struct {
	// Static after start.
	c      *Conn
	nc     net.Conn
	raw    syscall.RawConn // nil: no kernel's socket
	layers Layers          // nil: nothing between that and MQTT
	loops  *Loops
	fd     int // of the kernel's socket
	ended  func()

	// Owned by whoever reads.
	stalled  bool   // in a loop: nothing is read until the connection is resumed
	ends     bool   // its end was told, and is not told again
	gone     bool   // the client is: there is nobody to linger for
	window   uint32 // in which activity was counted
	activity uint32
	small    []byte // for connections without a kernel's socket, which cannot wait without a buffer

	mu      sync.Mutex // guards what follows, and keeps writers from growing once over is set
	loop    *Loop      // that has the connection; nil: a goroutine has
	resumed chan struct{}
	over    bool
	last    bool // what is read is the last input, and deadlines are the reader's to set
	waiting int  // writes that wait for the socket
	writers sync.WaitGroup
}

// findSocket takes the kernel's socket, if there is one that can be read without waiting.
func (d *driver) findSocket(s *Socket) {
	raw := s.Bare
	if raw == nil {
		raw = s.Below
	}
	if raw == nil || !rawIO || s.Bare == nil && s.Layers == nil {
		return
	}
	if err := raw.Control(func(fd uintptr) { d.fd = int(fd) }); err != nil {
		return // closed already: reading says so
	}
	d.raw, d.layers, d.loops = raw, s.Layers, s.Loops
}

// park gives the connection to a loop, if there is one and it only waits for input. The caller does nothing with it after
// that.
func (d *driver) park() bool {
	if d.raw == nil || d.loops == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.c.IsClosing() || d.c.ending.Load() != nil {
		return false
	}
	return d.loops.take(d)
}

// unpark takes note that a goroutine has the connection from now on.
func (d *driver) unpark() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loop = nil
	if d.resumed == nil {
		d.resumed = make(chan struct{}, 1)
	}
	select {
	case d.resumed <- struct{}{}: // the loop was told what the goroutine has to know
	default:
	}
	if d.c.IsClosing() || d.c.ending.Load() != nil { // said to the loop, which has it no more
		_ = d.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// run feeds the connection, from the state in which it was left or with the error that it met, until a loop takes it or
// it ends.
func (d *driver) run(s Status, err error) {
	if d.read(s, err) {
		return // parked
	}
	d.c.Close(0, "")
	d.linger()
	d.end()
}

// wake has whoever reads look again: at a suspension that ended, or at a connection that did or is to.
func (d *driver) wake() {
	closing := d.c.IsClosing()
	d.mu.Lock()
	defer d.mu.Unlock()
	if closing && (d.waiting > 0 || d.raw == nil) {
		_ = d.nc.SetWriteDeadline(time.Now().Add(lastWrites)) // without a kernel's socket a layer may write while it reads
	}
	if d.loop != nil {
		d.loop.look(d)
		return
	}
	if d.resumed == nil { // nobody has it yet, or any more
		return
	}
	select {
	case d.resumed <- struct{}{}:
	default: // it will
	}
	if closing || !d.last && d.c.ending.Load() != nil {
		_ = d.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// read feeds the connection, which is in state s or met err, until it takes nothing more or is parked.
func (d *driver) read(s Status, err error) (parked bool) {
	b := NewBatch()
	m := d.c.opts.Metrics
	feed := func(data []byte) Status {
		b.Now = time.Now()
		s := d.c.Feed(b, data)
		b.Flush(m)
		return s
	}
	for begun := s != Hungry || err != nil; ; begun = false {
		if !begun {
			if d.park() {
				return true
			}
			s, err = d.readOnce(feed)
		}
		for err == nil && s == Suspended && d.c.ending.Load() == nil {
			if d.c.IsSuspended() {
				<-d.resumed
			}
			s = feed(nil)
		}
		if end := d.c.ending.Load(); end != nil && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)) {
			d.readLast(feed, s)
			d.c.Close(end.code, end.reason)
			return false
		}
		if err != nil {
			d.gone = !errors.Is(err, os.ErrDeadlineExceeded)
			return false
		}
		if s == Closed {
			return false
		}
	}
}

// readLast feeds the connection what has arrived by now, within limits: it may be a client that goes on sending.
func (d *driver) readLast(feed func([]byte) Status, s Status) {
	left := lastReadBytes
	count := func(data []byte) Status {
		left -= len(data)
		return feed(data)
	}
	d.mu.Lock()
	d.last = true
	d.mu.Unlock()
	first := time.Now()
	t := time.NewTimer(lastReads)
	defer t.Stop()
	for left > 0 && s != Closed {
		if s == Suspended {
			if d.c.IsSuspended() {
				select {
				case <-d.resumed:
				case <-t.C:
					return
				}
			}
			s = feed(nil)
			continue
		}
		set := time.Now()
		_ = d.nc.SetReadDeadline(set.Add(lastReadWait))
		var err error
		begun := time.Now()
		if s, err = d.readOnce(count); err == nil {
			continue
		}
		d.gone = !errors.Is(err, os.ErrDeadlineExceeded)
		// On a busy machine the deadline may have passed before the read began, which then looked at nothing.
		late := begun.Sub(set) > lastReadWait/2 || time.Since(begun) > 2*lastReadWait
		if d.gone || !late || time.Since(first) > lastReads {
			return
		}
		s = Hungry
	}
}

// readOnce waits for bytes and feeds them.
func (d *driver) readOnce(feed func([]byte) Status) (s Status, err error) {
	if d.raw != nil {
		return d.readRaw(feed)
	}
	if d.small == nil {
		d.small = make([]byte, smallReadBytes)
	}
	n, err := d.nc.Read(d.small)
	if n > 0 {
		s, err = feed(d.small[:n]), nil
	}
	if n < len(d.small) || err != nil || s != Hungry {
		return s, err
	}
	return d.readMore(feed) // there may be more where this came from
}

// readMore reads on into a large buffer for as long as reads fill a good part of it.
func (d *driver) readMore(feed func([]byte) Status) (s Status, err error) {
	buf := *readBuffers.Get().(*[]byte)
	defer readBuffers.Put(&buf)
	for {
		n, err := d.nc.Read(buf)
		if n > 0 {
			s = feed(buf[:n])
		}
		if err != nil || s != Hungry || n < smallReadBytes || d.c.ending.Load() != nil {
			return s, err
		}
	}
}

// readRaw reads without waiting, and waits for the kernel's socket without a buffer when there is nothing.
func (d *driver) readRaw(feed func([]byte) Status) (s Status, err error) {
	for {
		buf := readBuffers.Get().(*[]byte)
		n, _, err := d.tryRead(*buf)
		if n > 0 {
			s = feed((*buf)[:n])
		}
		readBuffers.Put(buf)
		if n > 0 || err != nil {
			return s, err
		}
		if err := d.raw.Read(isReadable); err != nil {
			return 0, err
		}
	}
}

// tryRead reads what there is, as far as it fits into p. full says that there may be more than that.
func (d *driver) tryRead(p []byte) (n int, full bool, err error) {
	if d.layers == nil {
		n, err = readFD(uintptr(d.fd), p)
		switch {
		case err == syscall.EAGAIN:
			return 0, false, nil
		case err == nil && n == 0:
			err = io.EOF
		}
		return max(n, 0), n == len(p), err
	}
	for len(p)-n >= layeredReadBytes {
		k, err := d.layers.TryRead(p[n:])
		n += k
		if err != nil && n > 0 {
			return n, true, nil // it comes again
		}
		if k == 0 || err != nil {
			return n, false, err
		}
	}
	return n, true, nil
}

// layeredReadBytes is room for what a layer gives at a time.
const layeredReadBytes = 16 << 10
