//go:build !race

package conn

import "testing"

// A connection whose client takes much at a time fills large buffers again and again.
func TestLargeBuffersAreUsedAgain(t *testing.T) {
	var c Conn
	data := make([]byte, 1000)
	fill := func() {
		for range 900 {
			c.reserve(len(data))
			c.buf = append(c.buf, data...)
		}
		putBuffer(c.buf)
		c.buf = nil
	}
	fill()
	if n := testing.AllocsPerRun(20, fill); n > 4 { // collections empty the pools now and then
		t.Errorf("%v allocations for 900 kB", n)
	}
}
