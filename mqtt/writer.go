package mqtt

import (
	"strings"
	"unicode/utf8"
)

// writer appends a packet to a slice. Its first failure stays and is told by finish, which gives the slice back as it
// was then.
type writer struct {
	b     []byte
	start int // where the packet begins
	pkt   Type
	err   error
}

// newWriter begins a packet, with one byte of room for its remaining length.
func newWriter(dst []byte, t Type) writer {
	return writer{b: append(dst, byte(t)<<4|typeFlags[t], 0), start: len(dst), pkt: t}
}

func (w *writer) fail(reason string) {
	if w.err == nil {
		w.err = &EncodeError{w.pkt, reason}
	}
}

// finish ends the packet with payload, which is not part of what was written so far.
func (w *writer) finish(payload []byte) ([]byte, error) {
	n := len(w.b) - w.start - 2 + len(payload)
	if n > MaxRemaining {
		w.fail("packet is longer than a remaining length can say")
	}
	if w.err != nil {
		return w.b[:w.start], w.err
	}
	w.putLength(w.start+1, uint32(n))
	return append(w.b, payload...), nil
}

// putLength puts n into the byte left for it at mark, and moves what follows if n takes more.
func (w *writer) putLength(mark int, n uint32) {
	if n < 0x80 {
		w.b[mark] = byte(n)
		return
	}
	var room [3]byte
	size := VarintLen(n)
	w.b = append(w.b, room[:size-1]...)
	copy(w.b[mark+size:], w.b[mark+1:])
	AppendVarint(w.b[:mark], n)
}

func (w *writer) uint8(n uint8)   { w.b = append(w.b, n) }
func (w *writer) uint16(n uint16) { w.b = append(w.b, byte(n>>8), byte(n)) }

func (w *writer) packetID(id uint16) {
	if id == 0 {
		w.fail("packet identifier is 0")
	}
	w.uint16(id)
}

// text appends a string, which must be well-formed.
func (w *writer) text(what, s string) {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		w.fail(what + " holds U+0000")
	case !utf8.ValidString(s):
		w.fail(what + " is not well-formed UTF-8")
	}
	w.room(what, len(s))
	w.b = AppendString(w.b, s)
}

// textBytes is text for a slice.
func (w *writer) textBytes(what string, s []byte) {
	if bad := checkText(s); bad != nil {
		w.fail(what + " " + bad.reason)
	}
	w.binary(what, s)
}

func (w *writer) binary(what string, s []byte) {
	w.room(what, len(s))
	w.b = AppendString(w.b, s)
}

func (w *writer) room(what string, n int) {
	if n > MaxStringBytes {
		w.fail(what + " is longer than 65,535 bytes")
	}
}

// openProperties leaves room for a property length; closeProperties, given its result, fills it in.
func (w *writer) openProperties() (mark int) {
	w.b = append(w.b, 0)
	return len(w.b) - 1
}

func (w *writer) closeProperties(mark int) {
	n := len(w.b) - mark - 1
	if n > MaxRemaining {
		w.fail("properties are longer than their length can say")
		return
	}
	w.putLength(mark, uint32(n))
}

func (w *writer) propertyByte(id PropertyID, n uint8) { w.b = append(w.b, byte(id), n) }

func (w *writer) propertyBool(id PropertyID, on bool) {
	n := uint8(0)
	if on {
		n = 1
	}
	w.propertyByte(id, n)
}

func (w *writer) propertyUint16(id PropertyID, n uint16) {
	w.b = append(w.b, byte(id), byte(n>>8), byte(n))
}

func (w *writer) propertyUint32(id PropertyID, n uint32) {
	w.b = append(w.b, byte(id), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func (w *writer) propertyText(id PropertyID, s []byte) {
	w.uint8(uint8(id))
	w.textBytes(propertySpecs[id].name, s)
}

// propertyString appends a string property unless s is empty, which is how this package says that there is none.
func (w *writer) propertyString(id PropertyID, s string) {
	if s != "" {
		w.uint8(uint8(id))
		w.text(propertySpecs[id].name, s)
	}
}

func (w *writer) propertyBinary(id PropertyID, s []byte) {
	w.uint8(uint8(id))
	w.binary(propertySpecs[id].name, s)
}

func (w *writer) subscriptionID(id uint32) {
	if id == 0 || id > MaxRemaining {
		w.fail("subscription identifier is out of range")
		return
	}
	w.b = AppendVarint(append(w.b, byte(PropSubscriptionID)), id)
}

func (w *writer) userProperties(u UserProperties) {
	bad, ok := u.check()
	switch {
	case !ok:
		w.fail("user properties are not in their encoding")
	case bad != nil:
		w.fail("user property " + bad.reason)
	}
	w.b = append(w.b, u...)
}

// authentication appends method and data. Data without a method has no meaning.
func (w *writer) authentication(method string, hasMethod bool, data []byte) {
	if hasMethod {
		w.uint8(uint8(PropAuthMethod))
		w.text("authentication method", method)
	}
	if data == nil {
		return
	}
	if !hasMethod {
		w.fail(ruleAuthData.reason)
	}
	w.propertyBinary(PropAuthData, data)
}
