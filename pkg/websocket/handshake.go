package websocket

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultMaxHeaderBytes is how long the request of a handshake may be.
const DefaultMaxHeaderBytes = 8 << 10

// Options say which handshakes a server agrees to.
type Options struct {
	// Path is the path that the request must name; "" means any.
	Path string
	// Subprotocols are what the server speaks, the preferred one first. A client that offers none of them is refused.
	// Without any, no subprotocol is asked for or agreed on.
	Subprotocols []string
	// AllowedOrigins are the origins, as "https://example.org", from which a browser's page may connect; "*" means all.
	// A request without an Origin header does not come from a browser, and passes.
	AllowedOrigins []string
	// SameOrigin allows pages of the host that the request is for. Without it and AllowedOrigins, all origins pass.
	SameOrigin bool
	// MaxHeaderBytes bounds the request; 0 means DefaultMaxHeaderBytes.
	MaxHeaderBytes int
	// ControlPerSecond is how many control frames a second the client may send, and ten times as many at once; 0 means
	// DefaultControlPerSecond, and a negative number no limit.
	ControlPerSecond int
}

// HandshakeError is a handshake that was refused, with the HTTP status that the client got.
type HandshakeError struct {
	Status int
	Reason string
}

// Error returns the status and the reason.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("websocket: handshake refused with %d: %s", e.Status, e.Reason)
}

// requestReaders are used only while a handshake lasts.
var requestReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 2<<10) }}

// requestSource reads at most left bytes, and remembers why it ended: the parser would call a request that was cut short
// malformed.
type requestSource struct {
	c    net.Conn
	left int
	err  error
}

func (s *requestSource) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, io.EOF
	}
	n, err := s.c.Read(p[:min(len(p), s.left)])
	s.left -= n
	s.err = err
	return n, err
}

// Accept does the server's side of the handshake on a raw connection. When it refuses, it answers the client and returns
// a *HandshakeError; closing c is left to the caller, as are deadlines.
func Accept(c net.Conn, o Options) (*Conn, error) {
	limit := o.MaxHeaderBytes
	if limit <= 0 {
		limit = DefaultMaxHeaderBytes
	}
	limited := &requestSource{c: c, left: limit}
	br := requestReaders.Get().(*bufio.Reader)
	br.Reset(limited)
	defer func() {
		br.Reset(nil)
		requestReaders.Put(br)
	}()
	r, err := http.ReadRequest(br)
	if err != nil {
		return nil, refuseUnreadable(c, err, limited)
	}
	subprotocol, refusal := o.check(r)
	if refusal != nil {
		return nil, refuse(c, refusal)
	}
	var early []byte
	if n := br.Buffered(); n > 0 {
		early = make([]byte, n)
		_, _ = io.ReadFull(br, early) // they are there
	}
	return o.agree(c, r, subprotocol, early)
}

// Upgrade does the server's side of the handshake within an HTTP handler. When it refuses, it has answered the request.
// Otherwise the connection is the caller's, without deadlines.
func Upgrade(w http.ResponseWriter, r *http.Request, o Options) (*Conn, error) {
	subprotocol, refusal := o.check(r)
	if refusal != nil {
		for name, values := range refusal.header() {
			w.Header()[name] = values
		}
		http.Error(w, refusal.Reason, refusal.Status)
		return nil, refusal
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refusal := &HandshakeError{http.StatusInternalServerError, "this server cannot hand over its connection"}
		http.Error(w, refusal.Reason, refusal.Status)
		return nil, fmt.Errorf("websocket: taking over HTTP connection: %w", err)
	}
	_ = c.SetDeadline(time.Time{}) // a dead connection shows at the write below
	early := make([]byte, rw.Reader.Buffered())
	_, _ = io.ReadFull(rw.Reader, early) // they are there
	conn, err := o.agree(c, r, subprotocol, early)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return conn, nil
}

// agree sends the answer that completes the handshake.
func (o *Options) agree(c net.Conn, r *http.Request, subprotocol string, early []byte) (*Conn, error) {
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
	fmt.Fprintf(&b, "Sec-WebSocket-Accept: %s\r\n", acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	if subprotocol != "" {
		fmt.Fprintf(&b, "Sec-WebSocket-Protocol: %s\r\n", subprotocol)
	}
	b.WriteString("\r\n")
	if _, err := io.WriteString(c, b.String()); err != nil {
		return nil, fmt.Errorf("websocket: answering handshake: %w", err)
	}
	return newConn(c, false, subprotocol, early, o.ControlPerSecond), nil
}

// check says which subprotocol to agree on, or why the request is refused.
func (o *Options) check(r *http.Request) (subprotocol string, refusal *HandshakeError) {
	no := func(status int, reason string) (string, *HandshakeError) { return "", &HandshakeError{status, reason} }
	switch {
	case o.Path != "" && r.URL.Path != o.Path:
		return no(http.StatusNotFound, "no such path")
	case r.Method != http.MethodGet:
		return no(http.StatusMethodNotAllowed, "method is not GET")
	case !r.ProtoAtLeast(1, 1) || r.Host == "" || r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return no(http.StatusBadRequest, "not an HTTP/1.1 request with a host and without a body")
	case !hasToken(r.Header["Connection"], "upgrade") || !hasToken(r.Header["Upgrade"], "websocket"):
		return no(http.StatusUpgradeRequired, "this path speaks WebSocket only")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return no(http.StatusUpgradeRequired, "WebSocket version is not 13")
	case !isKey(r.Header["Sec-Websocket-Key"]):
		return no(http.StatusBadRequest, "Sec-WebSocket-Key is not 16 bytes in base64")
	case !o.isAllowed(r):
		return no(http.StatusForbidden, "origin not allowed")
	}
	if len(o.Subprotocols) == 0 {
		return "", nil
	}
	offered := tokens(r.Header["Sec-Websocket-Protocol"])
	for _, p := range o.Subprotocols {
		if slices.Contains(offered, p) {
			return p, nil
		}
	}
	return no(http.StatusBadRequest, "none of the subprotocols offered is spoken here, only "+strings.Join(o.Subprotocols, ", "))
}

// isAllowed checks the request's origin.
func (o *Options) isAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || len(o.AllowedOrigins) == 0 && !o.SameOrigin {
		return true
	}
	if o.SameOrigin {
		if u, err := url.Parse(origin); err == nil && strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	return slices.ContainsFunc(o.AllowedOrigins, func(a string) bool { return a == "*" || strings.EqualFold(a, origin) })
}

// header returns what belongs into the answer's header beside the status.
func (e *HandshakeError) header() http.Header {
	switch e.Status {
	case http.StatusUpgradeRequired:
		return http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}}
	case http.StatusMethodNotAllowed:
		return http.Header{"Allow": {http.MethodGet}}
	}
	return nil
}

// refuse answers the client with why it is refused, and returns that as an error.
func refuse(c net.Conn, e *HandshakeError) error {
	resp := http.Response{
		StatusCode: e.Status, ProtoMajor: 1, ProtoMinor: 1, Header: e.header(), Close: true,
		Body: io.NopCloser(strings.NewReader(e.Reason + "\n")), ContentLength: int64(len(e.Reason) + 1),
	}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	resp.Header.Set("Content-Type", "text/plain; charset=utf-8")
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		return errors.Join(e, err)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return errors.Join(e, err)
	}
	return e
}

// refuseUnreadable refuses a request that could not be read, unless there is nobody left to tell.
func refuseUnreadable(c net.Conn, err error, s *requestSource) error {
	switch {
	case s.err != nil:
		return fmt.Errorf("websocket: reading handshake: %w", s.err)
	case s.left <= 0:
		return refuse(c, &HandshakeError{http.StatusRequestHeaderFieldsTooLarge, "request header too long"})
	}
	return errors.Join(refuse(c, &HandshakeError{http.StatusBadRequest, "not an HTTP request"}), err)
}

// tokens splits the comma-separated lists of a header.
func tokens(lists []string) []string {
	var all []string
	for _, list := range lists {
		for t := range strings.SplitSeq(list, ",") {
			if t = strings.TrimSpace(t); t != "" {
				all = append(all, t)
			}
		}
	}
	return all
}

// hasToken reports whether a header's lists hold the token, in any case.
func hasToken(lists []string, token string) bool {
	return slices.ContainsFunc(tokens(lists), func(t string) bool { return strings.EqualFold(t, token) })
}

// isKey reports whether a Sec-WebSocket-Key header is as it must be.
func isKey(values []string) bool {
	if len(values) != 1 {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(values[0])
	return err == nil && len(b) == 16
}

// acceptKey proves that the server read the key as WebSocket (RFC 6455, 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
