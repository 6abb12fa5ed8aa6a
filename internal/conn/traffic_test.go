package conn

import (
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/mqtt"
)

// What a connection counts is what was fed and written, whatever parts it came in, with others in the same turn or not.
func TestAConnectionCountsItsOwnTraffic(t *testing.T) {
	c, r := newRecorded(nil)
	other, _ := newRecorded(nil)
	connect := stream(t, mqtt.V311, &mqtt.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true})
	data := stream(t, mqtt.V311,
		&mqtt.Publish{Topic: []byte("a"), Payload: []byte("0")}, &mqtt.Publish{Topic: []byte("a"), QoS: 1, PacketID: 1},
		&mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 2}, &mqtt.Publish{Topic: []byte("a"), QoS: 2, PacketID: 3},
		&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: 2}}, &mqtt.Pingreq{})
	b := NewBatch()
	for _, x := range []*Conn{c, other} {
		for s := x.Feed(b, connect); s == Suspended; s = x.Feed(b, nil) {
		}
	}
	r.retry = true // the first PUBLISH is handled twice, and counts once
	half := len(data) / 2
	other.Feed(b, data)
	for _, part := range [][]byte{data[:half], nil, data[half:], nil} {
		c.Feed(b, part)
		c.Resume()
		other.Feed(b, data)
	}
	c.AckNow(b, mqtt.PUBACK, 1, mqtt.Success)
	w := c.Begin(b)
	for qos := range mqtt.QoS(3) {
		w.Publish(&session.Delivery{Message: &message.Message{Topic: "some/topic", Payload: []byte("x")}, QoS: qos}, "some/topic", 7, false)
	}
	w.Pubrel(9, mqtt.Success)
	w.End()
	b.Flush(c.opts.Metrics)
	in, out := c.Traffic()
	if want := (Traffic{3, int64(len(connect) + len(data)), 7, [3]int64{1, 1, 2}}); in != want {
		t.Errorf("came %+v, not %+v", in, want)
	}
	// CONNACK, PINGRESP, PUBACK, three PUBLISH, PUBREL
	if want := (Traffic{1, int64(len(r.written)), 7, [3]int64{1, 1, 1}}); out != want || in.Published() != 4 {
		t.Errorf("went %+v, not %+v", out, want)
	}
}

func TestLookingAtTrafficWhileThereIsSomeIsNoRace(t *testing.T) {
	c, _ := newRecorded(nil)
	feed(c, stream(t, mqtt.V311, &mqtt.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true}))
	ping, done := stream(t, mqtt.V311, &mqtt.Pingreq{}), make(chan struct{})
	go func() {
		defer close(done)
		b := NewBatch()
		for range 1000 {
			c.Feed(b, ping)
			b.Flush(c.opts.Metrics)
		}
	}()
	var last, lastOut Traffic
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		in, out := c.Traffic()
		if in.Packets < last.Packets || out.Bytes < lastOut.Bytes {
			t.Fatalf("%+v after %+v, %+v after %+v", in, last, out, lastOut)
		}
		last, lastOut = in, out
	}
	if last.Packets != 1001 || lastOut.Packets != 1001 {
		t.Errorf("%+v %+v", last, lastOut)
	}
}
