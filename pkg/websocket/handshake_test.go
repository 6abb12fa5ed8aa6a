package websocket

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/pkg/memnet"
	gorilla "github.com/gorilla/websocket"
)

var mqttOptions = Options{Path: "/mqtt", Subprotocols: []string{"mqtt", "mqttv3.1"}}

// request is a good request; edits replace, add ("+Name: value") or remove ("-Name") lines.
func request(edits ...string) string {
	lines := []string{
		"GET /mqtt HTTP/1.1", "Host: broker", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt",
	}
	for _, e := range edits {
		name, _, _ := strings.Cut(strings.TrimLeft(e, "+-"), ":")
		kept := lines[:0:0]
		for _, l := range lines {
			if isGet := strings.HasPrefix(l, "GET "); e[0] == '+' || isGet && !strings.Contains(e, " HTTP/") || !isGet && !strings.HasPrefix(l, name+":") {
				kept = append(kept, l)
			}
		}
		switch {
		case strings.Contains(e, " HTTP/"):
			kept = append([]string{e}, kept...)
		case e[0] != '-':
			kept = append(kept, strings.TrimPrefix(e, "+"))
		}
		lines = kept
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func TestAcceptTable(t *testing.T) {
	withOrigins := mqttOptions
	withOrigins.AllowedOrigins = []string{"https://good.example"}
	same := mqttOptions
	same.SameOrigin = true
	long := "+X: " + strings.Repeat("x", DefaultMaxHeaderBytes)
	tests := []struct {
		name     string
		o        Options
		raw      string
		status   int
		protocol string
		header   string // that the answer must have
	}{
		{"good", mqttOptions, request(), 101, "mqtt", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
		{"[MQTT-6.0.0-4] mqtt among several", mqttOptions, request("Sec-WebSocket-Protocol: chat, mqttv3.1,mqtt"), 101, "mqtt", "Sec-WebSocket-Protocol: mqtt"},
		{"several lines", mqttOptions, request("+Sec-WebSocket-Protocol: chat", "Upgrade: WebSocket"), 101, "mqtt", ""},
		{"mqttv3.1 alone", mqttOptions, request("Sec-WebSocket-Protocol: mqttv3.1"), 101, "mqttv3.1", "Sec-WebSocket-Protocol: mqttv3.1"},
		{"[MQTT-6.0.0-3] no subprotocol", mqttOptions, request("-Sec-WebSocket-Protocol"), 400, "", ""},
		{"[MQTT-6.0.0-3] other subprotocols", mqttOptions, request("Sec-WebSocket-Protocol: chat, MQTT"), 400, "", ""},
		{"no subprotocol asked for", Options{}, request("-Sec-WebSocket-Protocol"), 101, "", ""},
		{"query", mqttOptions, request("GET /mqtt?x=1 HTTP/1.1"), 101, "mqtt", ""},
		{"other path", mqttOptions, request("GET /mqtt/x HTTP/1.1"), 404, "", ""},
		{"POST", mqttOptions, request("POST /mqtt HTTP/1.1"), 405, "", "Allow: GET"},
		{"no upgrade", mqttOptions, request("-Upgrade"), 426, "", "Upgrade: websocket"},
		{"connection not upgraded", mqttOptions, request("Connection: close"), 426, "", ""},
		{"version 8", mqttOptions, request("Sec-WebSocket-Version: 8"), 426, "", "Sec-Websocket-Version: 13"},
		{"no key", mqttOptions, request("-Sec-WebSocket-Key"), 400, "", ""},
		{"two keys", mqttOptions, request("+Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, "", ""},
		{"short key", mqttOptions, request("Sec-WebSocket-Key: AAAA"), 400, "", ""},
		{"no host", mqttOptions, request("-Host"), 400, "", ""},
		{"HTTP/1.0", mqttOptions, request("GET /mqtt HTTP/1.0"), 400, "", ""},
		{"body", mqttOptions, request("+Content-Length: 3") + "abc", 400, "", ""},
		{"chunked body", mqttOptions, request("+Transfer-Encoding: chunked"), 400, "", ""},
		{"not HTTP", mqttOptions, "\x10\x0c\x00\x04MQTT\x05\r\n\r\n", 400, "", ""},
		{"header too long", mqttOptions, request(long), 431, "", ""},
		{"good origin", withOrigins, request("+Origin: https://GOOD.example"), 101, "mqtt", ""},
		{"no origin", withOrigins, request(), 101, "mqtt", ""},
		{"bad origin", withOrigins, request("+Origin: https://bad.example"), 403, "", ""},
		{"any origin", mqttOptions, request("+Origin: https://bad.example"), 101, "mqtt", ""},
		{"same origin", same, request("+Origin: https://broker"), 101, "mqtt", ""},
		{"not the same origin", same, request("+Origin: https://broker.example"), 403, "", ""},
		{"null origin", same, request("+Origin: null"), 403, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := memnet.Pipe()
			defer a.Close()
			defer b.Close()
			io.WriteString(a, tt.raw)
			conn, err := Accept(b, tt.o)
			b.CloseWrite()
			answer, _ := io.ReadAll(a)
			checkAnswer(t, string(answer), tt.status, tt.header)
			if tt.status == 101 {
				if err != nil || conn.Subprotocol() != tt.protocol {
					t.Errorf("subprotocol %q, error %v", conn.Subprotocol(), err)
				}
				return
			}
			var he *HandshakeError
			if !errors.As(err, &he) || he.Status != tt.status {
				t.Errorf("error %v, want status %d", err, tt.status)
			}
		})
	}
}

func checkAnswer(t *testing.T, answer string, status int, header string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		t.Fatalf("answer %q: %v", answer, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != status || !strings.Contains(answer, header) {
		t.Errorf("answer %q, want status %d and %q", answer, status, header)
	}
	if status != 101 && !resp.Close {
		t.Errorf("answer %q does not say that the connection closes", answer)
	}
}

func TestHandshakeCutShort(t *testing.T) {
	whole := request()
	for _, n := range []int{0, 1, 20, len(whole) - 1} {
		a, b := memnet.Pipe()
		io.WriteString(a, whole[:n])
		a.CloseWrite()
		_, err := Accept(b, mqttOptions)
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
		b.Close()
		if answer, _ := io.ReadAll(a); len(answer) != 0 {
			t.Errorf("cut after %d bytes: answered %q", n, answer)
		}
		a.Close()
	}
}

func TestFramesRightBehindTheHandshake(t *testing.T) {
	a, b := memnet.Pipe()
	defer a.Close()
	defer b.Close()
	io.WriteString(a, request()+string(frame(binry, "first")))
	a.Write(frame(binry, " second"))
	conn, err := Accept(b, mqttOptions)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("first second"))
	if _, err := io.ReadFull(conn, got); string(got) != "first second" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestClientAgainstAccept(t *testing.T) {
	for _, tt := range []struct {
		path, offer string
		status      int
	}{{"/mqtt", "mqtt", 0}, {"/other", "mqtt", 404}, {"/mqtt", "chat", 400}} {
		a, b := memnet.Pipe()
		served := make(chan error, 1)
		go func() {
			conn, err := Accept(b, mqttOptions)
			if err == nil {
				_, err = io.Copy(conn, conn)
				conn.Close()
			}
			b.Close()
			served <- err
		}()
		c, err := Client(a, ClientOptions{Path: tt.path, Subprotocols: []string{tt.offer}})
		var he *HandshakeError
		switch {
		case tt.status != 0:
			if !errors.As(err, &he) || he.Status != tt.status || he.Reason == "" {
				t.Errorf("%v: %v", tt, err)
			}
		case err != nil:
			t.Fatal(err)
		default:
			echo(t, c)
			c.CloseWrite()
		}
		if err := <-served; (err != nil) != (tt.status != 0) {
			t.Errorf("%v: server: %v", tt, err)
		}
		a.Close()
	}
}

func echo(t *testing.T, c io.ReadWriter) {
	t.Helper()
	want := strings.Repeat("to and fro ", 5000)
	go io.WriteString(c, want)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); string(got) != want || err != nil {
		t.Fatalf("echo: %v, or not the same", err)
	}
}

// echoServer serves Upgrade over a real HTTP server.
func echoServer(t *testing.T, o Options) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := Upgrade(w, r, o)
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, conn)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestUpgradeWithForeignClient(t *testing.T) {
	s := echoServer(t, mqttOptions)
	url := "ws" + strings.TrimPrefix(s.URL, "http") + "/mqtt"
	d := gorilla.Dialer{Subprotocols: []string{"chat", "mqtt"}, EnableCompression: true}
	c, resp, err := d.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Subprotocol() != "mqtt" || resp.Header.Get("Sec-Websocket-Extensions") != "" {
		t.Errorf("subprotocol %q, extensions %q", c.Subprotocol(), resp.Header.Get("Sec-Websocket-Extensions"))
	}
	want := strings.Repeat("x", 100_000)
	if err := c.WriteMessage(gorilla.BinaryMessage, []byte(want)); err != nil {
		t.Fatal(err)
	}
	got := 0
	for got < len(want) {
		kind, b, err := c.ReadMessage()
		if err != nil || kind != gorilla.BinaryMessage {
			t.Fatalf("kind %d, error %v", kind, err)
		}
		got += len(b)
	}
	c.WriteMessage(gorilla.TextMessage, []byte("text"))
	if _, _, err := c.ReadMessage(); !gorilla.IsCloseError(err, 1003) {
		t.Errorf("after a text frame: %v, want close 1003", err)
	}
}

func TestUpgradeRefuses(t *testing.T) {
	s := echoServer(t, mqttOptions)
	for path, status := range map[string]int{"/": 404, "/mqtt": 426} {
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status || status == 426 && resp.Header.Get("Sec-Websocket-Version") != "13" {
			t.Errorf("GET %s: %d, %v; want %d", path, resp.StatusCode, resp.Header, status)
		}
	}
	w := httptest.NewRecorder() // cannot be hijacked
	r, _ := http.ReadRequest(bufio.NewReader(strings.NewReader(request())))
	if _, err := Upgrade(w, r, mqttOptions); err == nil || w.Code != 500 {
		t.Errorf("without hijacking: %d, %v", w.Code, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func FuzzAccept(f *testing.F) {
	f.Add([]byte(request()))
	f.Add([]byte(request("-Upgrade", "+Content-Length: 5") + "hello"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := &scripted{raw: raw, step: 100}
		conn, err := Accept(s, mqttOptions)
		if (conn == nil) == (err == nil) {
			t.Fatalf("%v, %v", conn, err)
		}
		if conn != nil && conn.Subprotocol() == "" {
			t.Fatal("agreed without a subprotocol")
		}
	})
}
