package conn

import (
	"bytes"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// journal is what the connections of a loop got, in order.
type journal struct {
	mu  sync.Mutex
	log []string
	got chan struct{}
}

func (j *journal) note(s string) {
	j.mu.Lock()
	j.log = append(j.log, s)
	j.mu.Unlock()
	j.got <- struct{}{}
}

// journalist is the handler and port of one connection.
type journalist struct {
	*recorder
	j    *journal
	name string
}

func (n journalist) Connect(c *Conn, p *mqtt.Connect) {
	c.Accept(journalPort{n}, &mqtt.Connack{}, 0)
	c.Resume()
	c.FlushSoon()
}
func (n journalist) Authenticate(*Conn, *mqtt.Auth) {}

type journalPort struct{ journalist }

func (p journalPort) Authenticate(*mqtt.Auth) error { return nil }
func (p journalPort) Publish(*Batch, *mqtt.Publish) (Verdict, error) {
	p.j.note(p.name)
	return Done, nil
}
func (p journalPort) Closed() {}

// looped is a loop with n accepted connections over real sockets.
func looped(t *testing.T, n int) (j *journal, clients []net.Conn, end func()) {
	t.Helper()
	m := new(metrics.Metrics)
	l, err := NewLoop(m)
	if err != nil {
		t.Fatal(err)
	}
	f := NewFlusher(1, m)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	j = &journal{got: make(chan struct{}, 1000)}
	var over sync.WaitGroup
	for i := range n {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = server.(*net.TCPConn).SetReadBuffer(1 << 20) // so that much can wait to be read
		raw, err := server.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		r := &recorder{}
		c := New(&Options{MaxPacketBytes: 1 << 20, OutMaxBytes: 1 << 16, Metrics: m, Flusher: f}, journalist{r, j, string(rune('a' + i%26))}, Info{})
		r.conn = c
		over.Add(1)
		Drive(c, Socket{Conn: server, Bare: raw, Loop: l})(over.Done)
		if _, err := client.Write(stream(t, mqtt.V5, &mqtt.Connect{Version: mqtt.V5, ClientID: "c"})); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 100)); err != nil { // CONNACK
			t.Fatal(err)
		}
		clients = append(clients, client)
	}
	return j, clients, func() {
		for _, c := range clients {
			_ = c.Close()
		}
		over.Wait()
		l.Stop()
		f.Stop()
		_ = ln.Close()
	}
}

func TestALoopReadsToTheEndOfWhatAClientSentBeforeItLeft(t *testing.T) {
	j, clients, end := looped(t, 2)
	defer end()
	packet := stream(t, mqtt.V5, &mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, 1000)})
	j.mu.Lock() // the loop stands still in the first client's handler, and is told of data and end at once
	if _, err := clients[0].Write(packet); err != nil {
		t.Fatal(err)
	}
	const n = 100 // more than is read at a time, and no multiple of that
	if _, err := clients[1].Write(bytes.Repeat(packet, n)); err != nil {
		t.Fatal(err)
	}
	_ = clients[1].(*net.TCPConn).CloseWrite()
	j.mu.Unlock()
	for range n + 1 {
		<-j.got
	}
	_ = clients[1].SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := clients[1].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func TestALoopKeepsTheOrderInWhichClientsSpoke(t *testing.T) {
	j, clients, end := looped(t, 2)
	defer end()
	packet := stream(t, mqtt.V5, &mqtt.Publish{Topic: []byte("t")})
	const rounds = 300
	var want []string
	for i := range rounds {
		for k := range 2 {
			c := (i + k) % 2
			if _, err := clients[c].Write(packet); err != nil {
				t.Fatal(err)
			}
			want = append(want, string(rune('a'+c)))
		}
		<-j.got
		<-j.got
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.log, want) {
		t.Error("what one client sent before another was handled after it")
	}
}

func TestIdleConnectionsOfALoopHaveNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	_, _, end := looped(t, 50)
	defer end()
	for range 100 { // those that accepted the last connections are on their way out
		if runtime.NumGoroutine() <= before+10 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines for 50 idle connections", runtime.NumGoroutine()-before)
}

func TestALoopLetsGoOfAConnectionThatIsClosed(t *testing.T) {
	_, clients, end := looped(t, 3)
	if _, err := clients[0].Write([]byte{0x00, 0x00}); err != nil { // a packet of a reserved type
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := clients[0].Read(buf)
	if err != nil || buf[0]>>4 != byte(mqtt.DISCONNECT) {
		t.Errorf("read % x, %v instead of DISCONNECT", buf[:n], err)
	}
	if n, err := clients[0].Read(buf); err == nil {
		t.Errorf("read % x after DISCONNECT", buf[:n])
	}
	end() // waits for every connection to be over
}
