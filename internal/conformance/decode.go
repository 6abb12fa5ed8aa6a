package conformance

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrIncomplete says that data ends before its first packet does.
var ErrIncomplete = errors.New("conformance: the packet is not complete yet")

// Decode takes the first packet that a server sent off data. It is strict: what a server must not write is an error.
func Decode(data []byte, level byte) (p Packet, rest []byte, err error) {
	header, length, ok := splitHeader(data)
	if !ok {
		return Packet{}, data, ErrIncomplete
	}
	r := &reader{data: data[header:]}
	remaining := (&reader{data: data[1:header]})
	remaining.varInt()
	if remaining.err != nil {
		return Packet{}, data, fmt.Errorf("remaining length: %w", remaining.err)
	}
	if len(r.data) < length {
		return Packet{}, data, ErrIncomplete
	}
	rest = r.data[length:]
	r.data = r.data[:length]
	for kind, number := range packetTypes {
		if number == data[0]>>4 {
			p.Kind = kind
		}
	}
	if p.Kind == "" {
		return p, data, errors.New("packet type 0")
	}
	p.Fields = decodeBody(p.Kind, data[0]&0x0f, level, r)
	if r.err == nil && len(r.data) > 0 {
		r.err = fmt.Errorf("%d bytes too many", len(r.data))
	}
	if r.err != nil {
		return p, data, fmt.Errorf("%s % x: %w", p.Kind, data[:header+length], r.err)
	}
	return p, rest, nil
}

// splitHeader returns the length of the fixed header and of what follows.
func splitHeader(data []byte) (header, length int, ok bool) {
	for i := 1; i < len(data) && i <= 4; i++ {
		length |= int(data[i]&0x7f) << (7 * (i - 1))
		if data[i] < 0x80 || i == 4 {
			return i + 1, length, true
		}
	}
	return 0, 0, false
}

func decodeBody(kind string, flags, level byte, r *reader) []Field {
	wanted := byte(0)
	if kind == "pubrel" {
		wanted = 2
	}
	if kind != "publish" && flags != wanted {
		r.fail(fmt.Errorf("the header's flags are %04b", flags))
	}
	switch kind {
	case "connack":
		return decodeConnack(level, r)
	case "publish":
		return decodePublish(flags, level, r)
	case "puback", "pubrec", "pubrel", "pubcomp":
		return append([]Field{decodeID(r)}, decodeCode(level, r)...)
	case "suback", "unsuback":
		return decodeCodes(kind, level, r)
	case "disconnect", "auth":
		if level < 5 {
			r.fail(errors.New("a server does not send it in this version"))
		}
		return decodeCode(level, r)
	case "pingresp":
		return nil
	}
	r.fail(errors.New("a server does not send it"))
	return nil
}

func decodeID(r *reader) Field {
	id := r.uint16()
	if id == 0 {
		r.fail(errors.New("packet identifier 0"))
	}
	return Field{"id", strconv.Itoa(int(id))}
}

func decodeConnack(level byte, r *reader) []Field {
	present, code := r.byte(), r.byte()
	if present > 1 || level == 3 && present != 0 {
		r.fail(fmt.Errorf("acknowledge flags %08b", present))
	}
	fields := []Field{{"code", codeText(code)}, {"session_present", strconv.Itoa(int(present))}}
	if level == 5 {
		fields = append(fields, readProperties(r)...)
	}
	return fields
}

func decodePublish(flags, level byte, r *reader) []Field {
	fields := []Field{{"topic", r.string()}}
	qos := flags >> 1 & 3
	if qos == 3 {
		r.fail(errors.New("QoS 3"))
	}
	if qos > 0 {
		fields = append(fields, Field{"qos", strconv.Itoa(int(qos))}, decodeID(r))
	}
	if flags&8 != 0 {
		fields = append(fields, Field{"dup", "1"})
	}
	if flags&1 != 0 {
		fields = append(fields, Field{"retain", "1"})
	}
	var props []Field
	if level == 5 {
		props = readProperties(r)
	}
	return append(append(fields, Field{"payload", string(r.take(len(r.data)))}), props...)
}

// decodeCode reads a reason code and properties, all of which may be left out.
func decodeCode(level byte, r *reader) []Field {
	if level < 5 || len(r.data) == 0 {
		return nil
	}
	fields := []Field{{"code", codeText(r.byte())}}
	if len(r.data) > 0 {
		fields = append(fields, readProperties(r)...)
	}
	return fields
}

func decodeCodes(kind string, level byte, r *reader) []Field {
	fields := []Field{decodeID(r)}
	var props []Field
	if level == 5 {
		props = readProperties(r)
	}
	if kind == "suback" || level == 5 {
		for _, code := range r.take(len(r.data)) {
			fields = append(fields, Field{"code", codeText(code)})
		}
	}
	return append(fields, props...)
}
