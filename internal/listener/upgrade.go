package listener

import (
	"bufio"
	"net"
	"net/http"

	"github.com/barid-mqtt/barid/pkg/websocket"
)

// Handed returns a WebSocket listener that opens no socket: an HTTP server, whose address and TLS it shares, hands over
// connections by Upgrade. Path, Bind and what concerns accepting are not looked at.
func Handed(o Options) (*Listener, error) {
	o.Type = TypeWS
	return prepare(o)
}

// Upgrade makes a WebSocket connection of an HTTP request and hands it to handle, as Serve does. What it refuses has been
// answered.
func (l *Listener) Upgrade(w http.ResponseWriter, r *http.Request, handle func(*Accepted)) {
	if !l.enter(nil) {
		http.Error(w, "the broker is stopping", http.StatusServiceUnavailable)
		return
	}
	defer l.running.Done()
	if n := l.current.Add(1); l.o.MaxConnections > 0 && n > int64(l.o.MaxConnections) {
		l.turnAwayRequest(w, r, MaxConnections)
		return
	}
	taken := takeover{ResponseWriter: w, l: l}
	c, err := websocket.Upgrade(&taken, r, websocket.Options{
		Subprotocols: subprotocols, AllowedOrigins: l.o.AllowedOrigins, SameOrigin: l.o.SameOrigin,
	})
	a := taken.a
	switch {
	case err != nil && a == nil:
		l.failed.Add(1)
		l.current.Add(-1)
		l.report(BadWebSocket, requestAddr(r), err)
	case err != nil:
		l.failed.Add(1)
		l.report(BadWebSocket, a.RemoteAddr(), err)
		_ = a.Abort() // what matters has failed already
	case l.o.MaxDescriptor > 0 && a.descriptor() >= l.o.MaxDescriptor:
		l.refused.Add(1)
		l.report(MaxDescriptors, a.RemoteAddr(), nil)
		_ = a.Abort()
	default:
		a.Conn, a.TLS = c, r.TLS
		if r.TLS != nil {
			a.Transport = TypeWSS
		}
		l.accepted.Add(1)
		handle(a)
	}
}

func (l *Listener) turnAwayRequest(w http.ResponseWriter, r *http.Request, why Reason) {
	l.refused.Add(1)
	l.report(why, requestAddr(r), nil)
	http.Error(w, "the broker has no room for another connection", http.StatusServiceUnavailable)
	l.current.Add(-1)
}

// requestAddr returns who sent a request; nil: it has no address.
func requestAddr(r *http.Request) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", r.RemoteAddr)
	if err != nil {
		return nil
	}
	return a
}

// takeover is a ResponseWriter whose connection, when it is taken over, becomes the lowest layer of an Accepted.
type takeover struct {
	http.ResponseWriter
	l *Listener
	a *Accepted // nil until then
}

// Hijack implements http.Hijacker.
func (t *takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t.a = t.l.newAccepted(c)
	return t.a.socket, rw, nil
}
