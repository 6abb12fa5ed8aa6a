package broker

import (
	"testing"
	"testing/synctest"

	"github.com/barid-mqtt/barid/mqtt"
)

// TestAQuietSessionGivesBackWhatABurstTook fills the windows of a subscriber and of a publisher whose connections stay,
// and lets them go quiet. Neither keeps what it took, and a busy one is left alone.
func TestAQuietSessionGivesBackWhatABurstTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		sub, _ := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600, KeepAlive: 0})
		sub.subscribe(t, "t", 1)
		pub, _ := w.connect(&mqtt.Connect{ClientID: "pub"})
		const n = 1000
		for i := range n {
			if err := pub.send(&mqtt.Publish{Topic: []byte("t"), QoS: 2, PacketID: uint16(i + 1)}); err != nil {
				t.Fatal(err)
			}
			expectType(t, pub, mqtt.PUBREC)
		}
		var ids []uint16
		for range n {
			ids = append(ids, expectPublish(t, sub).PacketID)
		}
		grown := func(id string) bool {
			c := w.b.registry.get(id)
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.session.Grown()
		}
		pause(2 * trimInterval)
		if !grown("sub") || !grown("pub") {
			t.Fatal("a thousand messages under way took no memory worth giving back")
		}
		for i, id := range ids {
			_ = sub.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: id}})
			_ = pub.send(&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: uint16(i + 1)}})
			expectType(t, pub, mqtt.PUBCOMP)
		}
		pause(2 * trimInterval)
		_ = sub.send(&mqtt.Disconnect{}) // it dozes, and has nothing of its own to be trimmed
		pause(2 * trimInterval)
		if grown("sub") || grown("pub") {
			t.Errorf("still grown: subscriber %v, publisher %v", grown("sub"), grown("pub"))
		}
	})
}

// expectType reads the next packet, which has to be of a type.
func expectType(t *testing.T, p *peer, want mqtt.Type) mqtt.Packet {
	t.Helper()
	pk, err := p.receive()
	if err != nil || pk.Type() != want {
		t.Fatalf("got %+v, %v instead of %v", pk, err, want)
	}
	return pk
}
