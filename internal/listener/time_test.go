package listener

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/pkg/memnet"
	"github.com/barid-mqtt/barid/pkg/websocket"
)

// run serves a listener in memory, in virtual time, and closes all at the end.
func run(t *testing.T, o Options, body func(l *Listener, mem *memnet.Listener, got <-chan *Accepted)) {
	t.Helper()
	mem := memnet.Listen(memnet.Options{})
	runOn(t, mem, o, func(l *Listener, got <-chan *Accepted) { body(l, mem, got) })
}

func runOn(t *testing.T, socket net.Listener, o Options, body func(l *Listener, got <-chan *Accepted)) {
	t.Helper()
	o.Name = "test"
	l, err := On(socket, o)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *Accepted, 10_000)
	served := make(chan error, 1)
	go func() { served <- l.Serve(func(a *Accepted) { got <- a }) }()
	body(l, got)
	l.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	close(got)
	for a := range got {
		a.Close()
	}
	if n := l.Stats().Current; n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// Silent clients, and clients that send a byte a second, are closed after the handshake timeout, and others get in
// meanwhile.
func TestHandshakesThatNeverEndAreClosedInTime(t *testing.T) {
	ca := newAuthority(t)
	for _, kind := range []string{TypeTCP, TypeTLS, TypeWS, TypeWSS} {
		o := ca.options(kind)
		o.ProxyProtocol = kind == TypeTCP
		beginning := map[string]string{TypeTCP: "PROXY TCP4 1.2", TypeTLS: "\x16\x03\x01\x02\x00\x01", TypeWS: "GET /mqtt HTTP/1.1\r\nHost", TypeWSS: "\x16\x03\x01\x02\x00\x01"}[kind]
		synctest.Test(t, func(t *testing.T) {
			run(t, o, func(l *Listener, mem *memnet.Listener, got <-chan *Accepted) {
				begin := time.Now()
				var all sync.WaitGroup
				for i := range 3000 {
					c, err := mem.Dial()
					if err != nil {
						t.Fatal(err)
					}
					all.Go(func() {
						defer c.Close()
						if i%3 == 0 {
							all.Go(func() { trickle(c, beginning) })
						}
						io.Copy(io.Discard, c) // until the server closes
						if d := time.Since(begin); d > DefaultHandshakeTimeout+refusalLinger {
							t.Errorf("%s: closed after %v", kind, d)
						}
					})
				}
				all.Wait()
				if d := time.Since(begin); d < DefaultHandshakeTimeout {
					t.Errorf("%s: all closed after %v already", kind, d)
				}
				synctest.Wait() // the server's last steps
				if s := l.Stats(); s != (Stats{HandshakeFailures: 3000}) {
					t.Errorf("%s: stats %+v", kind, s)
				}
			})
		})
	}
}

func trickle(c net.Conn, s string) {
	for i := range len(s) {
		if _, err := io.WriteString(c, s[i:i+1]); err != nil {
			return
		}
		<-time.After(time.Second)
	}
}

func TestHandshakesAreBoundedAndDoNotBlockAccepting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Type: TypeWS, MaxHandshakes: 5}
		reasons := map[Reason]int{}
		var mu sync.Mutex
		o.OnProblem = func(p Problem) {
			mu.Lock()
			defer mu.Unlock()
			reasons[p.Reason]++
		}
		run(t, o, func(l *Listener, mem *memnet.Listener, got <-chan *Accepted) {
			var silent []*memnet.Conn
			for range 5 {
				c, _ := mem.Dial()
				silent = append(silent, c)
			}
			over, _ := mem.Dial()
			if _, err := over.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("a sixth handshake: %v, want it closed", err)
			}
			synctest.Wait()
			if s := l.Stats(); s != (Stats{Refused: 1, Current: 5}) || reasons[MaxHandshakes] != 1 {
				t.Errorf("stats %+v, reasons %v", s, reasons)
			}
			silent[0].Close()
			synctest.Wait()
			c, _ := mem.Dial()
			if _, err := websocket.Client(c, websocket.ClientOptions{Path: "/mqtt", Subprotocols: []string{"mqtt"}}); err != nil {
				t.Errorf("after one ended: %v", err)
			}
			(<-got).Close()
			for _, c := range silent[1:] {
				c.Close()
			}
			synctest.Wait()
		})
	})
}

func TestDeadlinesEndWithTheHandshake(t *testing.T) {
	ca := newAuthority(t)
	o := ca.options(TypeWSS)
	synctest.Test(t, func(t *testing.T) {
		run(t, o, func(l *Listener, mem *memnet.Listener, got <-chan *Accepted) {
			raw, _ := mem.Dial()
			c := climb(t, raw, TypeWSS, ca.client())
			a := <-got
			<-time.After(10 * DefaultHandshakeTimeout)
			exchange(t, c, a)
			if _, err := a.ReadNow(make([]byte, 1)); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("ReadNow in memory: %v", err)
			}
			a.Close()
			raw.Close()
		})
	})
}

func TestAcceptRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run(t, Options{Type: TypeTCP, AcceptRate: 10}, func(l *Listener, mem *memnet.Listener, got <-chan *Accepted) {
			begin := time.Now()
			for range 31 {
				if _, err := mem.Dial(); err != nil {
					t.Fatal(err)
				}
			}
			for range 31 {
				(<-got).Close()
			}
			if d := time.Since(begin).Round(100 * time.Millisecond); d != 3*time.Second {
				t.Errorf("31 connections at 10 a second took %v", d)
			}
		})
	})
}

// failing is a listener that fails a number of times before it accepts.
type failing struct {
	net.Listener
	failures int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return f.Listener.Accept()
}

func TestServeOutlivesRunningOutOfDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.Listen(memnet.Options{})
		var problems []Problem
		o := Options{Type: TypeTCP, OnProblem: func(p Problem) { problems = append(problems, p) }}
		runOn(t, &failing{mem, 20}, o, func(l *Listener, got <-chan *Accepted) {
			begin := time.Now()
			c, err := mem.Dial()
			if err != nil {
				t.Fatal(err)
			}
			a := <-got
			exchange(t, c, a)
			// 5 ms doubles to a second in 8 steps, 1.275 s in all, and stays there for the other 12.
			if d := time.Since(begin); d != 13275*time.Millisecond {
				t.Errorf("20 failures took %v", d)
			}
			if s := l.Stats(); s.AcceptErrors != 20 || s.Accepted != 1 {
				t.Errorf("stats %+v", s)
			}
			a.Close()
		})
		if len(problems) != 20 || problems[0].Reason != AcceptingFailed || !errors.Is(problems[0].Err, syscall.EMFILE) {
			t.Errorf("%d problems: %+v", len(problems), problems)
		}
	})
}

func TestCloseInterruptsPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		runOn(t, &failing{memnet.Listen(memnet.Options{}), 1 << 30}, Options{Type: TypeTCP}, func(*Listener, <-chan *Accepted) {
			<-time.After(100 * time.Second)
		})
		if d := time.Since(begin); d != 100*time.Second {
			t.Errorf("Close took %v", d-100*time.Second)
		}
	})
}

func TestCloseCutsHandshakesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		run(t, Options{Type: TypeWS}, func(l *Listener, mem *memnet.Listener, _ <-chan *Accepted) {
			for range 10 {
				if _, err := mem.Dial(); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if n := l.Stats().Current; n != 10 {
				t.Errorf("%d handshakes under way, want 10", n)
			}
		})
		if d := time.Since(begin); d != 0 {
			t.Errorf("Close took %v", d)
		}
	})
}

func TestCloseWaitsForHandle(t *testing.T) {
	for _, kind := range []string{TypeTCP, TypeWS} { // from the accept loop, and from a handshake
		synctest.Test(t, func(t *testing.T) {
			mem := memnet.Listen(memnet.Options{})
			l, err := On(mem, Options{Type: kind})
			if err != nil {
				t.Fatal(err)
			}
			release := make(chan struct{})
			go l.Serve(func(a *Accepted) {
				<-release
				a.Close()
			})
			raw, _ := mem.Dial()
			climb(t, raw, kind, nil)
			synctest.Wait()
			closed := make(chan error, 1)
			go func() { closed <- l.Close() }()
			synctest.Wait()
			if len(closed) > 0 {
				t.Errorf("%s: Close returned while handle ran", kind)
			}
			close(release)
			if err := <-closed; err != nil {
				t.Error(err)
			}
			raw.Close()
		})
	}
}

func TestServeReportsForeignClose(t *testing.T) {
	mem := memnet.Listen(memnet.Options{})
	l, err := On(mem, Options{Type: TypeTCP})
	if err != nil {
		t.Fatal(err)
	}
	mem.Close()
	if err := l.Serve(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	l.Close()
}

// A peer that reads nothing cannot hold up Close with what TLS and WebSocket say at the end.
func TestCloseDoesNotWaitForAPeerThatReadsNothing(t *testing.T) {
	ca := newAuthority(t)
	for _, kind := range []string{TypeTLS, TypeWS, TypeWSS} {
		o := ca.options(kind)
		synctest.Test(t, func(t *testing.T) {
			mem := memnet.Listen(memnet.Options{BufferBytes: 8 << 10})
			runOn(t, mem, o, func(l *Listener, got <-chan *Accepted) {
				raw, _ := mem.Dial()
				if c, ok := climb(t, raw, kind, ca.client()).(*tls.Conn); ok {
					c.Handshake()
				}
				a := <-got
				a.socket.Write(make([]byte, 8<<10-raw.Unread())) // fills it
				begin := time.Now()
				a.Close()
				if d := time.Since(begin); d == 0 || d > closeLinger {
					t.Errorf("%s: Close took %v", kind, d)
				}
				raw.Close()
			})
		})
	}
}
