package mqtt

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// MaxStringBytes is the length of the longest string or binary field that a packet can hold.
const MaxStringBytes = 65_535

// VarintLen returns how many bytes n takes as a variable byte integer. n is at most MaxRemaining.
func VarintLen(n uint32) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

// AppendVarint appends n, at most MaxRemaining, as a variable byte integer in its shortest form.
func AppendVarint(dst []byte, n uint32) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// AppendString appends s as a string or binary field: two bytes of length, then s. The caller vouches for its
// characters. What is beyond MaxStringBytes is cut off rather than make the length lie.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	n := min(len(s), MaxStringBytes)
	return append(append(dst, byte(n>>8), byte(n)), s[:n]...)
}

// readVarint reads a variable byte integer from the start of b and returns its length n; 0: b ends within it. bad tells
// a breach of its form.
func readVarint(b []byte) (value uint32, n int, bad *rule) {
	for n = range b {
		c := b[n]
		value |= uint32(c&0x7F) << (7 * n)
		switch {
		case c == 0 && n > 0:
			return 0, 0, ruleOverlong
		case c < 0x80:
			return value, n + 1, nil
		case n == 3:
			return 0, 0, ruleLongVarint
		}
	}
	return 0, 0, nil
}

// Masks for looking at eight bytes at once.
const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// special has a high bit set if one of w's bytes is 0 or not ASCII, and may have others set then.
func special(w uint64) uint64 { return ((w - lowBits) | w) & highBits }

// specialInTopic is special for + and # too: those two differ in one bit, which is set before they are looked for.
func specialInTopic(w uint64) uint64 {
	return special(w) | ((w|0x08*lowBits)^('+'*lowBits)-lowBits)&highBits
}

// checkText tells which rule for strings b breaks; nil: none.
func checkText(b []byte) *rule {
	plain := true
	for i := 0; i+8 <= len(b); i += 8 {
		if special(binary.LittleEndian.Uint64(b[i:])) != 0 {
			plain = false
			break
		}
	}
	for i := len(b) &^ 7; plain && i < len(b); i++ {
		plain = b[i]-1 < 0x7F
	}
	switch {
	case plain:
		return nil
	case bytes.IndexByte(b, 0) >= 0:
		return ruleNUL
	case !utf8.Valid(b):
		return ruleUTF8
	}
	return nil
}

// plainTopic reports whether b is 1 to 65,535 ASCII characters without U+0000 and wildcards: what most topics are.
func plainTopic(b []byte) bool {
	n := len(b)
	if n < 8 {
		for _, c := range b {
			if c-1 >= 0x7F || c|0x08 == '+' {
				return false
			}
		}
		return n > 0
	}
	for i := 0; i+8 <= n; i += 8 {
		if specialInTopic(binary.LittleEndian.Uint64(b[i:])) != 0 {
			return false
		}
	}
	// The last eight bytes overlap those before: cheaper than to look at the rest one by one.
	return specialInTopic(binary.LittleEndian.Uint64(b[n-8:])) == 0 && n <= MaxStringBytes
}

// checkTopic tells which rule a topic name breaks: empty, wildcard or one of the rules for strings; nil: none.
func checkTopic(b []byte, empty, wildcard *rule) *rule {
	if plainTopic(b) {
		return nil
	}
	if len(b) == 0 {
		return empty
	}
	if bad := checkText(b); bad != nil {
		return bad
	}
	if bytes.ContainsAny(b, "+#") {
		return wildcard
	}
	return nil
}

// ValidTopicName reports whether b is a topic name: UTF-8 of 1 to 65,535 bytes without U+0000, + and #.
func ValidTopicName(b []byte) bool {
	return plainTopic(b) || len(b) <= MaxStringBytes && checkTopic(b, ruleNoTopic, ruleTopicWildcard) == nil
}
