package listener

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// outboxBytes bounds what may wait to be written. Whoever uses TryWrite drains before it writes more, so only what layers
// answer by themselves, to a client that does not read, gets there.
const outboxBytes = 1 << 20

// errOutboxFull is that bound.
var errOutboxFull = errors.New("listener: the client does not read, and too much waits to be written")

var outboxBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// outbox is what was written to a socket and is not in the kernel yet. With it no write waits.
type outbox struct {
	mu       sync.Mutex // guards what follows; nothing waits while it is held
	pending  []byte
	held     bool // writes gather, to be sent together
	draining bool // what was pending before is being written elsewhere
}

// hold gathers the writes to come until release.
func (o *outbox) hold() {
	o.mu.Lock()
	o.held = true
	o.mu.Unlock()
}

// write takes all of p, and sends what it can.
func (o *outbox) write(raw syscall.RawConn, p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending)+len(p) > outboxBytes {
		return 0, errOutboxFull
	}
	if o.pending == nil {
		o.pending = (*outboxBuffers.Get().(*[]byte))[:0]
	}
	o.pending = append(o.pending, p...)
	if o.held || o.draining {
		return len(p), nil
	}
	if err := o.send(raw); err != nil {
		return 0, err
	}
	return len(p), nil
}

// release sends what was gathered, and reports whether the kernel took it all.
func (o *outbox) release(raw syscall.RawConn) (drained bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = false
	if o.draining {
		return false, nil
	}
	err = o.send(raw)
	return o.pending == nil, err
}

// send writes what the kernel takes at once. The caller holds o.mu.
func (o *outbox) send(raw syscall.RawConn) error {
	if o.pending == nil {
		return nil
	}
	n, err := writeNow(raw, o.pending)
	if n == len(o.pending) {
		o.free(o.pending)
		o.pending = nil
		return nil
	}
	o.pending = o.pending[:copy(o.pending, o.pending[n:])]
	return err
}

func (*outbox) free(b []byte) {
	if cap(b) <= 128<<10 {
		outboxBuffers.Put(&b)
	}
}

// drain writes what is pending, and waits for that.
func (o *outbox) drain(c net.Conn) error {
	for {
		o.mu.Lock()
		p := o.pending
		o.pending, o.draining = nil, p != nil
		o.mu.Unlock()
		if p == nil {
			return nil
		}
		_, err := c.Write(p)
		o.free(p)
		if err != nil {
			return err
		}
	}
}
