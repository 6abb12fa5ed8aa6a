//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// wire is a client of MQTT 3.1.1 that does one thing at a time and sees packets in the order in which they come, so that
// what has not come before an answer does not come.
type wire struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
	id   uint16
	got  []string // topics and payloads of what was received
}

// wireTo connects to a port of this machine. user may be empty: no username.
func wireTo(t *testing.T, port, client, user, password string) (*wire, mqtt.ReasonCode) {
	t.Helper()
	nc, err := net.Dial("tcp", "127.0.0.1:"+port)
	check(t, "connecting", err)
	t.Cleanup(func() { _ = nc.Close() })
	check(t, "setting a time limit", nc.SetDeadline(time.Now().Add(3*patience)))
	w := &wire{t: t, conn: nc}
	c := &mqtt.Connect{Version: mqtt.V311, ClientID: client, CleanStart: true}
	if user != "" {
		c.HasUsername, c.Username, c.HasPassword, c.Password = true, user, true, []byte(password)
	}
	w.send(c)
	return w, w.await(mqtt.CONNACK).(*mqtt.Connack).Code
}

func (w *wire) send(pk mqtt.Packet) {
	w.t.Helper()
	data, err := pk.AppendTo(nil, mqtt.V311)
	check(w.t, "encoding", err)
	_, err = w.conn.Write(data)
	check(w.t, "writing", err)
}

// await returns the next packet of a type, and keeps the messages that come before.
func (w *wire) await(want mqtt.Type) mqtt.Packet {
	w.t.Helper()
	for {
		h, n, err := mqtt.DecodeHeader(w.buf)
		if err != nil || len(w.buf) < n+int(h.Remaining) {
			chunk := make([]byte, 16384)
			k, err := w.conn.Read(chunk)
			check(w.t, "reading", err)
			w.buf = append(w.buf, chunk[:k]...)
			continue
		}
		pk, err := mqtt.Decode(h, append([]byte(nil), w.buf[n:n+int(h.Remaining)]...), mqtt.V311)
		check(w.t, "decoding", err)
		w.buf = w.buf[n+int(h.Remaining):]
		if h.Type == want {
			return pk
		}
		p, ok := pk.(*mqtt.Publish)
		if !ok {
			w.t.Fatalf("a %v packet instead of %v", h.Type, want)
		}
		w.got = append(w.got, fmt.Sprintf("%s=%s", p.Topic, p.Payload))
	}
}

// subscribe subscribes to one filter and reports whether it was granted.
func (w *wire) subscribe(filter string) bool {
	w.t.Helper()
	w.id++
	w.send(&mqtt.Subscribe{PacketID: w.id, Filters: []mqtt.FilterOptions{{Filter: filter}}})
	return !w.await(mqtt.SUBACK).(*mqtt.Suback).Codes[0].Failed()
}

// received unsubscribes, and returns what has come until then since it was last called.
func (w *wire) received(filter string) []string {
	w.t.Helper()
	w.id++
	w.send(&mqtt.Unsubscribe{PacketID: w.id, Filters: []string{filter}})
	w.await(mqtt.UNSUBACK)
	got := w.got
	w.got = nil
	return got
}

// publish publishes with QoS 1 and waits for the acknowledgement.
func (w *wire) publish(topic, payload string) {
	w.t.Helper()
	w.id++
	w.send(&mqtt.Publish{Topic: []byte(topic), QoS: mqtt.AtLeastOnce, PacketID: w.id, Payload: []byte(payload)})
	w.await(mqtt.PUBACK)
}
