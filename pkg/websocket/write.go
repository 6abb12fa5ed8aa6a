package websocket

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
)

// pongsMax bounds the pongs that wait while a write is under way. Beyond it only the newest counts, which RFC 6455
// allows (5.5.3), so a flood of pings costs no memory.
const pongsMax = 1 << 10

// A frame is put together in one of two sizes of buffer, so that it goes out in one write: with TLS below, in one
// record. What a large frame has beyond that is written from the caller's slice.
const (
	smallFrame = 4 << 10
	largeFrame = 16 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallFrame]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeFrame]byte) }}
)

// Write sends p as one binary frame. After an error nothing can be written any more, since a frame may be cut short.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.writing.Lock()
	n, err := c.writeFrame(p)
	c.writing.Unlock()
	c.flush() // pongs that came up meanwhile
	return n, err
}

// writeFrame sends p as a binary frame; c.writing is held.
func (c *Conn) writeFrame(p []byte) (int, error) {
	if c.writeErr != nil {
		return 0, c.writeErr
	}
	if len(p)+maxHeader <= smallFrame {
		buf := smallBuffers.Get().(*[smallFrame]byte)
		defer smallBuffers.Put(buf)
		return c.writeThrough(buf[:0], p)
	}
	buf := largeBuffers.Get().(*[largeFrame]byte)
	defer largeBuffers.Put(buf)
	return c.writeThrough(buf[:0], p)
}

// writeThrough sends p as a binary frame, using buf for its header and as much as fits.
func (c *Conn) writeThrough(buf, p []byte) (sent int, err error) {
	var key *[keyLen]byte
	if c.client {
		key = newKey()
	}
	buf = appendHeader(buf, opBinary, len(p), key)
	for sent < len(p) {
		header := len(buf)
		n := min(cap(buf)-header, len(p)-sent)
		chunk := p[sent : sent+n]
		switch {
		case key != nil:
			buf = buf[:header+n]
			*key = unmask(buf[header:], chunk, *key)
		case header > 0:
			buf = append(buf, chunk...)
		default: // nothing to put before it: no need to copy
			n = len(p) - sent
			buf = p[sent:]
		}
		w, err := c.transport.Write(buf)
		if err != nil {
			c.writeErr = fmt.Errorf("websocket: writing frame: %w", err)
			return sent + max(0, w-header), c.writeErr
		}
		sent += n
		buf = buf[:0]
	}
	return sent, nil
}

// newKey returns a masking key, which has to be unpredictable (RFC 6455, 5.3); the runtime's generator is seeded by
// the operating system.
func newKey() *[keyLen]byte {
	var key [keyLen]byte
	binary.LittleEndian.PutUint32(key[:], rand.Uint32())
	return &key
}

// appendControl appends a control frame.
func (c *Conn) appendControl(dst []byte, op opcode, payload []byte) []byte {
	if !c.client {
		return append(appendHeader(dst, op, len(payload), nil), payload...)
	}
	key := newKey()
	dst = append(appendHeader(dst, op, len(payload), key), payload...)
	masked := dst[len(dst)-len(payload):]
	unmask(masked, masked, *key)
	return dst
}

// queuePong queues the answer to a ping.
func (c *Conn) queuePong(payload []byte) {
	c.queueing.Lock()
	defer c.queueing.Unlock()
	if len(c.pongs) > pongsMax {
		c.pongs = c.pongs[:0]
	}
	c.pongs = c.appendControl(c.pongs, opPong, payload)
}

// queueClose queues a close frame, unless one is there already.
func (c *Conn) queueClose(code Status, reason string) {
	var payload []byte
	if code != StatusNone {
		payload = binary.BigEndian.AppendUint16(nil, uint16(code))
		payload = append(payload, cutUTF8(reason, maxControl-2)...)
	}
	c.queueing.Lock()
	defer c.queueing.Unlock()
	if c.closePending == nil {
		c.closePending = c.appendControl(nil, opClose, payload)
	}
}

// cutUTF8 cuts s to at most n bytes, not within a character.
func cutUTF8(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// flush writes what is queued, unless a write is under way: then that one flushes when it is done. So neither side ever
// waits for the other, and a control frame never lands within a data frame. It looks again after each round, because
// something may have been queued just before the lock was free.
func (c *Conn) flush() {
	for c.isQueued() && c.writing.TryLock() {
		c.writeQueued()
		c.writing.Unlock()
	}
}

func (c *Conn) isQueued() bool {
	c.queueing.Lock()
	defer c.queueing.Unlock()
	return len(c.pongs) > 0 || len(c.closePending) > 0
}

// writeQueued writes the queued control frames; c.writing is held. Errors stay in writeErr: the next write reports
// them, and reading finds out by itself.
func (c *Conn) writeQueued() {
	c.queueing.Lock()
	frames, closing := c.pongs, len(c.closePending) > 0
	if closing {
		frames = append(frames, c.closePending...)
		c.closePending = c.closePending[:0] // not nil: there was one
	}
	c.pongs = nil
	c.queueing.Unlock()
	if c.writeErr != nil {
		return
	}
	if _, err := c.transport.Write(frames); err != nil {
		c.writeErr = fmt.Errorf("websocket: writing control frame: %w", err)
		return
	}
	if closing {
		c.writeErr = errCloseSent
	}
}
