// Package hostile is what clients do that are broken or mean no good, as streams against a broker's sockets, for tests. The
// tests of internal/broker run them inside one process, those of scripts/hostile against the built program.
//
// What a stream fails to do is no fault: the broker may hang up whenever it likes. What the broker fails to do, such as
// hanging up, is.
package hostile

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/websocket"
)

// Target is a broker that streams are sent to. What it finds out goes to Fault, from any goroutine.
type Target struct {
	Addr     map[string]string // of the listeners tcp, tls, ws, wss, proxy, and of the HTTP API as api
	Username string            // of somebody who may connect and use hostile/#; empty: anybody may
	Password string
	Patience time.Duration // how long the broker may take to hang up on a stream that it has to end
	Spread   bool          // connections come from many loopback addresses
	Fault    func(text string)
}

// Kind is one kind of stream: a connection or a few of them.
type Kind struct {
	Name  string
	needs []string // listeners
	run   func(x *Target, rng *rand.Rand)
}

// Kinds are the kinds of streams that the target has the listeners for.
func (x *Target) Kinds() []Kind {
	var kinds []Kind
next:
	for _, list := range [][]Kind{streams, claims, layers, slow, strangers, pages} {
		for _, k := range list {
			for _, listener := range k.needs {
				if x.Addr[listener] == "" {
					continue next
				}
			}
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Run runs the stream of a seed and a number, and returns the name of its kind.
func (x *Target) Run(kinds []Kind, seed uint64, number int) string {
	kind := kinds[number%len(kinds)]
	kind.run(x, rand.New(rand.NewPCG(seed, uint64(number))))
	return kind.Name
}

func (x *Target) fault(format string, args ...any) { x.Fault(fmt.Sprintf(format, args...)) }

// dialLimit is how long connecting may take, and lifeLimit how long a stream has for all it does.
const (
	dialLimit = 10 * time.Second
	lifeLimit = 30 * time.Second
)

// dial connects to a listener's socket. A connection that the broker, or the system for it, does not take is closed.
func (x *Target) dial(listener string) net.Conn {
	d := net.Dialer{Timeout: dialLimit}
	if x.Spread {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, byte(1+rand.IntN(200)), byte(rand.IntN(250)), byte(1+rand.IntN(250)))}
		if a, err := netip.ParseAddrPort(x.Addr[listener]); err != nil || !a.Addr().Is4() {
			d.LocalAddr = nil
		}
	}
	c, err := d.Dial("tcp", x.Addr[listener])
	if err != nil {
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			x.fault("connecting to %s: %v", listener, err)
		}
		c, _ = net.Pipe()
		_ = c.Close()
		return c
	}
	_ = c.SetDeadline(time.Now().Add(lifeLimit))
	return c
}

// open connects to a listener as far as MQTT begins: behind the handshakes of TLS and WebSocket. below is the socket.
// ok is false if the broker did not take it that far.
func (x *Target) open(listener string) (c, below net.Conn, ok bool) {
	below = x.dial(listener)
	c = below
	if listener == "tls" || listener == "wss" {
		t := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nobody is trusted here
		if err := t.Handshake(); err != nil {
			_ = below.Close()
			return nil, nil, false
		}
		c = t
	}
	if listener == "ws" || listener == "wss" {
		w, err := websocket.Client(c, websocket.ClientOptions{Path: "/mqtt", Subprotocols: []string{"mqtt"}})
		if err != nil {
			_ = below.Close()
			return nil, nil, false
		}
		c = w
	}
	if listener == "proxy" {
		_, _ = io.WriteString(c, "PROXY TCP4 192.0.2.1 192.0.2.2 1234 1883\r\n")
	}
	return c, below, true
}

// anywhere opens one of the listeners that speak MQTT.
func (x *Target) anywhere(rng *rand.Rand) (c, below net.Conn, ok bool) {
	names := []string{"tcp", "tls", "ws", "wss", "proxy"}
	for {
		if name := names[rng.IntN(len(names))]; x.Addr[name] != "" {
			return x.open(name)
		}
	}
}

// closes reads from the socket until the broker hangs up, which it must within the target's patience.
func (x *Target) closes(c net.Conn, name string) {
	_ = c.SetReadDeadline(time.Now().Add(x.Patience))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		x.fault("%s: the broker did not close the connection", name)
	}
	_ = c.Close()
}

// ends half closes the stream, after which the broker must hang up.
func (x *Target) ends(c net.Conn, name string) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	x.closes(c, name)
}

// enter connects a client. nil: it was not let in.
func (x *Target) enter(c *mqtt.Connect) *Peer {
	x.sign(c)
	p, ack, err := Connect(x.dial("tcp"), c)
	if err != nil || ack.Code != mqtt.Success {
		return nil
	}
	return p
}

// sign gives a CONNECT the credentials that the target takes.
func (x *Target) sign(c *mqtt.Connect) *mqtt.Connect {
	if x.Username != "" {
		c.HasUsername, c.Username, c.HasPassword, c.Password = true, x.Username, true, []byte(x.Password)
	}
	return c
}

// hello is a CONNECT that the target accepts.
func (x *Target) hello(rng *rand.Rand, v mqtt.Version) *mqtt.Connect {
	return x.sign(connectOf(rng, v))
}
