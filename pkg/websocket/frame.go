package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// opcode is the kind of a frame.
type opcode uint8

const (
	opContinuation opcode = 0x0
	opText         opcode = 0x1
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xA
)

func (o opcode) isControl() bool { return o&0x8 != 0 }

// The fields of a frame's first two bytes.
const (
	bitFin    = 0x80
	bitsRSV   = 0x70
	bitsOp    = 0x0F
	bitMask   = 0x80
	bitsLen   = 0x7F
	len16     = 126 // the length follows in two bytes
	len64     = 127 // the length follows in eight bytes
	keyLen    = 4
	maxHeader = 2 + 8 + keyLen
	// maxControl is the longest payload that a control frame may have.
	maxControl = 125
)

// headerLen is how long the header is that begins with b, as far as b tells: at least 2.
func headerLen(b []byte) int {
	n := 2
	if len(b) < 2 {
		return n
	}
	switch b[1] & bitsLen {
	case len16:
		n += 2
	case len64:
		n += 8
	}
	if b[1]&bitMask != 0 {
		n += keyLen
	}
	return n
}

// payloadLen is the length that the complete header h claims. ok is false for a length that is not allowed: over 63
// bits, or one that fewer bytes could have said (RFC 6455, 5.2).
func payloadLen(h []byte) (n uint64, ok bool) {
	switch short := h[1] & bitsLen; short {
	case len16:
		n = uint64(binary.BigEndian.Uint16(h[2:]))
		return n, n >= len16
	case len64:
		n = binary.BigEndian.Uint64(h[2:])
		return n, n > 0xFFFF && n>>63 == 0
	default:
		return uint64(short), true
	}
}

// appendHeader appends the header of a final frame.
func appendHeader(dst []byte, op opcode, n int, key *[keyLen]byte) []byte {
	mask := byte(0)
	if key != nil {
		mask = bitMask
	}
	dst = append(dst, bitFin|byte(op))
	switch {
	case n < len16:
		dst = append(dst, mask|byte(n))
	case n <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, mask|len16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, mask|len64), uint64(n))
	}
	if key != nil {
		dst = append(dst, key[:]...)
	}
	return dst
}

// unmask writes src, masked or unmasked with key, to dst, and returns the key as it goes on after src. dst may overlap
// src if it does not begin after it.
func unmask(dst, src []byte, key [keyLen]byte) [keyLen]byte {
	word := uint64(binary.LittleEndian.Uint32(key[:]))
	word |= word << 32
	n := len(src)
	dst = dst[:n]
	i := 0
	for ; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(src[i:])^word)
	}
	for ; i < n; i++ {
		dst[i] = src[i] ^ key[i&3]
	}
	return [keyLen]byte{key[n&3], key[(n+1)&3], key[(n+2)&3], key[(n+3)&3]}
}

// parseClose takes a close frame's payload apart. ok is StatusNormal, or the status to refuse the payload with.
func parseClose(p []byte) (code Status, reason string, ok Status) {
	switch {
	case len(p) == 0:
		return StatusNone, "", StatusNormal
	case len(p) == 1:
		return 0, "", StatusProtocolError
	}
	code = Status(binary.BigEndian.Uint16(p))
	if !code.isValidOnWire() {
		return code, "", StatusProtocolError
	}
	if !utf8.Valid(p[2:]) {
		return code, "", StatusInvalidPayload
	}
	return code, string(p[2:]), StatusNormal
}

// isValidOnWire reports whether a close frame may carry the code: those of RFC 6455 and its registry, and the ranges
// for libraries and applications.
func (s Status) isValidOnWire() bool {
	switch {
	case s >= 3000 && s <= 4999:
		return true
	case s == 1004, s == StatusNone, s == 1006:
		return false
	}
	return s >= 1000 && s <= 1014
}
