package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// TestWhatComesAgainAfterCrashesSaysDup lets a client acknowledge a message just before a crash, so that it comes again:
// over a connection that was still there, over one that had ended, and with a second crash before the client is back.
func TestWhatComesAgainAfterCrashesSaysDup(t *testing.T) {
	for _, tt := range []struct {
		name    string
		leaves  bool
		crashes int
		again   bool // a client that leaves has its session kept
	}{{"one crash", false, 1, true}, {"two crashes", false, 2, true}, {"left before", true, 1, false}, {"left before, two crashes", true, 2, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				sub, _ := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600})
				sub.subscribe(t, "t", 1)
				pause(flushInterval * 2)
				publish(t, w, "pub", &mqtt.Publish{Topic: []byte("t"), Payload: []byte("before"), QoS: 1, PacketID: 1})
				p := expectPublish(t, sub)
				if err := sub.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}}); err != nil {
					t.Fatal(err)
				}
				if tt.leaves {
					_ = sub.send(&mqtt.Disconnect{})
				}
				synctest.Wait() // and no time passes
				for range tt.crashes {
					w.crash()
				}
				publish(t, w, "pub", &mqtt.Publish{Topic: []byte("t"), Payload: []byte("after"), QoS: 1, PacketID: 1})
				sub, _ = w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600})
				if tt.again {
					if p := expectPublish(t, sub); string(p.Payload) != "before" || !p.Dup {
						t.Errorf("got %s with DUP %v, want the message before the crash with DUP", p.Payload, p.Dup)
					}
				}
				if p := expectPublish(t, sub); string(p.Payload) != "after" || p.Dup {
					t.Errorf("got %s with DUP %v, want the message after the crash without DUP", p.Payload, p.Dup)
				}
			})
		})
	}
}

// A pass moves a session's place past what it parks, so that the place alone does not say what may come again.
func TestWhatWasSentBeforeItWasParkedSaysDupAfterTwoCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		sub, _ := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600})
		sub.subscribe(t, "t", 1)
		pause(flushInterval * 2)
		for _, text := range []string{"1", "2", "3"} {
			publish(t, w, "pub", &mqtt.Publish{Topic: []byte("t"), Payload: []byte(text), QoS: 1, PacketID: 1})
			p := expectPublish(t, sub)
			sendTo(t, sub, &mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}})
		}
		synctest.Wait() // and no time passes
		w.opts = []Option{parkSoon}
		w.crash()
		publish(t, w, "pub", &mqtt.Publish{Topic: []byte("t"), Payload: []byte("4"), QoS: 1, PacketID: 1})
		for i := 0; !w.isParked("sub"); i++ {
			if i == 60 {
				t.Fatal("the session is not parked after a minute")
			}
			pause(time.Second)
		}
		sub, _ = w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600, ReceiveMaximum: 1})
		if p := expectPublish(t, sub); string(p.Payload) != "1" || !p.Dup {
			t.Errorf("got %s with DUP %v, want the first message with DUP", p.Payload, p.Dup)
		}
		_ = sub.conn.Close()
		pause(flushInterval * 2)
		w.crash()
		sub, _ = w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600})
		for _, want := range []string{"1", "2", "3"} {
			if p := expectPublish(t, sub); string(p.Payload) != want || !p.Dup {
				t.Errorf("got %s with DUP %v, want %s with DUP: it was sent before the crashes", p.Payload, p.Dup, want)
			}
		}
	})
}

func (w *world) isParked(id string) bool {
	c := w.b.registry.get(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parked()
}
