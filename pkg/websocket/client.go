package websocket

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ClientOptions describe a client's handshake.
type ClientOptions struct {
	Host         string      // the Host header; "" means the transport's remote address
	Path         string      // "" means "/"
	Subprotocols []string    // offered, the preferred one first
	Header       http.Header // more header fields, such as Origin
}

// Client does the client's side of the handshake on a connection. Deadlines, and closing c when it fails, are left to
// the caller. A server's refusal is a *HandshakeError.
func Client(c net.Conn, o ClientOptions) (*Conn, error) {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	key := base64.StdEncoding.EncodeToString(nonce)
	req := o.request(c, key)
	if err := req.Write(c); err != nil {
		return nil, fmt.Errorf("websocket: sending handshake: %w", err)
	}
	br := bufio.NewReader(&io.LimitedReader{R: c, N: DefaultMaxHeaderBytes})
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		return nil, fmt.Errorf("websocket: reading handshake: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 256)) // the status alone will do
		return nil, &HandshakeError{resp.StatusCode, strings.TrimSpace(string(text))}
	}
	subprotocol := resp.Header.Get("Sec-Websocket-Protocol")
	switch {
	case !hasToken(resp.Header["Upgrade"], "websocket") || !hasToken(resp.Header["Connection"], "upgrade"):
		return nil, fmt.Errorf("websocket: server switched to another protocol than WebSocket")
	case resp.Header.Get("Sec-Websocket-Accept") != acceptKey(key):
		return nil, fmt.Errorf("websocket: server's Sec-WebSocket-Accept does not match")
	case subprotocol != "" && !slices.Contains(o.Subprotocols, subprotocol):
		return nil, fmt.Errorf("websocket: server chose subprotocol %q, which was not offered", subprotocol)
	}
	early := make([]byte, br.Buffered())
	_, _ = io.ReadFull(br, early) // they are there
	return newConn(c, true, subprotocol, early, -1), nil
}

func (o *ClientOptions) request(c net.Conn, key string) *http.Request {
	h := o.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-WebSocket-Version", "13")
	h.Set("Sec-WebSocket-Key", key)
	if len(o.Subprotocols) > 0 {
		h.Set("Sec-WebSocket-Protocol", strings.Join(o.Subprotocols, ", "))
	}
	host, path := o.Host, o.Path
	if host == "" {
		host = c.RemoteAddr().String()
	}
	if path == "" {
		path = "/"
	}
	return &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: path}, Host: host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}
