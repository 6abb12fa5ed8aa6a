package hostile

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/barid-mqtt/barid/mqtt"
)

// Peer is a client's side of one connection.
type Peer struct {
	Conn    net.Conn
	Version mqtt.Version
	write   sync.Mutex
	buf     []byte
}

// Connect sends a CONNECT and waits for its CONNACK. After an error the connection is closed.
func Connect(nc net.Conn, c *mqtt.Connect) (*Peer, *mqtt.Connack, error) {
	p := &Peer{Conn: nc, Version: c.Version}
	err := p.Send(c)
	if err == nil {
		var pk mqtt.Packet
		if pk, err = p.Receive(); err == nil {
			if ack, ok := pk.(*mqtt.Connack); ok {
				return p, ack, nil
			}
			err = fmt.Errorf("%v instead of CONNACK", pk.Type())
		}
	}
	_ = nc.Close()
	return nil, nil, err
}

// Send writes a packet.
func (p *Peer) Send(pk mqtt.Packet) error {
	p.write.Lock()
	defer p.write.Unlock()
	data, err := pk.AppendTo(nil, p.Version)
	if err != nil {
		return err
	}
	_, err = p.Conn.Write(data)
	return err
}

// Receive returns the next packet, whose slices are its own.
func (p *Peer) Receive() (mqtt.Packet, error) {
	for {
		h, n, err := mqtt.DecodeHeader(p.buf)
		if err == nil && len(p.buf) >= n+int(h.Remaining) {
			body := append([]byte(nil), p.buf[n:n+int(h.Remaining)]...)
			p.buf = p.buf[n+int(h.Remaining):]
			return mqtt.Decode(h, body, p.Version)
		}
		if err != nil && !errors.Is(err, mqtt.ErrIncomplete) {
			return nil, err
		}
		chunk := make([]byte, 4096)
		k, err := p.Conn.Read(chunk)
		if k == 0 && err != nil {
			return nil, err
		}
		p.buf = append(p.buf, chunk[:k]...)
	}
}
