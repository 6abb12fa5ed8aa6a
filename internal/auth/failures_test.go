package auth

import (
	"net"
	"testing"
	"time"
)

func TestFailuresAreAnsweredLaterAndLater(t *testing.T) {
	var f Failures
	now := time.Unix(1000, 0)
	addr := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	want := []time.Duration{0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000}
	for i, ms := range want {
		if d := f.Note(addr("192.0.2.1"), now); d != ms*time.Millisecond {
			t.Errorf("failure %d waits %v, not %v", i+1, d, ms*time.Millisecond)
		}
	}
	if d := f.Note(addr("192.0.2.2"), now); d != 0 {
		t.Errorf("another address waits %v", d)
	}
	for range freeFailures {
		f.Note(addr("2001:db8::1"), now)
	}
	if d := f.Note(addr("2001:db8::2"), now); d == 0 {
		t.Error("an address of the same network does not wait")
	}
	if d := f.Note(addr("2001:db8:0:1::1"), now); d != 0 {
		t.Errorf("an address of another network waits %v", d)
	}
	if d := f.Note(addr("192.0.2.1"), now.Add(time.Hour)); d != 0 {
		t.Errorf("an hour later it waits %v", d)
	}
	if d := f.Note(&net.UnixAddr{Name: "x"}, now); d != 0 {
		t.Errorf("a Unix socket waits %v", d)
	}
}

func TestFailuresOfManyAddressesAreBounded(t *testing.T) {
	var f Failures
	now := time.Unix(1000, 0)
	a := func(i int) net.Addr { return &net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), Port: 1} }
	for i := range failuresMost {
		f.Note(a(i), now)
	}
	if d := f.Note(a(failuresMost), now); d != longestDelay || len(f.of) != failuresMost {
		t.Errorf("one more waits %v, of %d", d, len(f.of))
	}
	if d := f.Note(a(failuresMost), now.Add(time.Minute)); d != 0 || len(f.of) != 1 {
		t.Errorf("a minute later it waits %v, of %d", d, len(f.of))
	}
}
