package broker

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/memnet"
)

// newTestBroker makes a broker without sockets, which the test ends.
func newTestBroker(t testing.TB, sets []string, opts ...Option) *Broker {
	t.Helper()
	cfg, _, err := config.Load(config.Sources{Sets: append([]string{"durability=memory"}, sets...)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dial connects to the broker as a client of its listener tcp.
func dial(t testing.TB, b *Broker) net.Conn {
	t.Helper()
	client, server := memnet.Pipe()
	if err := b.Serve(server, "tcp"); err != nil {
		t.Fatal(err)
	}
	return client
}

// peer is a client's side of one connection.
type peer struct {
	conn    net.Conn
	version mqtt.Version
	write   sync.Mutex
	buf     []byte
}

func (p *peer) send(pk mqtt.Packet) error {
	p.write.Lock()
	defer p.write.Unlock()
	data, err := pk.AppendTo(nil, p.version)
	if err != nil {
		return err
	}
	_, err = p.conn.Write(data)
	return err
}

// receive returns the next packet, whose slices are its own.
func (p *peer) receive() (mqtt.Packet, error) {
	for {
		h, n, err := mqtt.DecodeHeader(p.buf)
		if err == nil && len(p.buf) >= n+int(h.Remaining) {
			body := append([]byte(nil), p.buf[n:n+int(h.Remaining)]...)
			p.buf = p.buf[n+int(h.Remaining):]
			return mqtt.Decode(h, body, p.version)
		}
		if err != nil && err != mqtt.ErrIncomplete {
			return nil, err
		}
		chunk := make([]byte, 4096)
		k, err := p.conn.Read(chunk)
		if k == 0 && err != nil {
			return nil, err
		}
		p.buf = append(p.buf, chunk[:k]...)
	}
}

// connect makes a connection and waits for its CONNACK.
func connect(t testing.TB, b *Broker, c *mqtt.Connect) (*peer, *mqtt.Connack) {
	t.Helper()
	return handshake(t, dial(t, b), c)
}

// handshake sends CONNECT and waits for its CONNACK; nil: the connection ended.
func handshake(t testing.TB, nc net.Conn, c *mqtt.Connect) (*peer, *mqtt.Connack) {
	t.Helper()
	if c.Version == 0 {
		c.Version = mqtt.V5
	}
	p := &peer{conn: nc, version: c.Version}
	if err := p.send(c); err != nil {
		return p, nil
	}
	pk, err := p.receive()
	if err != nil {
		return p, nil
	}
	ack, ok := pk.(*mqtt.Connack)
	if !ok {
		t.Fatalf("got %T instead of CONNACK", pk)
	}
	return p, ack
}

// subscribe subscribes to one filter and waits for its SUBACK.
func (p *peer) subscribe(t testing.TB, filter string, qos mqtt.QoS) {
	t.Helper()
	if err := p.send(&mqtt.Subscribe{PacketID: 60000, Filters: []mqtt.FilterOptions{{Filter: filter, QoS: qos}}}); err != nil {
		t.Fatal(err)
	}
	pk, err := p.receive()
	if _, ok := pk.(*mqtt.Suback); err != nil || !ok {
		t.Fatalf("got %T, %v instead of SUBACK", pk, err)
	}
}

// number is a payload that says who sent it and as what.
func number(publisher, seq int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(publisher))
	return binary.BigEndian.AppendUint32(b, uint32(seq))
}

func numberOf(b []byte) (publisher, seq int) {
	return int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:]))
}

// pause lets virtual time pass, and a microsecond more: all that is due after that time has happened then, while at the very instant
// it is up to chance what comes first.
func pause(d time.Duration) { <-time.After(d + time.Microsecond) }
