//go:build !race && !framecheck

package broker

import (
	"context"
	"fmt"
	"testing"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/mqtt"
)

// These need pools that give back what they got, which the race detector and the tag framecheck keep them from.

// sink is a socket that takes everything, so that a connection can be driven without goroutines.
type sink struct{ written int }

func (s *sink) TryWrite(p []byte) (int, bool, error) {
	s.written += len(p)
	return len(p), false, nil
}
func (s *sink) WriteRest([]byte) {}

// direct is a connection that a test feeds itself.
type direct struct {
	*sink
	c     *conn.Conn
	batch *conn.Batch
	b     *Broker
	woken chan struct{}
}

func newDirect(t testing.TB, b *Broker, id string, packets ...mqtt.Packet) *direct {
	t.Helper()
	s := b.listeners["tcp"]
	k := &connecting{broker: b, listener: s}
	d := &direct{sink: &sink{}, c: conn.New(s.conn.Load(), k, conn.Info{Listener: "tcp"}), batch: conn.NewBatch(), b: b, woken: make(chan struct{}, 1)}
	k.conn = d.c
	d.c.Drive(d.sink, func() {
		select {
		case d.woken <- struct{}{}:
		default:
		}
	})
	d.feed(t, append([]mqtt.Packet{&mqtt.Connect{Version: mqtt.V311, ClientID: id, CleanStart: true}}, packets...)...)
	return d
}

func (d *direct) feed(t testing.TB, packets ...mqtt.Packet) {
	t.Helper()
	for _, p := range packets {
		data, err := p.AppendTo(nil, mqtt.V311)
		if err != nil {
			t.Fatal(err)
		}
		s := d.bytes(data)
		for ; s == conn.Suspended; s = d.bytes(nil) {
			if d.c.IsSuspended() {
				<-d.woken
			}
		}
		if s != conn.Hungry {
			t.Fatalf("%T closed the connection", p)
		}
	}
}

func (d *direct) bytes(data []byte) conn.Status {
	s := d.c.Feed(d.batch, data)
	d.batch.Flush(d.b.metrics)
	return s
}

// A message for subscribers that keep up takes no memory: neither its publishing, nor its deliveries, nor its
// acknowledgements.
func TestPublishingAllocatesNothing(t *testing.T) {
	for _, tt := range []struct {
		qos         mqtt.QoS
		subscribers int
	}{{0, 1}, {0, 100}, {1, 1}, {1, 100}} {
		t.Run(fmt.Sprintf("QoS %d to %d", tt.qos, tt.subscribers), func(t *testing.T) {
			b := newTestBroker(t, nil)
			defer func() {
				if err := b.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			var subscribers []*direct
			for i := range tt.subscribers {
				subscribers = append(subscribers, newDirect(t, b, fmt.Sprintf("s%d", i),
					&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "some/+", QoS: tt.qos}}}))
			}
			publisher := newDirect(t, b, "p")
			publish, err := (&mqtt.Publish{Topic: []byte("some/topic"), QoS: tt.qos, PacketID: uint16(tt.qos), Payload: make([]byte, 256)}).AppendTo(nil, mqtt.V311)
			if err != nil {
				t.Fatal(err)
			}
			puback := []byte{byte(mqtt.PUBACK) << 4, 2, 0, 0}
			id := 0
			turn := func() {
				id++
				publisher.bytes(publish)
				for _, s := range subscribers {
					if puback[2], puback[3] = byte(id>>8), byte(id); tt.qos > 0 {
						s.bytes(puback)
					}
				}
			}
			for range 10 {
				turn() // tables and buffers grow
			}
			before := subscribers[0].written
			if n := testing.AllocsPerRun(200, turn); n >= 1 {
				t.Errorf("%v allocations", n)
			}
			if n := subscribers[0].written - before; n < 200*256 {
				t.Errorf("a subscriber got %d bytes", n)
			}
			if n := b.metrics.DroppedTotal(); n > 0 {
				t.Errorf("%d messages were dropped", n)
			}
		})
	}
}
