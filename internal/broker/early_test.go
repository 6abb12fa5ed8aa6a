package broker

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// holding is a client's socket that sends what is written to it when it is told to.
type holding struct {
	net.Conn
	hold bool
	held []byte
}

func (h *holding) Write(p []byte) (int, error) {
	if !h.hold {
		return h.Conn.Write(p)
	}
	h.held = append(h.held, p...)
	return len(p), nil
}

func (h *holding) release() error {
	h.hold = false
	_, err := h.Conn.Write(h.held)
	return err
}

// A client's CONNECT may arrive in one segment with the end of its TLS handshake: it is in no socket then, so that no
// event tells of it.
func TestACONNECTThatCameWithTheEndOfTheHandshakeIsAnswered(t *testing.T) {
	b, _, _ := secureBroker(t, "device", []string{"auth.allow_anonymous=true", "mqtt.connect_timeout_seconds=60"})
	for range 5 {
		nc, err := net.Dial("tcp", b.Listeners()[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		h := &holding{Conn: nc}
		c := tls.Client(h, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, VerifyConnection: func(tls.ConnectionState) error {
			h.hold = true // what comes next is the client's last flight
			return nil
		}})
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second)) // less than a connection has for its CONNECT
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		p := &peer{conn: c, version: mqtt.V5}
		if err := p.send(&mqtt.Connect{Version: mqtt.V5, CleanStart: true}); err != nil {
			t.Fatal(err)
		}
		if err := h.release(); err != nil {
			t.Fatal(err)
		}
		if pk, err := p.receive(); err != nil {
			t.Fatalf("no CONNACK: %v", err)
		} else if ack, ok := pk.(*mqtt.Connack); !ok || ack.Code != mqtt.Success {
			t.Fatalf("got %+v", pk)
		}
	}
}
