package conn

import (
	"bytes"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
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

	// Static while there is traffic.
	got  chan struct{} // nil: nobody listens
	slow time.Duration // what a message costs
}

func (j *journal) note(s string) {
	j.mu.Lock()
	j.log = append(j.log, s)
	j.mu.Unlock()
	if j.got != nil {
		j.got <- struct{}{}
	}
	for begun := time.Now(); time.Since(begun) < j.slow; {
	}
}

// journalist is the handler and port of one connection.
type journalist struct {
	*recorder
	j    *journal
	name string
	held *atomic.Bool
}

func (n journalist) Connect(c *Conn, p *mqtt.Connect) {
	c.Accept(journalPort{n}, &mqtt.Connack{}, 0)
	c.Resume()
	c.FlushSoon()
}
func (n journalist) Authenticate(*Conn, *mqtt.Auth) {}

type journalPort struct{ journalist }

func (p journalPort) Authenticate(*mqtt.Auth) error { return nil }
func (p journalPort) Publish(_ *Batch, packet *mqtt.Publish) (Verdict, error) {
	if packet.Retain && p.held.CompareAndSwap(false, true) { // these are held back once
		p.conn.Suspend()
		go p.conn.Resume()
		return Retry, nil
	}
	p.held.Store(false)
	p.j.note(p.name + string(packet.Payload))
	return Done, nil
}
func (p journalPort) Closed() {}

// looped is a loop with n accepted connections over real sockets.
func looped(t *testing.T, n int) (j *journal, clients []net.Conn, end func()) {
	t.Helper()
	j, clients, _, end = loopedOn(t, 1, n)
	return j, clients, end
}

// loopedOn is looped with several loops.
func loopedOn(t *testing.T, loops, n int) (j *journal, clients []net.Conn, l *Loops, end func()) {
	t.Helper()
	m := new(metrics.Metrics)
	l, err := NewLoops(loops, m)
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
		c := New(&Options{MaxPacketBytes: 1 << 20, OutMaxBytes: 1 << 16, Metrics: m, Flusher: f}, journalist{r, j, string(rune('a' + i%26)), new(atomic.Bool)}, Info{})
		r.conn = c
		over.Add(1)
		Drive(c, Socket{Conn: server, Bare: raw, Loops: l})(over.Done)
		if _, err := client.Write(stream(t, mqtt.V5, &mqtt.Connect{Version: mqtt.V5, ClientID: "c"})); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 100)); err != nil { // CONNACK
			t.Fatal(err)
		}
		clients = append(clients, client)
	}
	return j, clients, l, func() {
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

// Connections that move between loops while their clients speak, and while they are suspended, lose nothing and keep
// their order.
func TestConnectionsMoveBetweenLoops(t *testing.T) {
	const n, messages = 8, 2000
	j, clients, ls, end := loopedOn(t, 2, n)
	j.got = nil
	var speaking sync.WaitGroup
	for i, c := range clients {
		speaking.Go(func() {
			for k := range messages {
				p := stream(t, mqtt.V5, &mqtt.Publish{Topic: []byte("t"), Retain: k%7 == i%7, Payload: strconv.AppendInt(nil, int64(k), 10)})
				if _, err := c.Write(p); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	var moving sync.WaitGroup
	moving.Go(func() {
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for k := 0; ; k++ {
			select {
			case <-tick.C:
				ls.all[k%2].ask(&move{to: ls.all[(k+1)%2], all: k%3 == 0})
			case <-stop:
				return
			}
		}
	})
	speaking.Wait()
	j.waitFor(t, n*messages)
	close(stop)
	moving.Wait()
	next := make(map[string]int)
	for _, entry := range j.log {
		name, number := entry[:1], entry[1:]
		if number != strconv.Itoa(next[name]) {
			t.Fatalf("%s: %s instead of %d", name, number, next[name])
		}
		next[name]++
	}
	end()
}

// Under a load that one loop does not bear, connections are served by another as well, and by one again when it is over.
func TestLoopsShareALoadAndComeBack(t *testing.T) {
	const n = 4
	j, clients, ls, end := loopedOn(t, 2, n)
	defer end()
	j.got, j.slow = nil, 100*time.Microsecond
	stop := make(chan struct{})
	var speaking sync.WaitGroup
	packet := stream(t, mqtt.V5, &mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, 2000)})
	for _, c := range clients {
		speaking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.Write(packet); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	waitUntil(t, "a second loop has connections", func() bool { return ls.all[1].len() > 0 && ls.all[0].len() > 0 })
	close(stop)
	speaking.Wait()
	waitUntil(t, "one loop has all of them", func() bool { return ls.all[0].len() == n })
}

func (l *Loop) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.drivers)
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (j *journal) waitFor(t *testing.T, n int) {
	t.Helper()
	waitUntil(t, strconv.Itoa(n)+" messages", func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return len(j.log) >= n
	})
}
