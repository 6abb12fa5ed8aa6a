package listener

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/barid-mqtt/barid/pkg/websocket"
)

// handed returns an HTTP server that hands its connections to a listener, and what that hands on.
func handed(t *testing.T, o Options, secure bool) (*Listener, *httptest.Server, <-chan *Accepted) {
	t.Helper()
	l, err := Handed(o)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *Accepted, 10)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.Upgrade(w, r, func(a *Accepted) { got <- a })
	}))
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, s, got
}

// openTo connects a WebSocket client to an HTTP server.
func openTo(t *testing.T, s *httptest.Server, h http.Header) (*websocket.Conn, error) {
	t.Helper()
	var c net.Conn
	var err error
	if s.TLS != nil {
		config := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		config.ServerName = "example.com"
		c, err = tls.Dial("tcp", s.Listener.Addr().String(), config)
	} else {
		c, err = net.Dial("tcp", s.Listener.Addr().String())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return websocket.Client(c, websocket.ClientOptions{Path: "/mqtt", Subprotocols: []string{"mqtt"}, Header: h})
}

func TestUpgradeHandsOverAConnectionOfAnHTTPServer(t *testing.T) {
	l, s, got := handed(t, Options{Name: "web"}, false)
	c, err := openTo(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := <-got
	if a.Listener != "web" || a.Transport != TypeWS || a.TLS != nil || a.Raw == nil || a.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("handed over: %+v", a)
	}
	a.WriteLater()
	if drained, err := a.TryWrite([]byte("hello")); !drained || err != nil {
		t.Errorf("writing: %v, %v", drained, err)
	}
	buf := make([]byte, 16)
	if n, err := c.Read(buf); !bytes.Equal(buf[:n], []byte("hello")) {
		t.Errorf("the client read %q, %v", buf[:n], err)
	}
	if _, err := c.Write([]byte("back")); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Read(buf); !bytes.Equal(buf[:n], []byte("back")) {
		t.Errorf("the broker read %q, %v", buf[:n], err)
	}
	if s := l.Stats(); s.Accepted != 1 || s.Current != 1 {
		t.Errorf("%+v", s)
	}
	if err := a.Close(); err != nil || l.Stats().Current != 0 {
		t.Errorf("closing: %v, %+v", err, l.Stats())
	}
}

func TestUpgradeRefusesPagesOfOthersAndWhatIsTooMany(t *testing.T) {
	l, s, got := handed(t, Options{Name: "web", SameOrigin: true, AllowedOrigins: []string{"https://ops.example"}, MaxConnections: 2}, false)
	status := func(origin string) int {
		_, err := openTo(t, s, http.Header{"Origin": {origin}})
		var refused *websocket.HandshakeError
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if err == nil {
			a := <-got
			t.Cleanup(func() { a.Close() })
			return http.StatusSwitchingProtocols
		}
		return refused.Status
	}
	for _, c := range []struct {
		origin string
		want   int
	}{
		{"https://evil.example", 403}, {"null", 403},
		{s.URL, 101}, {"https://ops.example", 101}, // and these are all there is room for
		{s.URL, 503},
	} {
		if got := status(c.origin); got != c.want {
			t.Errorf("%s was answered %d, not %d", c.origin, got, c.want)
		}
	}
	if st := l.Stats(); st.Accepted != 2 || st.HandshakeFailures != 2 || st.Refused != 1 || st.Current != 2 {
		t.Errorf("%+v", st)
	}
}

func TestUpgradeKnowsTheServersTLS(t *testing.T) {
	_, s, got := handed(t, Options{Name: "web"}, true)
	c, err := openTo(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := <-got
	defer a.Close()
	if a.TLS == nil || a.Transport != TypeWSS || a.Raw != nil {
		t.Errorf("handed over: %+v", a)
	}
	go c.Write([]byte("x"))
	if n, err := a.Read(make([]byte, 4)); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestUpgradeRefusesAfterClose(t *testing.T) {
	l, s, _ := handed(t, Options{Name: "web"}, false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var refused *websocket.HandshakeError
	if _, err := openTo(t, s, nil); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("%v", err)
	}
}
