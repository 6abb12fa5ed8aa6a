//go:build linux && !386

package relay

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// What a client publishes comes to those who subscribed to it as it was sent, also in pieces; nonsense ends a connection.
func TestRelay(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- serve(ctx, ln.(*net.TCPListener)) }()
	client := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { _ = c.Close() })
		say(t, c, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x", "\x20\x02\x00\x00")
		return c
	}
	wide, exact, from := client(), client(), client()
	say(t, wide, "\x82\x08\x00\x07\x00\x03a/+\x00", "\x90\x03\x00\x07\x00")
	say(t, exact, "\x82\x08\x00\x09\x00\x03a/b\x00", "\x90\x03\x00\x09\x00")
	say(t, from, "\xc0\x00", "\xd0\x00")
	b, c := "\x30\x07\x00\x03a/bhi", "\x30\x08\x00\x03a/cyou"
	if _, err := from.Write([]byte(b + c[:5])); err != nil {
		t.Fatal(err)
	}
	hears(t, exact, b)
	hears(t, wide, b)
	if _, err := from.Write([]byte(c[5:] + b)); err != nil {
		t.Fatal(err)
	}
	hears(t, wide, c+b)
	hears(t, exact, b)
	for _, nonsense := range []string{"\x30\xff\xff\xff\xff\xff", "\x30\x03\x00\x09a", "\x32\x05\x00\x01a\x00\x01", "\x82\x01\x00"} {
		bad := client()
		if _, err := bad.Write([]byte(nonsense)); err != nil {
			t.Fatal(err)
		}
		if n, err := bad.Read(make([]byte, 1)); err == nil {
			t.Errorf("%q is answered, with %d bytes", nonsense, n)
		}
	}
	say(t, from, "\xc0\x00", "\xd0\x00")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func say(t *testing.T, c net.Conn, what, answer string) {
	t.Helper()
	if _, err := c.Write([]byte(what)); err != nil {
		t.Fatal(err)
	}
	hears(t, c, answer)
}

func hears(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, []byte(want)) {
		t.Errorf("got %q, %v, not %q", got, err, want)
	}
}
