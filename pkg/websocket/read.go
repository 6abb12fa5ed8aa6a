package websocket

import (
	"io"
	"time"

	"github.com/barid-mqtt/barid/pkg/ratelimit"
)

// incoming is the state of the reading side between two reads.
type incoming struct {
	early []byte // read past the handshake

	header    [maxHeader]byte // the header of the next frame, as far as it is there
	headerLen uint8

	inFrame    bool         // the header of a frame is complete, and its payload is not
	op         opcode       // that frame's
	masked     bool         // that frame's
	fin        bool         // that frame's
	fragmented bool         // a data message has begun that is not finished
	key        [keyLen]byte // that frame's, turned to where its payload goes on
	remaining  uint64       // what is left of that frame's payload

	control     []byte // what has come of a control frame's payload; nil outside of control frames
	controlRate ratelimit.Bucket

	err error // what Read returns from now on
}

// Read returns payload of binary frames, as a stream. It answers pings, and returns io.EOF after an orderly close frame,
// which it answers too. A peer that breaks the protocol is sent a close frame, and Read returns a *CloseError: the
// caller then closes the Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.in.err
	}
	for c.in.err == nil {
		n, err := c.fill(p)
		m := c.consume(p[:n])
		c.flush()
		if err != nil && c.in.err == nil && !isTemporary(err) {
			c.in.err = c.transportError(err)
			err = c.in.err
		}
		if m > 0 {
			return m, nil
		}
		if err != nil && c.in.err == nil {
			return 0, err
		}
	}
	return 0, c.in.err
}

// fill reads raw bytes into p.
func (c *Conn) fill(p []byte) (int, error) {
	if len(c.in.early) == 0 {
		return c.transport.Read(p)
	}
	n := copy(p, c.in.early)
	if c.in.early = c.in.early[n:]; len(c.in.early) == 0 {
		c.in.early = nil
	}
	return n, nil
}

// transportError tells a stream that ended within a frame from one that ended between two.
func (c *Conn) transportError(err error) error {
	if err == io.EOF && (c.in.inFrame || c.in.headerLen > 0 || c.in.fragmented) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// consume takes the raw bytes in b apart, moves the payload of data frames to the beginning of b, unmasked, and returns
// how much that is: b[read:] is still raw, b[:out] is payload, and out never overtakes read.
func (c *Conn) consume(b []byte) int {
	in := &c.in
	read, out := 0, 0
	for read < len(b) && in.err == nil {
		if !in.inFrame {
			read += c.takeHeader(b[read:])
		}
		if !in.inFrame {
			continue
		}
		n := int(min(in.remaining, uint64(len(b)-read)))
		raw := b[read : read+n]
		if in.op.isControl() {
			in.control = append(in.control, raw...)
		} else {
			in.unmask(b[out:], raw)
			out += n
		}
		read += n
		if in.remaining -= uint64(n); in.remaining == 0 {
			c.endFrame()
		}
	}
	return out
}

// unmask moves payload of the frame that is being read from src to dst.
func (in *incoming) unmask(dst, src []byte) {
	if in.masked {
		in.key = unmask(dst, src, in.key)
		return
	}
	copy(dst, src)
}

// takeHeader adds bytes from b to the header of the next frame, and begins the frame when it is complete. It returns how
// many it took.
func (c *Conn) takeHeader(b []byte) int {
	in := &c.in
	taken := 0
	for {
		have := in.header[:in.headerLen]
		need := headerLen(have)
		if len(have) >= 2 {
			if code, fault := c.faultIn(have[0], have[1]); fault != "" {
				c.fail(code, fault)
				return taken
			}
		}
		if len(have) == need {
			c.beginFrame(have)
			return taken
		}
		n := copy(in.header[len(have):need], b[taken:])
		if n == 0 {
			return taken
		}
		in.headerLen += uint8(n)
		taken += n
	}
}

// faultIn says what is wrong with a frame that begins with these two bytes; "" means nothing.
func (c *Conn) faultIn(b0, b1 byte) (Status, string) {
	op, fin := opcode(b0&bitsOp), b0&bitFin != 0
	switch {
	case b0&bitsRSV != 0:
		return StatusProtocolError, "reserved bit set"
	case op > opBinary && op < opClose || op > opPong:
		return StatusProtocolError, "reserved opcode"
	case b1&bitMask == 0 && !c.client:
		return StatusProtocolError, "client frame not masked"
	case b1&bitMask != 0 && c.client:
		return StatusProtocolError, "server frame masked"
	case op.isControl() && !fin:
		return StatusProtocolError, "fragmented control frame"
	case op.isControl() && b1&bitsLen > maxControl:
		return StatusProtocolError, "control frame too long"
	case op == opText:
		return StatusUnsupportedData, "text frame"
	case op == opContinuation && !c.in.fragmented:
		return StatusProtocolError, "continuation of nothing"
	case op == opBinary && c.in.fragmented:
		return StatusProtocolError, "new message within a fragmented one"
	}
	return 0, ""
}

// beginFrame starts the frame whose complete, faultless header is h.
func (c *Conn) beginFrame(h []byte) {
	in := &c.in
	n, ok := payloadLen(h)
	if !ok {
		c.fail(StatusProtocolError, "payload length not in its shortest form")
		return
	}
	in.headerLen = 0
	in.inFrame, in.remaining = true, n
	in.op, in.fin = opcode(h[0]&bitsOp), h[0]&bitFin != 0
	if in.masked = h[1]&bitMask != 0; in.masked {
		in.key = [keyLen]byte(h[len(h)-keyLen:])
	}
}

// endFrame acts on a frame that is complete.
func (c *Conn) endFrame() {
	in := &c.in
	in.inFrame = false
	if !in.op.isControl() {
		in.fragmented = !in.fin
		return
	}
	payload := in.control
	in.control = nil
	if in.masked {
		unmask(payload, payload, in.key)
	}
	if !in.controlRate.Allow(time.Now()) {
		c.fail(StatusPolicyViolation, "too many control frames")
		return
	}
	switch in.op {
	case opPing:
		c.queuePong(payload)
	case opClose:
		c.closedByPeer(payload)
	}
}

// closedByPeer answers a close frame and ends reading.
func (c *Conn) closedByPeer(payload []byte) {
	code, reason, ok := parseClose(payload)
	if ok != StatusNormal {
		c.fail(ok, "malformed close frame")
		return
	}
	c.queueClose(code, "")
	switch code {
	case StatusNormal, StatusGoingAway, StatusNone:
		c.in.err = io.EOF
	default:
		c.in.err = &CloseError{Code: code, Reason: reason, Remote: true}
	}
}

// fail ends reading because the peer broke the protocol, and tells it so.
func (c *Conn) fail(code Status, reason string) {
	c.in.err = &CloseError{Code: code, Reason: reason}
	c.queueClose(code, reason)
}
