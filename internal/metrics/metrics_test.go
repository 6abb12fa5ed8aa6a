package metrics

import (
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestATallyIsAddedUpOnce(t *testing.T) {
	var m Metrics
	var tally Tally
	for range 2 { // a tally begins anew
		tally.Bytes += 100
		tally.Published += 3
		tally.NoLocal++
		tally.Packet(mqtt.CONNECT)
		tally.Packet(mqtt.PINGREQ)
		tally.Packet(mqtt.PINGREQ)
		tally.Publish(0, 10)
		tally.Publish(2, 20)
		tally.Sent(1, 7, false)
		tally.Sent(1, 7, true)
		tally.Access(true, true)
		tally.Access(false, false)
		tally.Access(true, false)
		m.Add(&tally)
	}
	m.Add(&tally)
	for name, got := range map[string][2]int64{
		"bytes": {m.BytesReceived.Load(), 200}, "published": {m.Published.Load(), 6}, "no local": {m.NoLocal.Load(), 2},
		"packets": {m.PacketsReceived.Load(), 10}, "CONNECT": {m.PacketsReceived.Of(mqtt.CONNECT), 2},
		"PINGREQ": {m.PacketsReceived.Of(mqtt.PINGREQ), 4}, "PUBLISH": {m.PacketsReceived.Of(mqtt.PUBLISH), 4},
		"QoS 0": {m.PublishReceived[0].Load(), 2}, "QoS 1": {m.PublishReceived[1].Load(), 0}, "QoS 2": {m.PublishReceived[2].Load(), 2},
		"payload": {m.PublishBytesReceived.Load(), 60}, "sent": {m.PublishSent.Load(), 4}, "sent QoS 1": {m.PublishSent[1].Load(), 4},
		"sent PUBLISH": {m.PacketsSent.Of(mqtt.PUBLISH), 4}, "sent payload": {m.PublishBytesSent.Load(), 28}, "again": {m.PublishResent.Load(), 2},
		"allowed": {m.AccessAllowed.Load(), 4}, "denied": {m.AccessDenied.Load(), 2},
		"remembered": {m.AccessRemembered.Load(), 2}, "asked": {m.AccessAsked.Load(), 4},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d, not %d", name, got[0], got[1])
		}
	}
}

func TestNobodyLosesByAMissingSubscriber(t *testing.T) {
	var m Metrics
	m.Drop(message.DropNoSubscriber, 5)
	m.Drop(message.DropExpired, 2)
	m.Drop(message.DropLogFull, 1)
	if n := m.DroppedTotal(); n != 3 || m.Dropped(message.DropNoSubscriber) != 5 {
		t.Errorf("%d were dropped", n)
	}
}
