package broker

import (
	"context"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

// A client that says its last, disconnects and comes back at once has said it: the message is published and the will is
// not, whatever the broker gets to see first.
func TestWhatWasSentBeforeATakeoverCounts(t *testing.T) {
	b := newTestBroker(t, nil)
	watcher, _ := connect(t, b, &mqtt.Connect{ClientID: "watcher", CleanStart: true})
	watcher.subscribe(t, "said/#", mqtt.AtMostOnce)
	const rounds = 200
	for range rounds {
		p, ack := connect(t, b, &mqtt.Connect{
			ClientID: "hasty", CleanStart: true, Will: &mqtt.Will{Topic: "said/will", Payload: []byte("will")},
		})
		if ack == nil || ack.Code.Failed() {
			t.Fatalf("CONNACK %+v", ack)
		}
		if err := p.send(&mqtt.Publish{Topic: []byte("said/last"), Payload: []byte("last")}); err != nil {
			t.Fatal(err)
		}
		if err := p.send(&mqtt.Disconnect{}); err != nil {
			t.Fatal(err)
		}
		_ = p.conn.Close()
	}
	for i := range rounds {
		pk, err := watcher.receive()
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := pk.(*mqtt.Publish); !ok || string(m.Topic) != "said/last" {
			t.Fatalf("round %d: got %+v", i, pk)
		}
	}
	_ = watcher.conn.Close()
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
