package websocket

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// naive decodes frames the slow way, as a model for Read: the payload up to the first fault or close frame.
func naive(raw []byte) (data []byte) {
	fragmented := false
	for len(raw) >= 2 {
		op, final, n := opcode(raw[0]&15), raw[0]&fin != 0, int(raw[1]&127)
		known := op == opContinuation || op == opBinary || op == opClose || op == opPing || op == opPong
		if raw[0]&0x70 != 0 || !known || raw[1]&128 == 0 || op >= 8 && (!final || n > 125) {
			return data
		}
		if op == opBinary && fragmented || op == opContinuation && !fragmented {
			return data
		}
		head := 2
		switch {
		case n == 126 && len(raw) >= 4:
			n, head = int(binary.BigEndian.Uint16(raw[2:])), 4
			if n < 126 {
				return data
			}
		case n == 127 && len(raw) >= 10:
			long := binary.BigEndian.Uint64(raw[2:])
			if long < 65536 || long >= 1<<63 {
				return data
			}
			n, head = int(min(long, 1<<40)), 10
		case n > 125:
			return data
		}
		if len(raw) < head+4 {
			return data
		}
		key, body := raw[head:head+4], raw[head+4:]
		part := body[:min(n, len(body))]
		if op < 8 {
			for i, b := range part {
				data = append(data, b^key[i%4])
			}
			fragmented = !final
		}
		if len(part) < n || op == opClose {
			return data
		}
		raw = body[n:]
	}
	return data
}

func FuzzRead(f *testing.F) {
	for _, tt := range frameTests {
		if len(tt.raw) < 1000 {
			f.Add(tt.raw, uint16(3), uint16(5))
			f.Add(tt.raw, uint16(1000), uint16(1000))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, step, size uint16) {
		if step == 0 || size == 0 {
			return
		}
		want := naive(raw)
		s := &scripted{raw: bytes.Clone(raw), step: int(step)}
		got, err := readAll(newConn(s, false, "", nil, -1), int(size))
		if got != string(want) {
			t.Fatalf("read %q, want %q (ended with %v)", got, want, err)
		}
	})
}
