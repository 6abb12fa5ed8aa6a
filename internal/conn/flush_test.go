package conn

import (
	"bytes"
	"testing"
)

func TestBuffersHaveTheRoomThatWasAskedFor(t *testing.T) {
	for _, n := range []int{0, 1, bufferBytes, bufferBytes + 1, 300 << 10, 4 << 20, 4<<20 + 1, 20 << 20} {
		b := getBuffer(n)
		if len(b) != 0 || cap(b) < n {
			t.Errorf("for %d bytes: %d of %d", n, len(b), cap(b))
		}
		putBuffer(append(b, make([]byte, n)...)[n/2:]) // a part, as after a write that took some
	}
	for range 100 { // whatever came back has the room of its size
		for size, i := bufferBytes, 0; i < bufferSizes; size, i = 4*size, i+1 {
			if b := getBuffer(size); len(b) != 0 || cap(b) < size {
				t.Fatalf("of size %d: %d of %d", size, len(b), cap(b))
			}
		}
	}
}

func TestABufferThatGrowsKeepsWhatItHolds(t *testing.T) {
	var c Conn
	var want []byte
	for i := range 5000 {
		c.reserve(1000)
		if cap(c.buf)-len(c.buf) < 1000 {
			t.Fatalf("%d of %d", len(c.buf), cap(c.buf))
		}
		data := bytes.Repeat([]byte{byte(i)}, 1000)
		c.buf, want = append(c.buf, data...), append(want, data...)
	}
	if string(c.buf) != string(want) {
		t.Error("it holds something else")
	}
}
