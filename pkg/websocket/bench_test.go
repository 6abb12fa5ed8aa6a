package websocket

import (
	"bytes"
	"net"
	"testing"
	"unsafe"
)

func TestIdleConnIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 320 {
		t.Errorf("a Conn takes %d bytes", n)
	}
}

// endless delivers the same frames again and again.
type endless struct {
	net.Conn
	raw []byte
	at  int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.raw[e.at:])
	if e.at += n; e.at == len(e.raw) {
		e.at = 0
	}
	return n, nil
}

func (e *endless) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkReadFramesOf64Bytes(b *testing.B)   { benchmarkRead(b, 64) }
func BenchmarkReadFramesOf4096Bytes(b *testing.B) { benchmarkRead(b, 4096) }

// benchmarkRead reads 64 KiB buffers; one operation is one frame.
func benchmarkRead(b *testing.B, size int) {
	c := newConn(&endless{raw: bytes.Repeat(frame(binry, string(make([]byte, size))), 1000)}, false, "", nil, 0)
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for want := b.N * size; want > 0; {
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		want -= n
	}
}

func BenchmarkWrite(b *testing.B) {
	c := newConn(&endless{}, false, "", nil, 0)
	p := make([]byte, 1000)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
	}
}
