package listener

import (
	"net"
	"testing"
)

// BenchmarkAccept is one connection that is dialled, handed over and closed, client included.
func BenchmarkAccept(b *testing.B) {
	l, err := Listen(Options{Name: "b", Type: TypeTCP, Bind: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	got := make(chan *Accepted)
	go l.Serve(func(a *Accepted) { got <- a })
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		a := <-got
		a.Abort() // leaves no TIME_WAIT
		c.Close()
	}
}
