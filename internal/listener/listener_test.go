package listener

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/pkg/proxyproto"
	"github.com/barid-mqtt/barid/pkg/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a listener and returns what it hands over.
func serve(t *testing.T, l *Listener) <-chan *Accepted {
	t.Helper()
	got := make(chan *Accepted, 10_000)
	served := make(chan error, 1)
	go func() { served <- l.Serve(func(a *Accepted) { got <- a }) }()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		close(got)
		for a := range got {
			a.Close()
		}
	})
	return got
}

func start(t *testing.T, o Options) (*Listener, <-chan *Accepted) {
	t.Helper()
	l, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	return l, serve(t, l)
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second)) // a test that hangs fails
	t.Cleanup(func() { c.Close() })
	return c
}

// climb does the client's handshakes.
func climb(t *testing.T, c net.Conn, kind string, config *tls.Config) net.Conn {
	t.Helper()
	if kind == TypeTLS || kind == TypeWSS {
		c = tls.Client(c, config)
	}
	if kind == TypeWS || kind == TypeWSS {
		ws, err := websocket.Client(c, websocket.ClientOptions{Host: "localhost", Path: "/mqtt", Subprotocols: []string{"mqtt"}})
		if err != nil {
			t.Fatal(err)
		}
		c = ws
	}
	return c
}

func exchange(t *testing.T, a, b io.ReadWriter) {
	t.Helper()
	for _, way := range [][2]io.ReadWriter{{a, b}, {b, a}} {
		want := fmt.Sprintf("%p says hello", way[0])
		go io.WriteString(way[0], want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(way[1], got); err != nil || string(got) != want {
			t.Fatalf("read %q, %v", got, err)
		}
	}
}

// proxied are the headers before a connection, by name.
func proxied(t *testing.T) map[string][]byte {
	h := proxyproto.Header{
		Source:      &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7).To4(), Port: 4711},
		Destination: &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1).To4(), Port: 1883},
	}
	v2, err := h.AppendV2(nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"": nil, "v1": h.AppendV1(nil), "v2": v2}
}

func TestEveryTypeCarriesBytes(t *testing.T) {
	for _, kind := range []string{TypeTCP, TypeTLS, TypeWS, TypeWSS, TypeUnix} {
		for version, header := range proxied(t) {
			t.Run(kind+version, func(t *testing.T) {
				ca := newAuthority(t)
				o := ca.options(kind)
				o.ProxyProtocol = header != nil
				l, got := start(t, o)
				raw := dial(t, l)
				raw.Write(header)
				client := climb(t, raw, kind, ca.client())
				if c, ok := client.(*tls.Conn); ok {
					go c.Handshake()
				}
				a := <-got
				defer a.Close()
				exchange(t, client, a)
				checkAccepted(t, a, o, raw, header != nil)
				if s := l.Stats(); s != (Stats{Accepted: 1, Current: 1}) {
					t.Errorf("stats %+v", s)
				}
			})
		}
	}
}

func checkAccepted(t *testing.T, a *Accepted, o Options, raw net.Conn, proxied bool) {
	t.Helper()
	wantRemote, wantLocal := raw.LocalAddr().String(), raw.RemoteAddr().String()
	if proxied {
		wantRemote, wantLocal = "192.0.2.7:4711", "198.51.100.1:1883"
	}
	if r, l := a.RemoteAddr().String(), a.LocalAddr().String(); o.Type != TypeUnix && r != wantRemote || l != wantLocal {
		t.Errorf("addresses %s, %s; want %s, %s", r, l, wantRemote, wantLocal)
	}
	if (a.Proxy != nil) != proxied || (a.TLS != nil) != o.isSecure() || a.Raw == nil {
		t.Errorf("proxy %v, TLS %v, raw %v", a.Proxy, a.TLS, a.Raw)
	}
	if bare := a.Bare() != nil; bare != (o.Type == TypeTCP || o.Type == TypeUnix) {
		t.Errorf("bare: %v", bare)
	}
	if a.Listener != o.Name || a.Transport != o.Type {
		t.Errorf("listener %q, transport %q", a.Listener, a.Transport)
	}
}

func TestHalfCloseLetsPeerReadTheReason(t *testing.T) {
	for _, kind := range []string{TypeTCP, TypeTLS, TypeWS, TypeWSS, TypeUnix} {
		t.Run(kind, func(t *testing.T) {
			ca := newAuthority(t)
			l, got := start(t, ca.options(kind))
			client := climb(t, dial(t, l), kind, ca.client())
			client.Write([]byte("too much"))
			a := <-got
			a.Write([]byte("because"))
			if err := a.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if reason, err := io.ReadAll(client); string(reason) != "because" || err != nil {
				t.Errorf("client read %q, %v", reason, err)
			}
			client.Close()
			if rest, err := io.ReadAll(a); string(rest) != "too much" || err != nil {
				t.Errorf("server drained %q, %v", rest, err)
			}
			a.Close()
		})
	}
}

func TestMaxConnections(t *testing.T) {
	l, got := start(t, Options{Name: "t", Type: TypeTCP, Bind: "127.0.0.1:0", MaxConnections: 2})
	dial(t, l)
	dial(t, l)
	a, b := <-got, <-got
	if _, err := dial(t, l).Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a third connection: %v, want it closed", err)
	}
	if s := l.Stats(); s != (Stats{Accepted: 2, Refused: 1, Current: 2}) {
		t.Errorf("stats %+v", s)
	}
	a.Close()
	if err := a.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	a.Abort()
	if n := l.Stats().Current; n != 1 {
		t.Errorf("%d connections after one of two was closed", n)
	}
	exchange(t, dial(t, l), <-got)
	b.Abort()
}

func TestAbortResets(t *testing.T) {
	l, got := start(t, Options{Name: "t", Type: TypeTCP, Bind: "127.0.0.1:0"})
	c := dial(t, l)
	a := <-got
	a.Abort()
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("after Abort: %v, want a reset", err)
	}
	if n := l.Stats().Current; n != 0 {
		t.Errorf("%d connections left", n)
	}
}

func TestProblemsHaveReasons(t *testing.T) {
	ca := newAuthority(t)
	tests := []struct {
		kind  string
		proxy bool
		sent  string
		want  Reason
		reply string
	}{
		{TypeTCP, true, "\x10\x0c\x00\x04MQTT\x05", BadProxyHeader, ""},
		{TypeTLS, true, "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n", BadTLS, ""},
		{TypeTLS, false, "\x10\x0c\x00\x04MQTT\x05", BadTLS, ""},
		{TypeWS, false, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n", BadWebSocket, "HTTP/1.1 404 "},
		{TypeWS, false, "GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n", BadWebSocket, "HTTP/1.1 426 "},
		{TypeWS, false, "GET /mqtt HTTP/1.1\r\nX: " + strings.Repeat("x", 100_000), BadWebSocket, "HTTP/1.1 431 "},
	}
	for _, tt := range tests {
		t.Run(tt.kind+"/"+string(tt.want)+tt.reply, func(t *testing.T) {
			problems := make(chan Problem, 1)
			o := ca.options(tt.kind)
			o.ProxyProtocol = tt.proxy
			o.OnProblem = func(p Problem) { problems <- p }
			l, _ := start(t, o)
			c := dial(t, l)
			io.WriteString(c, tt.sent)
			reply, err := io.ReadAll(c)
			if !strings.HasPrefix(string(reply), tt.reply) || tt.reply != "" && err != nil {
				t.Errorf("read %q, %v", reply, err)
			}
			c.Close()
			p := <-problems
			if p.Reason != tt.want || p.Err == nil || p.Remote == nil || p.Listener != tt.kind {
				t.Errorf("problem %+v, want %s", p, tt.want)
			}
			if n := l.Stats().HandshakeFailures; n != 1 {
				t.Errorf("%d handshake failures", n)
			}
		})
	}
}

func TestReadNow(t *testing.T) {
	for _, kind := range []string{TypeTCP, TypeTLS, TypeWS, TypeWSS, TypeUnix} {
		t.Run(kind, func(t *testing.T) {
			ca := newAuthority(t)
			l, got := start(t, ca.options(kind))
			client := climb(t, dial(t, l), kind, ca.client())
			if c, ok := client.(*tls.Conn); ok {
				c.Handshake()
			}
			a := <-got
			defer a.Close()
			for range 3 {
				if n, err := a.ReadNow(make([]byte, 10)); n != 0 || !errors.Is(err, ErrWouldBlock) {
					t.Fatalf("nothing there: ReadNow = %d, %v", n, err)
				}
				want := strings.Repeat("0123456789", 5000)
				go io.WriteString(client, want)
				if got := drain(t, a, len(want)); got != want {
					t.Fatalf("read %d bytes, want %d", len(got), len(want))
				}
			}
			exchange(t, client, a) // Read waits as ever
			client.Close()
			err := error(ErrWouldBlock)
			for errors.Is(err, ErrWouldBlock) {
				if err := a.WaitReadable(); err != nil {
					t.Fatal(err)
				}
				_, err = a.ReadNow(make([]byte, 10))
			}
			if err != io.EOF {
				t.Errorf("after the client's Close: %v", err)
			}
		})
	}
}

// drain reads as a driver does that holds no buffer while it waits.
func drain(t *testing.T, a *Accepted, want int) string {
	t.Helper()
	var got []byte
	for len(got) < want {
		if err := a.WaitReadable(); err != nil {
			t.Fatal(err)
		}
		for {
			buf := make([]byte, 1000)
			n, err := a.ReadNow(buf)
			got = append(got, buf[:n]...)
			if errors.Is(err, ErrWouldBlock) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return string(got)
}

func TestCloseJoinsHandshakesAndSparesAccepted(t *testing.T) {
	ca := newAuthority(t)
	l, err := Listen(ca.options(TypeTLS))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *Accepted, 1)
	served := make(chan error, 1)
	go func() { served <- l.Serve(func(a *Accepted) { got <- a }) }()
	client := tls.Client(dial(t, l), ca.client())
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	a := <-got
	var silent []net.Conn
	for range 50 {
		silent = append(silent, dial(t, l))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for _, c := range silent {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a handshake outlived Close: %v", err)
		}
	}
	if s := l.Stats(); s.Current != 1 || s.HandshakeFailures != 0 {
		t.Errorf("stats %+v, want only the accepted connection, and no failure of a client's", s)
	}
	exchange(t, client, a)
	a.Close()
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := l.Serve(nil); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
}
