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
	writeBytes     = 64 << 10 // at a time, so that a slow reader is seen to read
	smallReadBytes = 2 << 10
	lingerTimeout  = 2 * time.Second // for a client to read our last words and close
	lastWrites     = 3 * time.Second // for what is to be written when the connection ends
	lingerBytes    = 16 * readBytes  // of what a client still sends, read and thrown away
	lastReads      = time.Second     // for the input that a connection is closed after
	lastReadBytes  = 16 * readBytes  // of it
	lastReadWait   = time.Millisecond
)

var readBuffers = sync.Pool{New: func() any { b := make([]byte, readBytes); return &b }}

// Socket is what a driver reads from and writes to. With a kernel's socket at hand, the driver waits for that to be
// readable, and holds no buffer meanwhile.
type Socket struct {
	Conn net.Conn
	Bare syscall.RawConn // the kernel's socket, if Conn is nothing but that
	// Below is the kernel's socket below the layers (TLS, WebSocket) of Conn, and ReadNow reads from Conn without
	// waiting: it returns WouldBlock when there is nothing.
	Below      syscall.RawConn
	ReadNow    func([]byte) (int, error)
	WouldBlock error
	// Loop, if not nil, waits for Bare, so that an idle connection needs no goroutine.
	Loop *Loop
}

// Drive gives a connection its driver: start starts it, and calls over when the connection has ended and nothing of it
// runs any more.
func Drive(c *Conn, s Socket) (start func(over func())) {
	d := &driver{c: c, nc: s.Conn, raw: s.Bare, socket: s, resumed: make(chan struct{}, 1), fd: -1}
	c.Drive(d, d.wake)
	return func(over func()) {
		d.ended = over
		if !d.park() {
			go d.run(Hungry, nil)
		}
	}
}

// run feeds the connection, from the state in which it was left or with the error that it met, until the loop takes it
// or it ends.
func (d *driver) run(s Status, err error) {
	if d.read(s, err) {
		return // parked
	}
	d.c.Close(0, "")
	d.linger()
	_ = d.nc.Close()
	d.c.broken()
	d.mu.Lock()
	d.over = true
	d.mu.Unlock()
	d.writers.Wait()
	d.ended()
}

// park gives the connection to the loop, if there is one and it only waits for input. The caller does nothing with it
// after that.
func (d *driver) park() bool {
	if d.raw == nil || d.socket.Loop == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.c.IsClosing() || d.c.ending.Load() != nil {
		return false
	}
	if d.fd < 0 {
		if err := d.raw.Control(func(fd uintptr) { d.fd = int(fd) }); err != nil {
			return false
		}
	}
	d.parked = d.socket.Loop.add(d, d.fd)
	return d.parked
}

type driver struct {
	c       *Conn
	nc      net.Conn
	raw     syscall.RawConn
	resumed chan struct{}
	mu      sync.Mutex // guards over and last, and keeps writers from growing once over is set
	over    bool
	last    bool // what is read is the last input, and deadlines are the reader's to set
	parked  bool // the loop may have it
	fd      int  // of the kernel's socket; -1: not known
	ended   func()
	writers sync.WaitGroup
	socket  Socket
	small   []byte // for connections without a kernel's socket, which cannot wait without a buffer
	gone    bool   // the client is: there is nobody to linger for
}

// wake lets the goroutine look again: at a suspension that ended, or at a connection that did or is to.
func (d *driver) wake() {
	select {
	case d.resumed <- struct{}{}:
	default:
	}
	closing := d.c.IsClosing()
	if closing {
		_ = d.nc.SetWriteDeadline(time.Now().Add(lastWrites)) // a layer may write while it reads
	} else if d.c.ending.Load() == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if closing || !d.last {
		_ = d.nc.SetReadDeadline(time.Unix(1, 0))
	}
	if d.parked {
		d.parked = false
		d.socket.Loop.eject(d)
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
		_ = d.nc.SetReadDeadline(time.Now().Add(lastReadWait))
		var err error
		if s, err = d.readOnce(count); err != nil {
			d.gone = !errors.Is(err, os.ErrDeadlineExceeded)
			return
		}
	}
}

// readOnce waits for bytes and feeds them.
func (d *driver) readOnce(feed func([]byte) Status) (s Status, err error) {
	switch {
	case d.raw != nil:
		return d.readRaw(feed)
	case d.socket.Below != nil:
		return d.readLayered(feed)
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

// readRaw waits until the socket is readable, and only then takes a buffer.
func (d *driver) readRaw(feed func([]byte) Status) (s Status, err error) {
	var buf *[]byte
	var n int
	var readErr error
	err = d.raw.Read(func(fd uintptr) bool {
		if buf == nil {
			buf = readBuffers.Get().(*[]byte)
		}
		n, readErr = readFD(fd, *buf)
		if readErr == syscall.EAGAIN {
			readBuffers.Put(buf)
			buf = nil
			return false
		}
		return true
	})
	if buf == nil {
		return s, err
	}
	defer readBuffers.Put(buf)
	if err == nil {
		err = readErr
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return s, err
	}
	return feed((*buf)[:n]), nil
}

// readLayered waits until the socket below is readable or the layers hold something.
func (d *driver) readLayered(feed func([]byte) Status) (Status, error) {
	for {
		buf := readBuffers.Get().(*[]byte)
		n, err := d.socket.ReadNow(*buf)
		if err == nil || n > 0 {
			s := feed((*buf)[:n])
			readBuffers.Put(buf)
			return s, nil
		}
		readBuffers.Put(buf)
		if !errors.Is(err, d.socket.WouldBlock) {
			return 0, err
		}
		if err := d.socket.Below.Read(isReadable); err != nil {
			return 0, err
		}
	}
}

// TryWrite implements Transport.
func (d *driver) TryWrite(p []byte) (int, error) {
	if d.raw == nil {
		return 0, nil
	}
	var n int
	var writeErr error
	err := d.raw.Write(func(fd uintptr) bool {
		n, writeErr = writeFD(fd, p)
		return true
	})
	if err == nil && writeErr != syscall.EAGAIN {
		err = writeErr
	}
	return max(n, 0), err
}

// WriteRest implements Transport: a goroutine waits for the socket, for as long as there is something to write.
func (d *driver) WriteRest(rest []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	d.writers.Go(func() {
		b := NewBatch()
		for rest != nil {
			n, err := d.nc.Write(rest[:min(len(rest), writeBytes)])
			d.c.opts.Metrics.BytesSent.Add(int64(n))
			if err != nil {
				d.c.broken()
				return
			}
			if rest = rest[n:]; len(rest) > 0 {
				d.c.tookSome()
				continue
			}
			b.Now = time.Now()
			d.c.wrote(b)
			rest = d.c.take()
			b.Flush(d.c.opts.Metrics)
		}
	})
}

// linger writes what is left and lets the client read it: closing a socket with unread input destroys what the peer has
// not read yet.
func (d *driver) linger() {
	if d.gone {
		return
	}
	_ = d.nc.SetWriteDeadline(time.Now().Add(lastWrites))
	b := NewBatch()
	if idle := d.c.drained(); idle != nil {
		d.c.flush(b)
		b.Flush(d.c.opts.Metrics)
		t := time.NewTimer(lastWrites)
		select {
		case <-idle:
		case <-t.C:
		}
		t.Stop()
	}
	if w, ok := d.nc.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_ = d.nc.SetReadDeadline(time.Now().Add(lingerTimeout))
	buf := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(buf)
	for left := lingerBytes; left > 0; {
		n, err := d.nc.Read(*buf)
		if err != nil {
			return
		}
		left -= n
	}
}
