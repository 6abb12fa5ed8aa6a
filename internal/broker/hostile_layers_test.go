package broker

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/websocket"
)

// Hostile streams below MQTT: in WebSocket, TLS, the PROXY protocol, and HTTP where none of it belongs.

// upgraded is a connection behind the WebSocket handshake, and the socket below.
func (x *bed) upgraded() (*websocket.Conn, net.Conn) {
	c := x.dial("ws")
	w, err := websocket.Client(c, websocket.ClientOptions{Path: "/mqtt", Subprotocols: []string{"mqtt"}})
	if err != nil {
		x.t.Errorf("WebSocket: %v", err)
		_ = c.Close()
		return nil, nil
	}
	return w, c
}

func (x *bed) mutatedWebSocket(rng *rand.Rand) {
	w, c := x.upgraded()
	if w == nil {
		return
	}
	v := anyVersion(rng)
	data := mutate(rng, dialogue(v, everything(rng, v)...))
	for len(data) > 0 {
		n := 1 + rng.IntN(len(data))
		if _, err := w.Write(data[:n]); err != nil {
			break
		}
		data = data[n:]
	}
	x.ends(c, "mutated dialogue on WebSocket")
}

func (x *bed) webSocketGarbage(rng *rand.Rand) {
	mask := []byte{1, 2, 3, 4}
	frames := [][]byte{
		append([]byte{0x81, 0x85}, append(mask, "hello"...)...),      // text
		{0x82, 3, 0x10, 0x7F, 0xFF},                                  // not masked
		{0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, // 2^63 bytes, and not complete
		{0xF2, 0x80, 1, 2, 3, 4},                                     // reserved bits
		{0x80, 0x80, 1, 2, 3, 4},                                     // goes on with nothing
		{0x89, 0xFE, 0, 126, 1, 2, 3, 4},                             // a ping too long
		{0x88, 0x81, 1, 2, 3, 4, 0},                                  // half a close code
		{0x83, 0x80, 1, 2, 3, 4},                                     // a reserved kind
		randomBytes(rng, 200),
	}
	w, c := x.upgraded()
	if w == nil {
		return
	}
	_, _ = c.Write(frames[rng.IntN(len(frames))])
	x.ends(c, "WebSocket garbage")
}

// webSocketPings floods with pings and reads nothing.
func (x *bed) webSocketPings(rng *rand.Rand) {
	w, c := x.upgraded()
	if w == nil {
		return
	}
	connect := hostileConnect(rng, mqtt.V5)
	connect.KeepAlive = 1
	_, _ = w.Write(dialogue(mqtt.V5, connect))
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	ping := append([]byte{0x89, 0x80 | 125, 0, 0, 0, 0}, make([]byte, 125)...)
	flood := bytes.Repeat(ping, 500)
	for range 50 {
		if _, err := c.Write(flood); err != nil {
			break
		}
	}
	x.closes(c, "pings on WebSocket")
}

func (x *bed) tlsGarbage(rng *rand.Rand) {
	c := x.dial("tls")
	switch rng.IntN(3) {
	case 0:
		_, _ = c.Write(randomBytes(rng, 500))
	case 1: // a ClientHello that does not go on
		_, _ = c.Write([]byte{0x16, 3, 1, 0x02, 0, 1, 0, 1, 0xFC, 3, 3})
	case 2:
		t := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		_, _ = t.Write(randomBytes(rng, 500))
		_, _ = c.Write(randomBytes(rng, 500)) // no records
	}
	x.ends(c, "TLS garbage")
}

func (x *bed) http(rng *rand.Rand) {
	c := x.dial([]string{"tcp", "ws", "tls", "proxy"}[rng.IntN(4)])
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: broker\r\nX: "+strings.Repeat("y", rng.IntN(20_000))+"\r\n\r\n")
	x.ends(c, "HTTP")
}

func (x *bed) proxyGarbage(rng *rand.Rand) {
	headers := []string{
		"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n", "PROXY " + strings.Repeat("x", 200),
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + strings.Repeat("z", 100), "\r\n\r\n\x00\r\nQUIT\n\x2f\xff\x00\x00",
		"PROXY TCP4 1.2.3.4 5.6.7.8 9 1\r\n" + string(randomBytes(rng, 50)),
	}
	c := x.dial("proxy")
	_, _ = io.WriteString(c, headers[rng.IntN(len(headers))])
	x.ends(c, "PROXY garbage")
}
