package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
)

// These tests need what a script in memory does not have: sockets, and WebSocket frames, which are put together by hand.

// listening starts a broker with one listener on loopback and dials it.
func listening(t *testing.T, kind config.ListenerType) net.Conn {
	t.Helper()
	cfg := config.Default()
	cfg.Durability, cfg.DataDir = config.DurabilityMemory, t.TempDir()
	cfg.Listeners = map[string]config.Listener{"one": {Type: kind, Bind: "127.0.0.1:0", Path: "/mqtt"}}
	b, err := broker.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", b.Listeners()[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func raw(t *testing.T, line string) []byte {
	t.Helper()
	b, err := AppendRaw(nil, line)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	rawConnect   = `10 ( s"MQTT" 05 02 0000 ( ) s"a" )`
	rawSubscribe = `82 ( 0001 ( ) s"t" 00 )`
	rawPublish   = `30 ( s"t" ( ) "x" )`
	rawPing      = `c0 ( )`
)

// expectKinds reads packets and compares their names.
func expectKinds(t *testing.T, r io.Reader, kinds ...string) {
	t.Helper()
	var unread []byte
	buf := make([]byte, 1024)
	for _, kind := range kinds {
		for {
			p, rest, err := Decode(unread, 5)
			if err == nil {
				if unread = rest; p.Kind != kind {
					t.Fatalf("got %s, want %s", p, kind)
				}
				break
			}
			if !errors.Is(err, ErrIncomplete) {
				t.Fatal(err)
			}
			n, err := r.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %s: %v", kind, err)
			}
			unread = append(unread, buf[:n]...)
		}
	}
}

// TestTCPCarriesMQTT is the one test of this package over a socket of the kernel's.
//
// Statements: [MQTT-4.2-1] [MQTT-3.1.1/7.1.1-1]
func TestTCPCarriesMQTT(t *testing.T) {
	c := listening(t, config.TCP)
	for _, part := range []string{rawConnect, rawSubscribe + " " + rawPublish, rawPing} {
		if _, err := c.Write(raw(t, part)); err != nil {
			t.Fatal(err)
		}
	}
	expectKinds(t, c, "connack", "suback", "publish", "pingresp")
}

// upgrade does the handshake of a WebSocket client that offers subprotocols, and returns the one chosen.
func upgrade(t *testing.T, c net.Conn, offer string) (r *bufio.Reader, chosen string) {
	t.Helper()
	_, err := fmt.Fprintf(c, "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", offer)
	if err != nil {
		t.Fatal(err)
	}
	r = bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the server answered %s", response.Status)
	}
	return r, response.Header.Get("Sec-WebSocket-Protocol")
}

// Opcodes of frames.
const (
	textFrame   = 1
	binaryFrame = 2
	closeFrame  = 8
)

// frame is a short whole frame of a client, masked with zeros.
func frame(opcode byte, payload []byte) []byte {
	return append([]byte{0x80 | opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// frameReader reads the payloads of a server's binary frames as one stream.
type frameReader struct {
	r    *bufio.Reader
	left []byte
}

func (f *frameReader) Read(p []byte) (int, error) {
	if len(f.left) == 0 {
		opcode, payload, err := f.frame()
		if err != nil {
			return 0, err
		}
		if opcode != binaryFrame {
			return 0, fmt.Errorf("a frame with opcode %d", opcode)
		}
		f.left = payload
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}

func (f *frameReader) frame() (opcode byte, payload []byte, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(f.r, head); err != nil {
		return 0, nil, err
	}
	length := int(head[1])
	if length == 126 {
		long := make([]byte, 2)
		if _, err := io.ReadFull(f.r, long); err != nil {
			return 0, nil, err
		}
		length = int(binary.BigEndian.Uint16(long))
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(f.r, payload)
	return head[0] & 0x0f, payload, err
}

// TestWebSocketSubprotocolIsMQTT offers mqtt among others.
//
// Statements: [MQTT-6.0.0-3] [MQTT-6.0.0-4] [MQTT-3.1.1/6.0.0-3] [MQTT-3.1.1/6.0.0-4]
func TestWebSocketSubprotocolIsMQTT(t *testing.T) {
	for _, offer := range []string{"mqtt", "chat, mqtt", "mqtt, mqttv3.1"} {
		if _, chosen := upgrade(t, listening(t, config.WS), offer); chosen != "mqtt" {
			t.Errorf("of %q the server chose %q", offer, chosen)
		}
	}
}

// TestWebSocketFramesNeedNotAlign cuts packets across frames and puts several into one.
//
// Statements: [MQTT-6.0.0-2] [MQTT-3.1.1/6.0.0-2]
func TestWebSocketFramesNeedNotAlign(t *testing.T) {
	c := listening(t, config.WS)
	r, _ := upgrade(t, c, "mqtt")
	connect := raw(t, rawConnect)
	several := raw(t, rawSubscribe+" "+rawPublish+" "+rawPing+" "+rawPublish)
	var out bytes.Buffer
	for _, part := range [][]byte{connect[:1], connect[1:7], nil, connect[7:], several[:len(several)-3], several[len(several)-3:]} {
		out.Write(frame(binaryFrame, part))
	}
	if _, err := c.Write(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	expectKinds(t, &frameReader{r: r}, "connack", "suback", "publish", "pingresp", "publish")
}

// TestWebSocketTextFrameCloses sends a CONNECT in a frame of text.
//
// Statements: [MQTT-6.0.0-1] [MQTT-3.1.1/6.0.0-1]
func TestWebSocketTextFrameCloses(t *testing.T) {
	c := listening(t, config.WS)
	r, _ := upgrade(t, c, "mqtt")
	if _, err := c.Write(frame(textFrame, raw(t, rawConnect))); err != nil {
		t.Fatal(err)
	}
	frames := &frameReader{r: r}
	opcode, payload, err := frames.frame()
	if err != nil || opcode != closeFrame {
		t.Fatalf("got opcode %d, %x, %v, want a close frame", opcode, payload, err)
	}
	if _, _, err := frames.frame(); !errors.Is(err, io.EOF) {
		t.Errorf("after the close frame: %v, want the end", err)
	}
}
