//go:build e2e

package crash

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// connection is a client's side of one connection. Its deadline cuts it off wherever it is.
type connection struct {
	conn    net.Conn
	version mqtt.Version
	in      *bufio.Reader
	out     *bufio.Writer
	scratch []byte
}

var errNoBroker = errors.New("no broker runs")

// connect connects a client for as long as life.
func (w *world) connect(c *mqtt.Connect, life time.Duration) (*connection, *mqtt.Connack, error) {
	addr := w.broker.addr.Load()
	if addr == nil {
		return nil, nil, errNoBroker
	}
	nc, err := net.DialTimeout("tcp", *addr, life)
	if err != nil {
		return nil, nil, err
	}
	cn := &connection{conn: nc, version: c.Version, in: bufio.NewReaderSize(nc, 16<<10), out: bufio.NewWriterSize(nc, 16<<10)}
	ack, err := cn.handshake(c, life)
	if err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	return cn, ack, nil
}

func (cn *connection) handshake(c *mqtt.Connect, life time.Duration) (*mqtt.Connack, error) {
	if err := cn.conn.SetDeadline(time.Now().Add(life + time.Second)); err != nil {
		return nil, err
	}
	if err := cn.send(c); err != nil {
		return nil, err
	}
	pk, err := cn.receive()
	if err != nil {
		return nil, err
	}
	ack, ok := pk.(*mqtt.Connack)
	switch {
	case !ok:
		return nil, fmt.Errorf("got %v instead of CONNACK", pk.Type())
	case ack.Code != 0:
		return nil, fmt.Errorf("refused: %w", ack.Code)
	}
	return ack, cn.conn.SetDeadline(time.Now().Add(life))
}

// send writes a packet, at the latest when the next is waited for.
func (cn *connection) send(pk mqtt.Packet) (err error) {
	if cn.scratch, err = pk.AppendTo(cn.scratch[:0], cn.version); err != nil {
		return err
	}
	_, err = cn.out.Write(cn.scratch)
	return err
}

// receive returns the next packet, whose slices are its own.
func (cn *connection) receive() (mqtt.Packet, error) {
	if cn.in.Buffered() == 0 {
		if err := cn.out.Flush(); err != nil {
			return nil, err
		}
	}
	for n := 2; ; n++ {
		start, err := cn.in.Peek(n)
		if err != nil {
			return nil, err
		}
		h, n, err := mqtt.DecodeHeader(start)
		if errors.Is(err, mqtt.ErrIncomplete) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, err := cn.in.Discard(n); err != nil {
			return nil, err
		}
		body := make([]byte, h.Remaining)
		if _, err := io.ReadFull(cn.in, body); err != nil {
			return nil, err
		}
		return mqtt.Decode(h, body, cn.version)
	}
}

// leave ends a connection in one of the ways in which clients do. What it returns, to be called once the next
// connection is there, ends it for good.
func (cn *connection) leave(rng *rand.Rand) (end func()) {
	switch rng.IntN(3) {
	case 0: // the next connection takes the session over
		return func() { _ = cn.conn.Close() }
	case 1:
		_ = cn.send(&mqtt.Disconnect{})
		_ = cn.out.Flush()
	}
	_ = cn.conn.Close()
	return func() {}
}

// pause waits for up to d, or until the run ends.
func (w *world) pause(rng *rand.Rand, d time.Duration) {
	select {
	case <-time.After(upTo(rng, d)):
	case <-w.ctx.Done():
	}
}

// upTo chooses a time below d.
func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
