package conn

import (
	"sync"
	"syscall"
	"time"
)

const (
	writeBytes    = 64 << 10        // at a time, so that a slow reader is seen to read
	lingerTimeout = 2 * time.Second // for a client to read our last words and close
	lastWrites    = 3 * time.Second // for what is to be written when the connection ends
	lingerBytes   = 16 * readBytes  // of what a client still sends, read and thrown away
)

// writeAttempt is one write that does not wait. Its function is made once, so that a write allocates nothing.
type writeAttempt struct {
	p   []byte
	n   int
	err error
	try func(fd uintptr) bool
}

var writeAttempts = sync.Pool{New: func() any {
	a := new(writeAttempt)
	a.try = func(fd uintptr) bool {
		a.n, a.err = writeFD(fd, a.p)
		return true
	}
	return a
}}

// TryWrite implements Transport.
func (d *driver) TryWrite(p []byte) (n int, more bool, err error) {
	switch {
	case d.raw == nil:
		return 0, true, nil
	case d.layers != nil:
		drained, err := d.layers.TryWrite(p[:min(len(p), writeBytes)])
		if err != nil {
			return 0, false, err
		}
		n = min(len(p), writeBytes)
		return n, !drained || n < len(p), nil
	}
	a := writeAttempts.Get().(*writeAttempt)
	a.p = p
	err = d.raw.Write(a.try)
	n = max(a.n, 0)
	if err == nil && a.err != syscall.EAGAIN {
		err = a.err
	}
	*a = writeAttempt{try: a.try}
	writeAttempts.Put(a)
	return n, n < len(p), err
}

// WriteRest implements Transport: a goroutine waits for the socket, for as long as there is something to write.
func (d *driver) WriteRest(rest []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	d.waiting++
	if d.c.IsClosing() {
		_ = d.nc.SetWriteDeadline(time.Now().Add(lastWrites))
	}
	d.writers.Go(func() {
		d.writeRest(rest)
		d.mu.Lock()
		d.waiting--
		d.mu.Unlock()
	})
}

func (d *driver) writeRest(rest []byte) {
	b := NewBatch()
	err := d.drain()
	whole := rest
	for err == nil {
		if len(rest) > 0 {
			var n int
			n, err = d.write(rest[:min(len(rest), writeBytes)])
			d.c.opts.Metrics.BytesSent.Add(int64(n))
			if rest = rest[n:]; err == nil && len(rest) > 0 {
				d.c.tookSome()
			}
			continue
		}
		putBuffer(whole)
		b.Now = time.Now()
		d.c.wrote(b)
		rest = d.c.take()
		whole = rest
		b.Flush(d.c.opts.Metrics)
		if rest == nil {
			return
		}
	}
	d.c.broken()
}

// write writes p, and waits until it is.
func (d *driver) write(p []byte) (int, error) {
	if d.layers == nil {
		return d.nc.Write(p)
	}
	drained, err := d.layers.TryWrite(p)
	if err == nil && !drained {
		err = d.drain()
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (d *driver) drain() error {
	if d.layers == nil {
		return nil
	}
	return d.layers.Drain()
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

// leave ends a connection at once whose client has left, if nothing is to be written or waited for. It reports false, with
// nothing done, if there is.
func (d *driver) leave() bool {
	d.mu.Lock()
	waiting := d.waiting
	d.loop = nil
	d.mu.Unlock()
	if waiting > 0 || d.c.ending.Load() != nil || !d.gone && !d.c.hasLeft() || !d.c.isDrained() {
		return false
	}
	d.c.Close(0, "")
	d.end()
	return true
}

// end closes the socket and says that the connection is over.
func (d *driver) end() {
	_ = d.nc.Close()
	d.c.broken()
	d.mu.Lock()
	d.over = true
	d.mu.Unlock()
	d.writers.Wait()
	d.ended()
}
