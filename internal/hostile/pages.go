package hostile

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Requests to the HTTP API that are wrong, too large, without an end, or from nobody who may.
var pages = []Kind{
	{"HTTP garbage", []string{"api"}, (*Target).httpGarbage},
	{"huge HTTP headers", []string{"api"}, (*Target).hugeHeaders},
	{"HTTP bodies without an end", []string{"api"}, (*Target).endlessBody},
	{"HTTP without credentials", []string{"api"}, (*Target).nobody},
	{"HTTP answers that nobody reads", []string{"api"}, (*Target).unread},
	{"HTTP logins", []string{"api"}, (*Target).logins},
}

// httpGarbage sends what is nearly HTTP. Whatever is answered, it is no success.
func (x *Target) httpGarbage(rng *rand.Rand) {
	const get = "GET /api/v5/clients HTTP/1.1\r\nHost: localhost\r\n"
	requests := []string{
		string(randomBytes(rng, 1000)),
		"GET /api/v5/clients HTTP/1.1\r\n\r\n",                                                  // no Host
		"GET /api/v5/clients HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",                 // two
		"GET /api/v5/clients HTTP/1.1\r\nHost: evil.example\r\n\r\n",                            // another's
		"GET http://evil.example/api/v5/clients HTTP/1.1\r\nHost: localhost\r\n\r\n",            // a proxy's
		"GET /api/v5/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", // elsewhere
		"GET /api/v5/clients/%2e%2e%2f%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"POST /api/v5/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/v5/clients HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /api/v5/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
		"POST /api/v5/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"POST /api/v5/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
		get + "Authorization: Basic " + strings.Repeat("A", 8000) + "\r\nConnection: close\r\n\r\n",
		get + "Authorization: Bearer " + strings.Repeat("%", 8000) + "\r\nConnection: close\r\n\r\n",
		get + "X: a\x00b\r\n\r\n", get + " folded\r\n\r\n",
		"CONNECT evil.example:25 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"TRACE /api/v5/clients HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + string(randomBytes(rng, 100)),
		get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
	}
	x.unsuccessful(requests[rng.IntN(len(requests))], "HTTP garbage")
}

// unsuccessful sends a request, after which the broker has to hang up without having answered with a success.
func (x *Target) unsuccessful(request, name string) {
	c := x.dial("api")
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(x.Patience))
	_, _ = io.WriteString(c, request)
	if tcp, ok := c.(interface{ CloseWrite() error }); ok {
		_ = tcp.CloseWrite()
	}
	_ = c.SetReadDeadline(time.Now().Add(x.Patience))
	answer, err := io.ReadAll(io.LimitReader(c, 1<<20))
	if err != nil && len(answer) == 0 && isTimeout(err) {
		x.fault("%s: the broker does not hang up on %.80q", name, request)
	}
	if bytes.HasPrefix(answer, []byte("HTTP/1.1 2")) || bytes.HasPrefix(answer, []byte("HTTP/1.0 2")) {
		x.fault("%s: %.80q is answered %.200q", name, request, answer)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

func (x *Target) hugeHeaders(rng *rand.Rand) {
	var b strings.Builder
	b.WriteString("GET /api/v5/clients HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")
	if rng.IntN(2) == 0 {
		fmt.Fprintf(&b, "Cookie: %s\r\n", strings.Repeat("c", 1<<20))
	} else {
		for i := range 50_000 {
			fmt.Fprintf(&b, "X-%d: y\r\n", i)
		}
	}
	x.unsuccessful(b.String()+"\r\n", "huge HTTP headers")
}

// endlessBody goes on for as long as it is let, in chunks.
func (x *Target) endlessBody(rng *rand.Rand) {
	c := x.dial("api")
	defer c.Close()
	path := []string{"/api/v5/login", "/api/v5/publish", "/api/v5/publish/bulk", "/healthz", "/"}[rng.IntN(5)]
	_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", path)
	piece := "10000\r\n" + strings.Repeat("[", 65536) + "\r\n"
	if rng.IntN(2) == 0 {
		piece = strings.Repeat("1;"+strings.Repeat("x", 100)+"\r\n[\r\n", 500) // little in much
	}
	if path == "/api/v5/login" && rng.IntN(2) == 0 {
		_, _ = io.WriteString(c, "d\r\n{\"username\":\"\r\n")
		piece = strings.ReplaceAll(piece, "[", "x")
	}
	_ = c.SetDeadline(time.Now().Add(x.Patience))
	const most = 64 << 20
	for sent := 0; sent < most; sent += len(piece) {
		if _, err := io.WriteString(c, piece); err != nil {
			if isTimeout(err) {
				x.fault("HTTP bodies without an end: the broker neither reads nor hangs up")
			}
			return
		}
	}
	x.fault("HTTP bodies without an end: %s takes %d bytes", path, most)
}

// nobody asks for everything without credentials, or with wrong ones.
func (x *Target) nobody(rng *rand.Rand) {
	requests := []string{
		"GET /api/v5/clients", "GET /api/v5/subscriptions", "GET /api/v5/topics", "GET /api/v5/mqtt/retainer/messages", "GET /api/v5/api_key",
		"GET /api/v5/config", "GET /api/v5/metrics", "GET /metrics", "GET /api/v5/prometheus/stats", "GET /api/v5/audit", "GET /api/v5/users",
		"GET /api/v5/banned", "GET /api/v5/alarms", "GET /api/v5/listeners", "GET /api/v5/consumers", "GET /api/v5/stream?filter=%23", "GET /api/v5/history?filter=%23",
		"POST /api/v5/publish", "POST /api/v5/publish/bulk", "DELETE /api/v5/mqtt/retainer/messages", "DELETE /api/v5/clients/pair-pub", "POST /api/v5/clients/kickout/bulk",
		"PUT /api/v5/config", "POST /api/v5/trace", "POST /api/v5/api_key", "PUT /api/v5/streams/x", "POST /api/v5/stream/ticket",
	}
	method, path, _ := strings.Cut(requests[rng.IntN(len(requests))], " ")
	body := `{"topic":"pair/forged","payload":"forged"}`
	credentials := []string{"", "Authorization: Basic YWRtaW46YWRtaW4=\r\n", "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.\r\n", "Authorization: Basic \r\n", "Cookie: token=x\r\n"}[rng.IntN(5)]
	x.unsuccessful(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", method, path, credentials, len(body), body), "HTTP without credentials")
}

// unread asks again and again on one connection and reads no answer.
func (x *Target) unread(*rand.Rand) {
	c := x.dial("api")
	_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	one := strings.Repeat("GET /api/v5/openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n", 20)
	for range 200 {
		if _, err := io.WriteString(c, one); err != nil {
			break
		}
	}
	_ = c.Close()
}

// logins guesses passwords at speed, and once reads what is said to it.
func (x *Target) logins(rng *rand.Rand) {
	c := x.dial("api")
	defer c.Close()
	r := bufio.NewReader(c)
	for range 5 {
		body := fmt.Sprintf(`{"username":"admin","password":"%d"}`, rng.IntN(1e9))
		if _, err := fmt.Fprintf(c, "POST /api/v5/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			return
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode < 300 {
			x.fault("HTTP logins: a wrong password is taken")
		}
	}
}
