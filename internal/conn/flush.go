package conn

import (
	"sync"
)

// Outbound buffers come in sizes, the smallest of bufferBytes and each four times the one before: a buffer that fills is
// exchanged for one of the next size, so that the large ones, which cost most to make, are used again too.
const (
	bufferBytes = 4 << 10
	bufferSizes = 6 // the last is 4 MiB
)

// buffers are pointers to buffers by their size, and holders are pointers to nothing, for the next buffer that comes back.
var (
	buffers [bufferSizes]sync.Pool
	holders sync.Pool
)

// getBuffer returns an empty buffer with room for n bytes at least.
func getBuffer(n int) []byte {
	i, size := 0, bufferBytes
	for size < n {
		i, size = i+1, 4*size
	}
	if i >= bufferSizes {
		return make([]byte, 0, n)
	}
	h, _ := buffers[i].Get().(*[]byte)
	if h == nil {
		return make([]byte, 0, size)
	}
	b := *h
	*h = nil
	holders.Put(h)
	return b
}

// putBuffer takes back a buffer that nobody uses any more, whole or a part of one.
func putBuffer(b []byte) {
	i, size := 0, bufferBytes
	if cap(b) < size {
		return
	}
	for i < bufferSizes-1 && cap(b) >= 4*size {
		i, size = i+1, 4*size
	}
	h, _ := holders.Get().(*[]byte)
	if h == nil {
		h = new([]byte)
	}
	*h = b[:0]
	buffers[i].Put(h)
}

// reserve makes room for n bytes in the outbound buffer. The caller holds c.mu.
func (c *Conn) reserve(n int) {
	if cap(c.buf)-len(c.buf) >= n {
		return
	}
	b := append(getBuffer(max(len(c.buf)+n, 2*cap(c.buf))), c.buf...)
	putBuffer(c.buf)
	c.buf = b
}

// Transport writes for a connection.
type Transport interface {
	// TryWrite writes what it can at once, without waiting, and returns how much of p it took. more says that WriteRest
	// has to follow, with what it did not take or with nothing. An error is final.
	TryWrite(p []byte) (n int, more bool, err error)
	// WriteRest writes rest, and then whatever c.take returns, elsewhere: it does not wait.
	WriteRest(rest []byte)
}

// flush writes what is in the outbound buffer, unless somebody does already. If the socket does not take all of it, the
// transport writes the rest when it can.
func (c *Conn) flush(b *Batch) {
	c.mu.Lock()
	c.dirty = false
	c.mu.Unlock()
	p := c.take()
	if p == nil {
		return
	}
	n, more, err := c.transport.TryWrite(p)
	c.opts.Metrics.BytesSent.Add(int64(n))
	switch {
	case err != nil:
		c.broken()
		putBuffer(p)
	case more:
		c.transport.WriteRest(p[n:])
		c.mu.Lock()
		c.noteOut()
		c.mu.Unlock()
	default:
		putBuffer(p)
		c.goOn(b)
	}
}

// goOn follows a write that took all there was. What the port has had to hold back is the flusher's to write, in its
// turn: whoever flushes must not be kept for as long as one client takes what a port has for it.
func (c *Conn) goOn(b *Batch) {
	c.mu.Lock()
	mine := !c.dirty
	c.dirty = true
	c.mu.Unlock()
	c.wrote(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.buf) == 0:
		c.dirty = c.dirty && !mine
	case mine || !c.dirty: // or else whoever listed it finds it free to write
		c.dirty = true
		c.opts.Flusher.add(c)
	}
}

// take takes the outbound buffer to be written; nil: nothing is there, or another takes care of it.
func (c *Conn) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing > 0 || len(c.buf) == 0 {
		return nil
	}
	p := c.buf
	c.buf, c.writing = nil, len(p)
	c.answers, c.answersTaken = 0, c.answers
	c.sent.Transfers++
	c.sent.Bytes += int64(len(p))
	return p
}

// wrote says that what was taken is written, and lets go on what waited for that: the port, and the client's packets.
func (c *Conn) wrote(b *Batch) {
	c.mu.Lock()
	c.writing, c.answersTaken = 0, 0
	c.noteOut()
	resume := c.releasable()
	starved := c.starved && !c.closed
	c.starved = false
	port := c.port
	c.signalDrained()
	c.mu.Unlock()
	if starved && port != nil {
		port.Writable(b)
	}
	if resume {
		c.Resume()
	}
}

// broken ends a connection whose socket takes no more bytes: its client may have said all it had to, and left.
func (c *Conn) broken() {
	c.mu.Lock()
	c.buf, c.writing, c.closed = nil, 0, true
	c.answers, c.answersTaken = 0, 0
	c.noteOut()
	c.signalDrained()
	c.mu.Unlock()
	c.CloseAfterInput(0, "")
}

// signalDrained tells whoever waits in drained that nothing is left to write. The caller holds c.mu.
func (c *Conn) signalDrained() {
	if c.idle != nil && c.writing == 0 && len(c.buf) == 0 {
		close(c.idle)
		c.idle = nil
	}
}

// drained returns a channel that is closed once everything is written; nil: it is already. One caller at most.
func (c *Conn) drained() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing == 0 && len(c.buf) == 0 {
		return nil
	}
	c.idle = make(chan struct{})
	return c.idle
}

// isDrained reports whether everything is written.
func (c *Conn) isDrained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing == 0 && len(c.buf) == 0
}

func (c *Conn) isAccepted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted
}
