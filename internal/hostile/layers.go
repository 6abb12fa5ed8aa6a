package hostile

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// Streams below MQTT: in WebSocket, TLS, the PROXY protocol, and HTTP where none of it belongs.
var layers = []Kind{
	{"WebSocket garbage", []string{"ws"}, (*Target).webSocketGarbage},
	{"WebSocket fragments without an end", []string{"ws"}, (*Target).webSocketFragments},
	{"pings on WebSocket", []string{"ws"}, (*Target).webSocketPings},
	{"WebSocket handshakes", []string{"ws"}, (*Target).webSocketHandshake},
	{"TLS garbage", []string{"tls"}, (*Target).tlsGarbage},
	{"TLS handshakes and nothing else", []string{"tls"}, (*Target).tlsFlood},
	{"HTTP", []string{"ws", "tls", "proxy"}, (*Target).http},
	{"PROXY garbage", []string{"proxy"}, (*Target).proxyGarbage},
}

func (x *Target) webSocketGarbage(rng *rand.Rand) {
	mask := []byte{1, 2, 3, 4}
	frames := [][]byte{
		append([]byte{0x81, 0x85}, append(mask, "hello"...)...),                  // text
		{0x82, 3, 0x10, 0x7F, 0xFF},                                              // not masked
		{0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},             // 2^63 bytes, and not complete
		{0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4}, // more than that
		{0xF2, 0x80, 1, 2, 3, 4},                                                 // reserved bits
		{0x80, 0x80, 1, 2, 3, 4},                                                 // goes on with nothing
		{0x89, 0xFE, 0, 126, 1, 2, 3, 4},                                         // a ping too long
		{0x09, 0x80, 1, 2, 3, 4},                                                 // a ping in pieces
		{0x88, 0x81, 1, 2, 3, 4, 0},                                              // half a close code
		{0x88, 0x82, 0, 0, 0, 0, 3, 237, 0x82, 0x80, 0, 0, 0, 0},                 // 1005, which is not for the wire, and more
		{0x83, 0x80, 1, 2, 3, 4},                                                 // a reserved kind
		{0x02, 0x80, 1, 2, 3, 4, 0x82, 0x80, 1, 2, 3, 4},                         // a new message within one
		randomBytes(rng, 200),
	}
	w, c, ok := x.open("ws")
	if !ok {
		return
	}
	if rng.IntN(2) == 0 {
		_, _ = w.Write(Dialogue(mqtt.V5, x.hello(rng, mqtt.V5)))
	}
	_, _ = c.Write(frames[rng.IntN(len(frames))])
	x.ends(c, "WebSocket garbage")
}

// webSocketFragments sends a message in empty pieces, and does not end it.
func (x *Target) webSocketFragments(rng *rand.Rand) {
	_, c, ok := x.open("ws")
	if !ok {
		return
	}
	_, _ = c.Write([]byte{0x02, 0x80, 1, 2, 3, 4})
	piece := []byte{0x00, 0x80, 1, 2, 3, 4}
	if rng.IntN(2) == 0 { // one byte each, which is the beginning of a CONNECT that does not go on
		piece = []byte{0x00, 0x81, 0, 0, 0, 0, 0x10}
	}
	_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	for range 200 {
		if _, err := c.Write(bytes.Repeat(piece, 1000)); err != nil {
			break
		}
	}
	x.closes(c, "WebSocket fragments without an end")
}

// webSocketPings floods with pings and reads nothing.
func (x *Target) webSocketPings(rng *rand.Rand) {
	w, c, ok := x.open("ws")
	if !ok {
		return
	}
	connect := x.hello(rng, mqtt.V5)
	connect.KeepAlive = 1
	_, _ = w.Write(Dialogue(mqtt.V5, connect))
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

// webSocketHandshake asks for a WebSocket as it should not.
func (x *Target) webSocketHandshake(rng *rand.Rand) {
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	requests := []string{
		"GET /elsewhere HTTP/1.1\r\nHost: b\r\n" + upgrade + key + "\r\n",
		"GET /mqtt HTTP/1.1\r\nHost: b\r\n" + upgrade + "\r\n",
		"GET /mqtt HTTP/1.1\r\nHost: b\r\n" + upgrade + "Sec-WebSocket-Key: short\r\n\r\n",
		"GET /mqtt HTTP/1.0\r\n" + upgrade + key + "\r\n",
		"POST /mqtt HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n" + upgrade + key + "\r\nffffffff\r\nx",
		"GET /mqtt HTTP/1.1\r\nHost: b\r\nContent-Length: 4294967296\r\n" + upgrade + key + "\r\n",
		"GET /mqtt HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 20_000) + "\r\n",
		"GET /" + strings.Repeat("a", 100_000) + " HTTP/1.1\r\nHost: b\r\n\r\n",
		"GET /mqtt HTTP/1.1\r\nHost: b\r\n" + upgrade + key + "X: a\x00b\r\n\r\n",
		"GET /mqtt HTTP/1.1\r\nHost: b\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" + upgrade + key + "\r\n\xC2\x80\x01\x02\x03\x04",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		strings.Repeat("\r\n", 5000),
	}
	c := x.dial("ws")
	_, _ = io.WriteString(c, requests[rng.IntN(len(requests))])
	x.ends(c, "WebSocket handshakes")
}

func (x *Target) tlsGarbage(rng *rand.Rand) {
	c := x.dial("tls")
	switch rng.IntN(4) {
	case 0:
		_, _ = c.Write(randomBytes(rng, 500))
	case 1: // a ClientHello that does not go on
		_, _ = c.Write([]byte{0x16, 3, 1, 0x02, 0, 1, 0, 1, 0xFC, 3, 3})
	case 2:
		t := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		_, _ = t.Write(randomBytes(rng, 500))
		_, _ = c.Write(randomBytes(rng, 500)) // no records
	case 3: // versions that are no more
		t := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		if t.Handshake() == nil {
			x.fault("TLS 1.1 is taken")
		}
	}
	x.ends(c, "TLS garbage")
}

// tlsFlood has the broker do handshakes, which cost it more than the client that gives up.
func (x *Target) tlsFlood(*rand.Rand) {
	for range 10 {
		if _, below, ok := x.open("tls"); ok {
			_ = below.Close()
		}
	}
}

func (x *Target) http(rng *rand.Rand) {
	c := x.dial([]string{"tcp", "ws", "tls", "proxy"}[rng.IntN(4)])
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: broker\r\nX: "+strings.Repeat("y", rng.IntN(20_000))+"\r\n\r\n")
	x.ends(c, "HTTP")
}

func (x *Target) proxyGarbage(rng *rand.Rand) {
	headers := []string{
		"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n", "PROXY " + strings.Repeat("x", 200),
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + strings.Repeat("z", 100), "\r\n\r\n\x00\r\nQUIT\n\x2f\xff\x00\x00",
		"PROXY TCP4 1.2.3.4 5.6.7.8 9 1\r\n" + string(randomBytes(rng, 50)),
	}
	c := x.dial("proxy")
	_, _ = io.WriteString(c, headers[rng.IntN(len(headers))])
	x.ends(c, "PROXY garbage")
}
