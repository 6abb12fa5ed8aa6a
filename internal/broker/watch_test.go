package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/emqx"
	"github.com/barid-mqtt/barid/internal/monitor"
	"github.com/barid-mqtt/barid/mqtt"
)

// counters are EMQX's counters as they are when all is quiet.
func (w *world) counters() map[string]int64 {
	synctest.Wait()
	out := make(map[string]int64)
	for _, v := range emqx.Counters(w.b.metrics) {
		out[v.Name] = v.Value
	}
	return out
}

// rose lists which counters differ, without those of bytes and of packets of each type.
func (w *world) rose(t *testing.T, before map[string]int64, want map[string]int64) {
	t.Helper()
	for name, n := range w.counters() {
		if n -= before[name]; n != want[name] && (want[name] != 0 || counted[name]) {
			t.Errorf("%s rose by %d, not by %d", name, n, want[name])
		}
	}
}

// counted are the counters that may only rise where a test says so.
var counted = map[string]bool{
	"packets.connack.error": true, "packets.connack.auth_error": true, "packets.publish.inuse": true, "packets.publish.error": true,
	"packets.publish.auth_error": true, "packets.puback.inuse": true, "packets.puback.missed": true, "packets.pubrec.inuse": true,
	"packets.pubrec.missed": true, "packets.pubrel.missed": true, "packets.pubcomp.inuse": true, "packets.pubcomp.missed": true,
	"packets.subscribe.error": true, "packets.subscribe.auth_error": true, "packets.unsubscribe.error": true,
	"messages.received": true, "messages.sent": true, "messages.publish": true, "messages.dropped": true, "messages.dropped.no_subscribers": true,
	"messages.retained": true, "messages.delayed": true, "messages.persisted": true, "messages.acked": true, "messages.delivered": true,
	"delivery.dropped": true, "delivery.dropped.no_local": true, "delivery.dropped.too_large": true, "delivery.dropped.queue_full": true,
	"delivery.dropped.expired": true, "delivery.dropped.qos0_msg": true, "client.connected": true,
	"session.created": true, "session.resumed": true, "session.takenover": true, "session.discarded": true,
	"authentication.success": true, "authentication.success.anonymous": true, "authentication.failure": true,
	"authorization.allow": true, "authorization.deny": true, "authorization.cache_hit": true,
}

func TestWhatAClientDoesIsCountedUnderItsName(t *testing.T) {
	v5 := func(id string) *mqtt.Connect { return &mqtt.Connect{ClientID: id, SessionExpirySeconds: 100} }
	for name, tt := range map[string]struct {
		packets []mqtt.Packet // of a client that is subscribed to t and own, with No Local for the latter
		want    map[string]int64
	}{
		"QoS 0 to nobody": {[]mqtt.Packet{publishOf("nobody", "x", 0, 0)}, map[string]int64{
			"messages.received": 1, "messages.qos0.received": 1, "packets.publish.received": 1, "messages.publish": 1,
			"messages.dropped": 1, "messages.dropped.no_subscribers": 1}},
		"QoS 1 to a durable session": {[]mqtt.Packet{publishOf("t", "x", 1, 1), &mqtt.Puback{Ack: ids(1)}}, map[string]int64{
			"messages.received": 1, "messages.qos1.received": 1, "messages.publish": 1, "messages.persisted": 1, "packets.puback.sent": 1,
			"messages.sent": 1, "messages.qos1.sent": 1, "messages.delivered": 1, "messages.acked": 1, "packets.puback.received": 1}},
		"No Local": {[]mqtt.Packet{publishOf("own", "x", 0, 0)}, map[string]int64{
			"messages.received": 1, "messages.publish": 1, "delivery.dropped": 1, "delivery.dropped.no_local": 1}},
		"QoS 2, and its identifier again": {[]mqtt.Packet{publishOf("n", "x", 2, 7), publishOf("n", "x", 2, 7), &mqtt.Pubrel{Ack: ids(7)}, &mqtt.Pubrel{Ack: ids(7)}},
			map[string]int64{"messages.received": 2, "messages.qos2.received": 2, "messages.publish": 1, "packets.publish.inuse": 1, "packets.pubrec.sent": 2,
				"packets.pubrel.received": 2, "packets.pubcomp.sent": 2, "packets.pubrel.missed": 1,
				"messages.dropped": 1, "messages.dropped.no_subscribers": 1}},
		"acknowledgements of nothing": {[]mqtt.Packet{&mqtt.Puback{Ack: ids(9)}, &mqtt.Pubrec{Ack: ids(9)}, &mqtt.Pubcomp{Ack: ids(9)}}, map[string]int64{
			"packets.puback.missed": 1, "packets.pubrec.missed": 1, "packets.pubcomp.missed": 1, "packets.pubrel.sent": 1}},
		"the wrong acknowledgement": {[]mqtt.Packet{publishOf("t", "x", 1, 1), &mqtt.Pubcomp{Ack: ids(1)}}, map[string]int64{
			"messages.received": 1, "messages.publish": 1, "messages.persisted": 1, "messages.sent": 1, "messages.delivered": 1, "packets.pubcomp.inuse": 1}},
		"retained and delayed": {[]mqtt.Packet{&mqtt.Publish{Topic: []byte("r"), Retain: true, Payload: []byte("x")}, publishOf("$delayed/50/r", "x", 0, 0)},
			map[string]int64{"messages.received": 2, "messages.publish": 2, "messages.retained": 1, "messages.delayed": 1,
				"messages.dropped": 1, "messages.dropped.no_subscribers": 1}},
		"filters": {[]mqtt.Packet{subscribeTo("a", "$share//x"), &mqtt.Unsubscribe{PacketID: 3, Filters: []string{"a", "never"}}}, map[string]int64{
			"packets.subscribe.received": 1, "packets.suback.sent": 1, "packets.subscribe.error": 1, "client.subscribe": 1,
			"packets.unsubscribe.received": 1, "packets.unsuback.sent": 1, "packets.unsubscribe.error": 1, "client.unsubscribe": 1}},
		"a topic that nobody may publish to": {[]mqtt.Packet{publishOf("$SYS/x", "x", 1, 1)}, map[string]int64{
			"messages.received": 1, "packets.publish.error": 1, "packets.publish.auth_error": 1, "messages.dropped": 1}},
		"ping": {[]mqtt.Packet{&mqtt.Pingreq{}}, map[string]int64{"packets.pingreq.received": 1, "packets.pingresp.sent": 1, "packets.received": 1, "packets.sent": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				p, _ := w.connect(v5("c"))
				_ = p.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "t", QoS: 1}, {Filter: "own", NoLocal: true}}})
				c := listen(t, "c", p)
				c.next(mqtt.SUBACK)
				before := w.counters()
				for _, pk := range tt.packets {
					c.send(pk)
					synctest.Wait()
				}
				w.rose(t, before, tt.want)
			})
		})
	}
}

func TestConnectionsAndSessionsAreCountedUnderTheirNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		before := w.counters()
		w.durable(t, "c")
		w.durable(t, "c")
		w.rose(t, before, map[string]int64{"client.connected": 2, "session.created": 1, "session.resumed": 1, "session.takenover": 1,
			"authentication.success": 2, "authentication.success.anonymous": 2, "packets.connect.received": 2, "packets.connack.sent": 2, "packets.disconnect.sent": 1})
		before = w.counters()
		_, _ = w.connect(&mqtt.Connect{ClientID: "c", CleanStart: true})
		_, _ = w.connect(&mqtt.Connect{ClientID: "", Version: mqtt.V311})
		w.rose(t, before, map[string]int64{"client.connected": 1, "session.created": 1, "session.takenover": 1, "session.discarded": 1,
			"authentication.success": 1, "authentication.success.anonymous": 1, "packets.connack.error": 1})
	})
}

func TestTheHistoryHasASampleEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		sub := w.subscriber(t, "sub", "t", 1)
		pause(35 * time.Second)
		for range 3 {
			publish(t, w, "pub", publishOf("t", "x", 1, 1))
		}
		publish(t, w, "pub", publishOf("nobody", "x", 0, 0))
		pause(30 * time.Second)
		_ = sub.p.conn.Close()
		pause(30 * time.Second)
		samples := w.b.Monitor().Since(time.Now().Add(-time.Hour), time.Now())
		if len(samples) < 9 || len(samples) > 10 {
			t.Fatalf("%d samples in 95 seconds", len(samples))
		}
		var sum monitor.Counts
		for i, s := range samples {
			if i > 0 && s.Time.Sub(samples[i-1].Time) != monitor.Interval {
				t.Errorf("sample %d is %v after the one before", i, s.Time.Sub(samples[i-1].Time))
			}
			sum.Received += s.Received
			sum.Sent += s.Sent
			sum.Dropped += s.Dropped
			sum.Persisted += s.Persisted
		}
		if sum.Received != 4 || sum.Sent != 3 || sum.Dropped != 1 || sum.Persisted != 3 {
			t.Errorf("the samples count %+v", sum)
		}
		if s := samples[1]; s.Connected != 1 || s.Sessions != 1 || s.Subscriptions != 1 || s.Topics != 1 || s.DurableSubscriptions != 1 || s.DurableAway != 0 {
			t.Errorf("with a client there are %+v", s.States)
		}
		if s := samples[len(samples)-1]; s.Connected != 0 || s.Sessions != 1 || s.DurableAway != 1 || s.MemoryBytes == 0 {
			t.Errorf("without one there are %+v", s.States)
		}
		if l := w.b.Levels(); l.Connected.Now != 0 || l.Connected.Max < 1 || l.Sessions.Now != 1 {
			t.Errorf("the levels are %+v", l)
		}
	})
}

func TestCurrentRatesAreOfTheLastTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		pause(time.Minute)
		p, _ := w.connect(&mqtt.Connect{ClientID: "p", CleanStart: true})
		for range 20 {
			_ = p.send(publishOf("t", "x", 0, 0))
		}
		synctest.Wait()
		pause(5 * time.Second)
		if _, c, seconds := w.b.Current(); c.Received != 20 || c.Dropped != 20 || seconds < 9 || seconds > 11 {
			t.Errorf("%d messages were received, %d dropped in %v seconds", c.Received, c.Dropped, seconds)
		}
		pause(10 * time.Second)
		if _, c, _ := w.b.Current(); c.Received != 0 {
			t.Errorf("a while later %d messages are counted", c.Received)
		}
	})
}
