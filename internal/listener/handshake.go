package listener

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/barid-mqtt/barid/pkg/proxyproto"
	"github.com/barid-mqtt/barid/pkg/websocket"
)

// subprotocols are MQTT's names in WebSocket: that of the standard, and the one that clients of MQTT 3.1 use.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// A refused WebSocket client gets this long to read why, since closing at once could destroy the answer.
const (
	refusalLinger      = time.Second
	refusalLingerBytes = 64 << 10
)

// handshakeError is a handshake that failed, with the layer that it failed in.
type handshakeError struct {
	reason Reason
	err    error
}

func (e *handshakeError) Error() string { return string(e.reason) + ": " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// shake runs a connection's handshakes and hands it over. It owns the connection, a slot and a count in running.
func (l *Listener) shake(a *Accepted, handle func(*Accepted)) {
	defer l.running.Done()
	err := l.stack(a)
	open := l.leave(a)
	<-l.slots
	switch {
	case !open:
		_ = a.Abort() // Close did already, unless it came just now
	case err != nil:
		l.failed.Add(1)
		l.report(err.reason, a.RemoteAddr(), err.err)
		_ = a.Close() // what matters has failed already
	default:
		l.accepted.Add(1)
		handle(a)
	}
}

// stack puts the layers on the connection, lowest first, within the handshake timeout.
func (l *Listener) stack(a *Accepted) *handshakeError {
	if err := a.socket.SetDeadline(time.Now().Add(l.o.HandshakeTimeout)); err != nil {
		return &handshakeError{AcceptingFailed, err}
	}
	if l.o.ProxyProtocol {
		if err := a.readProxyHeader(); err != nil {
			return &handshakeError{BadProxyHeader, err}
		}
	}
	if s := l.tls.Load(); s != nil {
		if err := a.startTLS(s.config); err != nil {
			return &handshakeError{BadTLS, err}
		}
	}
	if l.o.isWebSocket() {
		if err := a.startWebSocket(&l.o); err != nil {
			return &handshakeError{BadWebSocket, err}
		}
	}
	if err := a.socket.SetDeadline(time.Time{}); err != nil {
		return &handshakeError{AcceptingFailed, err}
	}
	return nil
}

// readProxyHeader takes the addresses from a PROXY header. The header is read exactly, so that it leaves no layer.
func (a *Accepted) readProxyHeader() error {
	h, err := proxyproto.Read(a.socket)
	if err != nil {
		return err
	}
	a.Proxy = &h
	if h.Source != nil {
		a.remote = h.Source
	}
	if h.Destination != nil {
		a.local = h.Destination
	}
	return nil
}

func (a *Accepted) startTLS(config *tls.Config) error {
	c := tls.Server(a.Conn, config)
	if err := c.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := c.ConnectionState()
	a.Conn, a.TLS = c, &state
	return nil
}

func (a *Accepted) startWebSocket(o *Options) error {
	path := o.Path
	if path == anyPath {
		path = "" // websocket's word for it
	}
	c, err := websocket.Accept(a.Conn, websocket.Options{
		Path: path, Subprotocols: subprotocols, AllowedOrigins: o.AllowedOrigins,
	})
	if err != nil {
		var refused *websocket.HandshakeError
		if errors.As(err, &refused) {
			a.lingerRefused()
		}
		return err
	}
	a.Conn = c
	return nil
}

// lingerRefused lets a client that was refused read why: it half closes, and throws away what the client still sends.
// Whatever fails here, the connection is closed next.
func (a *Accepted) lingerRefused() {
	_ = a.CloseWrite()
	_ = a.socket.SetReadDeadline(time.Now().Add(refusalLinger))
	_, _ = io.CopyN(io.Discard, a.Conn, refusalLingerBytes)
}
