package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// propKind is how a property's value is encoded.
type propKind uint8

const (
	oneByte propKind = iota
	twoBytes
	fourBytes
	varInt
	text // also binary data: the script does not tell them apart
	pair
)

type property struct {
	name string
	id   byte
	kind propKind
}

// properties are the properties of version 5 by the names that scripts give them.
var properties = []property{
	{"format", 0x01, oneByte}, {"expiry", 0x02, fourBytes}, {"content_type", 0x03, text}, {"response", 0x08, text},
	{"correlation", 0x09, text}, {"subid", 0x0B, varInt}, {"session_expiry", 0x11, fourBytes}, {"assigned", 0x12, text},
	{"server_keep_alive", 0x13, twoBytes}, {"method", 0x15, text}, {"data", 0x16, text}, {"problem_info", 0x17, oneByte},
	{"delay", 0x18, fourBytes}, {"response_info", 0x19, oneByte}, {"response_information", 0x1A, text},
	{"server_reference", 0x1C, text}, {"reason", 0x1F, text}, {"receive_max", 0x21, twoBytes},
	{"alias_max", 0x22, twoBytes}, {"alias", 0x23, twoBytes}, {"max_qos", 0x24, oneByte},
	{"retain_available", 0x25, oneByte}, {"prop", 0x26, pair}, {"max_packet", 0x27, fourBytes},
	{"wildcards", 0x28, oneByte}, {"subids", 0x29, oneByte}, {"shared", 0x2A, oneByte},
}

func propertyNamed(name string) (property, bool) {
	for _, p := range properties {
		if p.name == name {
			return p, true
		}
	}
	return property{}, false
}

// append appends the property with a value as a script writes it.
func (p property) append(dst []byte, value string) ([]byte, error) {
	dst = append(dst, p.id)
	switch p.kind {
	case text:
		return appendString(dst, value), nil
	case pair:
		key, val, ok := strings.Cut(value, ":")
		if !ok {
			return nil, fmt.Errorf("user property %q is not key:value", value)
		}
		return appendString(appendString(dst, key), val), nil
	}
	n, err := strconv.ParseUint(value, 0, 32)
	if err != nil {
		return nil, fmt.Errorf("property %s: %w", p.name, err)
	}
	switch p.kind {
	case oneByte:
		return append(dst, byte(n)), nil
	case twoBytes:
		return binary.BigEndian.AppendUint16(dst, uint16(n)), nil
	case varInt:
		return appendVarInt(dst, int(n)), nil
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)), nil
}

// read takes the property's value off the front of r.
func (p property) read(r *reader) string {
	switch p.kind {
	case oneByte:
		return strconv.Itoa(int(r.byte()))
	case twoBytes:
		return strconv.Itoa(int(r.uint16()))
	case fourBytes:
		return strconv.FormatUint(uint64(r.uint32()), 10)
	case varInt:
		return strconv.Itoa(r.varInt())
	case pair:
		key := r.string()
		return key + ":" + r.string()
	}
	return r.string()
}

// readProperties takes a property length and the properties off r, in order.
func readProperties(r *reader) []Field {
	inner := reader{data: r.take(r.varInt())}
	var fields []Field
	for len(inner.data) > 0 && inner.err == nil {
		id := inner.byte()
		known := false
		for _, p := range properties {
			if p.id == id {
				fields, known = append(fields, Field{p.name, p.read(&inner)}), true
			}
		}
		if !known {
			inner.fail(fmt.Errorf("unknown property 0x%02x", id))
		}
	}
	r.fail(inner.err)
	return fields
}

func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func appendVarInt(dst []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

var errShort = errors.New("the packet ends too early")

// reader takes values off the front of data and remembers the first error.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) take(n int) []byte {
	if n > len(r.data) {
		r.fail(errShort)
		r.data = nil
		return make([]byte, 4)[:min(n, 4)]
	}
	head := r.data[:n]
	r.data = r.data[n:]
	return head
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) string() string { return string(r.take(int(r.uint16()))) }

func (r *reader) varInt() int {
	value := 0
	for shift := 0; shift < 28; shift += 7 {
		b := r.byte()
		value |= int(b&0x7f) << shift
		if b < 0x80 {
			if b == 0 && shift > 0 {
				r.fail(errors.New("a variable byte integer is longer than it must be"))
			}
			return value
		}
	}
	r.fail(errors.New("a variable byte integer has more than four bytes"))
	return value
}
