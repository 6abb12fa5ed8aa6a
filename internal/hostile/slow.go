package hostile

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// Streams that take their time: there is one for each handshake, and the broker has to lose its patience.
var slow = []Kind{
	{"byte by byte", nil, (*Target).byteByByte},
	{"slow CONNECT", nil, (*Target).slowConnect},
	{"slow CONNECT on WebSocket", []string{"ws"}, (*Target).slowWebSocketConnect},
	{"slow TLS", []string{"tls"}, (*Target).slowTLS},
	{"slow WebSocket", []string{"ws"}, (*Target).slowWebSocket},
	{"slow PROXY", []string{"proxy"}, (*Target).slowProxy},
	{"half-open", nil, (*Target).halfOpen},
	{"slow HTTP headers", []string{"api"}, (*Target).slowHeaders},
	{"slow HTTP body", []string{"api"}, (*Target).slowBody},
}

// byteByByte sends a dialogue one byte a write.
func (x *Target) byteByByte(rng *rand.Rand) {
	v := anyVersion(rng)
	c := x.dial("tcp")
	for _, b := range Dialogue(v, everything(rng, x.hello(rng, v), v)...) {
		if _, err := c.Write([]byte{b}); err != nil {
			break
		}
	}
	x.ends(c, "byte by byte")
}

// drip writes data to c one byte at a time, with breaks, until the broker hangs up the connection, which it has to before
// the data are sent.
func (x *Target) drip(c, below net.Conn, name string, data []byte) {
	const pause = 50 * time.Millisecond
	stop := make(chan struct{})
	dripping := make(chan struct{})
	go func() {
		defer close(dripping)
		for i := 0; ; i++ {
			if _, err := c.Write(data[i%len(data):][:1]); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(pause):
			}
		}
	}()
	x.closes(below, name)
	close(stop)
	<-dripping
}

// longConnect is a CONNECT that is longer than anybody waits for.
func (x *Target) longConnect(rng *rand.Rand) []byte {
	c := x.hello(rng, mqtt.V311)
	c.ClientID += strings.Repeat("x", 5000)
	return Dialogue(mqtt.V311, c)
}

func (x *Target) slowConnect(rng *rand.Rand) {
	c := x.dial("tcp")
	x.drip(c, c, "slow CONNECT", x.longConnect(rng))
}

func (x *Target) slowWebSocketConnect(rng *rand.Rand) {
	if c, below, ok := x.open("ws"); ok {
		x.drip(c, below, "slow CONNECT on WebSocket", x.longConnect(rng))
	}
}

func (x *Target) slowTLS(*rand.Rand) {
	c := x.dial("tls")
	hello := append([]byte{0x16, 3, 1, 0x3F, 0, 1, 0, 0x3E, 0xFC, 3, 3}, make([]byte, 0x3F00)...)
	x.drip(c, c, "slow TLS", hello)
}

func (x *Target) slowWebSocket(*rand.Rand) {
	c := x.dial("ws")
	x.drip(c, c, "slow WebSocket", []byte("GET /mqtt HTTP/1.1\r\nHost: broker\r\n"+strings.Repeat("X-More: more\r\n", 500)))
}

func (x *Target) slowProxy(*rand.Rand) {
	c := x.dial("proxy")
	x.drip(c, c, "slow PROXY", append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x07\xff"), make([]byte, 2000)...))
}

// halfOpen opens sockets and says nothing, or nothing more.
func (x *Target) halfOpen(rng *rand.Rand) {
	var conns []net.Conn
	for range 4 {
		for _, name := range []string{"tcp", "tls", "ws", "wss", "proxy", "api"} {
			if x.Addr[name] == "" {
				continue
			}
			c := x.dial(name)
			switch tcp, _ := c.(*net.TCPConn); rng.IntN(4) {
			case 0: // vanishes
				if tcp != nil {
					_ = tcp.SetLinger(0)
				}
				_ = c.Close()
				continue
			case 1: // a byte that may begin anything
				_, _ = c.Write([]byte{byte(rng.Uint32())})
			case 2:
				if tcp != nil {
					_ = tcp.CloseWrite()
				}
			}
			conns = append(conns, c)
		}
	}
	for _, c := range conns {
		x.closes(c, fmt.Sprintf("half-open, at %v", c.RemoteAddr()))
	}
}

func (x *Target) slowHeaders(*rand.Rand) {
	c := x.dial("api")
	x.drip(c, c, "slow HTTP headers", []byte("GET /api/v5/clients HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("X-More: more\r\n", 500)))
}

// slowBody promises a body and sends it byte by byte, or not at all.
func (x *Target) slowBody(rng *rand.Rand) {
	c := x.dial("api")
	path := []string{"/api/v5/login", "/api/v5/publish", "/healthz", "/nowhere"}[rng.IntN(4)]
	_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n", path)
	if rng.IntN(2) == 0 {
		_, _ = io.WriteString(c, `{"username":"`)
		x.closes(c, "an HTTP body that does not come")
		return
	}
	x.drip(c, c, "slow HTTP body", []byte(strings.Repeat("x", 1000)))
}
