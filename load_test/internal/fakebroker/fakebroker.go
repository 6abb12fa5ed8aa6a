// Package fakebroker is a server that tests script: it accepts clients, and leaves to the test what they get.
package fakebroker

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

// Conn is a client's connection, as the script of a test sees it.
type Conn struct {
	net.Conn
	Hello *mqtt.Connect
	r     *bufio.Reader
}

// Start listens on a free port and serves each client with serve, after CONNACK. It returns the address. At the end of
// the test it closes everything and waits for the scripts.
func Start(t *testing.T, serve func(c *Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				c := &Conn{Conn: conn, r: bufio.NewReader(conn)}
				if hello, ok := c.Next().(*mqtt.Connect); ok {
					c.Hello = hello
					c.Send(&mqtt.Connack{})
					serve(c)
				}
				_ = conn.Close()
			})
		}
	})
	return l.Addr().String()
}

// Next returns the next packet; nil when there are no more.
func (c *Conn) Next() mqtt.Packet {
	var head []byte
	for {
		b, err := c.r.ReadByte()
		if err != nil {
			return nil
		}
		head = append(head, b)
		h, _, err := mqtt.DecodeHeader(head)
		if errors.Is(err, mqtt.ErrIncomplete) {
			continue
		}
		if err != nil {
			return nil
		}
		body := make([]byte, h.Remaining)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return nil
		}
		p, err := mqtt.Decode(h, body, c.version())
		if err != nil {
			return nil
		}
		return p
	}
}

func (c *Conn) version() mqtt.Version {
	if c.Hello == nil {
		return mqtt.V5
	}
	return c.Hello.Version
}

// Send sends packets. A client that has gone is no fault of the script.
func (c *Conn) Send(packets ...mqtt.Packet) {
	var b []byte
	for _, p := range packets {
		var err error
		if b, err = p.AppendTo(b, c.version()); err != nil {
			panic(err) // the script is wrong
		}
	}
	_, _ = c.Write(b)
}
