package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/pkg/memnet"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testKey = [keyLen]byte{0x37, 0xfa, 0x21, 0x3d}

// frame builds a masked frame of the client, with whatever first byte.
func frame(b0 byte, payload string) []byte {
	f := appendHeader(nil, opcode(0), len(payload), &testKey)
	f[0] = b0
	at := len(f)
	f = append(f, payload...)
	unmask(f[at:], f[at:], testKey)
	return f
}

// unmasked builds a frame as a server sends it.
func unmasked(b0 byte, payload string) []byte {
	f := appendHeader(nil, opcode(0), len(payload), nil)
	f[0] = b0
	return append(f, payload...)
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func closeFrame(code Status, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

const (
	fin    = 0x80
	text   = fin | byte(opText)
	binry  = fin | byte(opBinary)
	ping   = fin | byte(opPing)
	pong   = fin | byte(opPong)
	closed = fin | byte(opClose)
)

// frameTests are what a client sends, what the reader gets of it, and what the server answers with.
var frameTests = []struct {
	name   string
	raw    []byte
	data   string
	code   Status // of the CloseError; 0: io.EOF
	remote bool
	answer []byte
}{
	{name: "one frame", raw: frame(binry, "hello"), data: "hello"},
	{name: "[MQTT-6.0.0-2] packets across frames", raw: cat(frame(binry, "he"), frame(binry, "l"), frame(binry, "lo")), data: "hello"},
	{name: "fragments", raw: cat(frame(0x02, "he"), frame(0x00, "l"), frame(fin, "lo"), frame(binry, "!")), data: "hello!"},
	{name: "empty frames", raw: cat(frame(binry, ""), frame(0x02, ""), frame(0x00, ""), frame(fin, ""), frame(binry, "x")), data: "x"},
	{name: "16-bit length, smallest", raw: frame(binry, strings.Repeat("a", 126)), data: strings.Repeat("a", 126)},
	{name: "16-bit length, largest", raw: frame(binry, strings.Repeat("b", 65535)), data: strings.Repeat("b", 65535)},
	{name: "64-bit length", raw: frame(binry, strings.Repeat("c", 65536)), data: strings.Repeat("c", 65536)},
	{name: "ping is answered", raw: cat(frame(ping, "are you there"), frame(binry, "x")), data: "x", answer: unmasked(pong, "are you there")},
	{name: "empty ping", raw: frame(ping, ""), answer: unmasked(pong, "")},
	{name: "longest ping", raw: frame(ping, strings.Repeat("p", 125)), answer: unmasked(pong, strings.Repeat("p", 125))},
	{name: "control frames between fragments", raw: cat(frame(0x02, "he"), frame(ping, "1"), frame(pong, "2"), frame(fin, "llo")),
		data: "hello", answer: unmasked(pong, "1")},
	{name: "pong unasked", raw: cat(frame(pong, "x"), frame(binry, "y")), data: "y"},

	{name: "close", raw: cat(frame(binry, "x"), frame(closed, closeFrame(1000, "bye")), frame(binry, "ignored")),
		data: "x", answer: unmasked(closed, closeFrame(1000, ""))},
	{name: "close, going away", raw: frame(closed, closeFrame(1001, "")), answer: unmasked(closed, closeFrame(1001, ""))},
	{name: "close without a code", raw: frame(closed, ""), answer: unmasked(closed, "")},
	{name: "close with a complaint", raw: frame(closed, closeFrame(1002, "no")), code: 1002, remote: true, answer: unmasked(closed, closeFrame(1002, ""))},
	{name: "close of an application", raw: frame(closed, closeFrame(4999, "")), code: 4999, remote: true, answer: unmasked(closed, closeFrame(4999, ""))},
	{name: "close, one byte", raw: frame(closed, "\x03"), code: StatusProtocolError},
	{name: "close, code 999", raw: frame(closed, closeFrame(999, "")), code: StatusProtocolError},
	{name: "close, code 1004", raw: frame(closed, closeFrame(1004, "")), code: StatusProtocolError},
	{name: "close, code 1005", raw: frame(closed, closeFrame(1005, "")), code: StatusProtocolError},
	{name: "close, code 1006", raw: frame(closed, closeFrame(1006, "")), code: StatusProtocolError},
	{name: "close, code 1015", raw: frame(closed, closeFrame(1015, "")), code: StatusProtocolError},
	{name: "close, code 5000", raw: frame(closed, closeFrame(5000, "")), code: StatusProtocolError},
	{name: "close, reason not UTF-8", raw: frame(closed, closeFrame(1000, "\xff")), code: StatusInvalidPayload},

	{name: "[MQTT-6.0.0-1] text frame", raw: cat(frame(binry, "x"), frame(text, "hello")), data: "x", code: StatusUnsupportedData},
	{name: "[MQTT-6.0.0-1] text fragment", raw: frame(byte(opText), "hel"), code: StatusUnsupportedData},
	{name: "frame not masked", raw: unmasked(binry, "x"), code: StatusProtocolError},
	{name: "ping not masked", raw: unmasked(ping, ""), code: StatusProtocolError},
	{name: "RSV1", raw: frame(binry|0x40, "x"), code: StatusProtocolError},
	{name: "RSV2", raw: frame(binry|0x20, "x"), code: StatusProtocolError},
	{name: "RSV3 in a ping", raw: frame(ping|0x10, "x"), code: StatusProtocolError},
	{name: "opcode 3", raw: frame(fin|0x3, "x"), code: StatusProtocolError},
	{name: "opcode 7", raw: frame(fin|0x7, "x"), code: StatusProtocolError},
	{name: "opcode 11", raw: frame(fin|0xB, ""), code: StatusProtocolError},
	{name: "opcode 15", raw: frame(fin|0xF, ""), code: StatusProtocolError},
	{name: "fragmented ping", raw: frame(byte(opPing), "x"), code: StatusProtocolError},
	{name: "fragmented close", raw: frame(byte(opClose), ""), code: StatusProtocolError},
	{name: "ping of 126 bytes", raw: frame(ping, strings.Repeat("p", 126)), code: StatusProtocolError},
	{name: "continuation of nothing", raw: frame(fin, "x"), code: StatusProtocolError},
	{name: "continuation after the last fragment", raw: cat(frame(0x02, "a"), frame(fin, "b"), frame(0x00, "c")), data: "ab", code: StatusProtocolError},
	{name: "message within a message", raw: cat(frame(0x02, "a"), frame(binry, "b")), data: "a", code: StatusProtocolError},
	{name: "length of 64 bits", raw: []byte{binry, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4}, code: StatusProtocolError},
	{name: "length longer than needed", raw: []byte{binry, 0xFE, 0, 125, 1, 2, 3, 4}, code: StatusProtocolError},
	{name: "64-bit length longer than needed", raw: []byte{binry, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1, 2, 3, 4}, code: StatusProtocolError},
}

// scripted is a transport that delivers chunks of at most step bytes and keeps what is written.
type scripted struct {
	net.Conn
	raw  []byte
	step int
	out  bytes.Buffer
}

func (s *scripted) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), s.step)], s.raw)
	if s.raw = s.raw[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *scripted) Write(p []byte) (int, error) { return s.out.Write(p) }

// readAll reads with a buffer of the given size until an error.
func readAll(c io.Reader, size int) (string, error) {
	var got []byte
	buf := make([]byte, size)
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			return string(got), err
		}
	}
}

func TestFrames(t *testing.T) {
	for _, tt := range frameTests {
		for _, cut := range []struct{ step, size int }{{1 << 20, 1 << 20}, {1, 1}, {1, 64}, {7, 1 << 10}, {1 << 20, 3}, {1 << 20, 1}} {
			t.Run(fmt.Sprintf("%s/%d,%d", tt.name, cut.step, cut.size), func(t *testing.T) {
				s := &scripted{raw: tt.raw, step: cut.step}
				c := newConn(s, false, "", nil, 0)
				data, err := readAll(c, cut.size)
				if data != tt.data {
					t.Errorf("read %.40q (%d bytes), want %.40q (%d)", data, len(data), tt.data, len(tt.data))
				}
				checkEnd(t, err, tt.code, tt.remote)
				if _, again := c.Read(make([]byte, 8)); again != err {
					t.Errorf("reading again: %v, want %v", again, err)
				}
				answer := tt.answer
				if tt.code != 0 && !tt.remote {
					answer = unmasked(closed, closeFrame(tt.code, err.(*CloseError).Reason))
				}
				if got := s.out.Bytes(); !bytes.Equal(got, answer) {
					t.Errorf("answered % x, want % x", got, answer)
				}
			})
		}
	}
}

func checkEnd(t *testing.T, err error, code Status, remote bool) {
	t.Helper()
	if code == 0 {
		if err != io.EOF {
			t.Errorf("ended with %v, want io.EOF", err)
		}
		return
	}
	var ce *CloseError
	if !errors.As(err, &ce) || ce.Code != code || ce.Remote != remote {
		t.Errorf("ended with %v, want code %d, remote %v", err, code, remote)
	}
	if errors.Is(err, io.EOF) != remote {
		t.Errorf("errors.Is(%v, io.EOF) = %v", err, !remote)
	}
}

func TestStreamCutWithinFrameIsUnexpected(t *testing.T) {
	whole := frame(binry, "hello")
	for n := 1; n < len(whole); n++ {
		c := newConn(&scripted{raw: whole[:n], step: 100}, false, "", nil, 0)
		if _, err := readAll(c, 100); err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	c := newConn(&scripted{raw: frame(0x02, "first fragment"), step: 100}, false, "", nil, 0)
	if _, err := readAll(c, 100); err != io.ErrUnexpectedEOF {
		t.Errorf("cut after a fragment: %v", err)
	}
}

func TestEarlyBytesComeFirst(t *testing.T) {
	raw := cat(frame(binry, "early "), frame(binry, "late"))
	for cut := range raw {
		s := &scripted{raw: raw[cut:], step: 100}
		c := newConn(s, false, "", raw[:cut:cut], 0)
		// The payload is unmasked in the reader's slice: the early bytes must be copied there first.
		if got, err := readAll(c, 4); got != "early late" || err != io.EOF {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
	}
}

func TestClaimedLengthCostsNothing(t *testing.T) {
	raw := []byte{binry, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 'x'}
	buf := make([]byte, 100)
	allocs := testing.AllocsPerRun(100, func() {
		s := &scripted{raw: raw, step: 100}
		c := &Conn{transport: s}
		if n, err := c.Read(buf); n != 1 || err != nil || buf[0] != 'x' {
			t.Fatalf("Read = %d, %v", n, err)
		}
	})
	if allocs > 2 { // the Conn and the transport
		t.Errorf("%v allocations for a frame that claims to be huge", allocs)
	}
}

func TestReadWriteAllocateNothing(t *testing.T) {
	a, b := memnet.Pipe()
	server, client := newConn(a, false, "", nil, 0), newConn(b, true, "", nil, 0)
	defer a.Close()
	defer b.Close()
	payload, buf := make([]byte, 300), make([]byte, 1024)
	check := func(from, to *Conn, limit float64) {
		t.Helper()
		if n := testing.AllocsPerRun(200, func() {
			if _, err := from.Write(payload); err != nil {
				t.Fatal(err)
			}
			if n, err := to.Read(buf); n != len(payload) || err != nil {
				t.Fatalf("Read = %d, %v", n, err)
			}
		}); n > limit {
			t.Errorf("%v allocations a message", n)
		}
	}
	check(server, client, 0)
	check(client, server, 1) // the key
}

func TestUnmaskMatchesNaive(t *testing.T) {
	src := []byte(strings.Repeat("0123456789abcdefghij", 3))
	for from := range 20 {
		for n := 0; from+n <= len(src); n++ {
			for shift := 0; shift <= from; shift++ {
				work := bytes.Clone(src)
				next := unmask(work[from-shift:], work[from:from+n], testKey)
				for i := range n {
					if work[from-shift+i] != src[from+i]^testKey[i&3] {
						t.Fatalf("from %d, %d bytes, moved by %d: byte %d", from, n, shift, i)
					}
				}
				if next[0] != testKey[n&3] || next[3] != testKey[(n+3)&3] {
					t.Fatalf("key after %d bytes: % x", n, next)
				}
			}
		}
	}
}
