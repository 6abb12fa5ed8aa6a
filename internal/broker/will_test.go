package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

func willOf(text string, delay uint32) *mqtt.Will {
	return &mqtt.Will{Topic: "w", Payload: []byte(text), QoS: 1, DelaySeconds: delay}
}

// A will that was due and could not be published, since the disk was full, is published when its session has a connection
// again, with another will. What is kept of the session is that of the new connection.
func TestAWillThatComesLateLeavesTheNextConnectionAlone(t *testing.T) {
	for _, delay := range []uint32{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			away(t, w, "watcher", "w")
			c, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 60, Will: willOf("first", delay)})
			c.subscribe(t, "t", 1)
			w.engine.refuse(storage.ErrFull)
			_ = c.conn.Close()
			pause(5 * time.Second)
			c, ack := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 60, Will: willOf("second", 0)})
			if !ack.SessionPresent {
				t.Fatal("no session")
			}
			w.engine.refuse(nil)
			pause(5 * time.Second)
			sendNumbered(t, w, 7, "t")
			expectPublish(t, c)
			pause(100 * time.Second) // more than the session would live without a connection
			w.crash()
			pause(time.Second)
			c, ack = w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 60})
			if !ack.SessionPresent {
				t.Fatal("the session is gone, though it had a connection until the crash")
			}
			if p := expectPublish(t, c); !p.Dup {
				t.Error("what was in flight comes without DUP")
			}
			watcher := w.resume(t, "watcher")
			for _, want := range []string{"first", "second"} {
				p := expectPublish(t, watcher)
				if string(p.Payload) != want {
					t.Errorf("got the will %s, want %s", p.Payload, want)
				}
				sendTo(t, watcher, &mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}})
			}
			if got := watcher.numbers(t); len(got) > 0 {
				t.Errorf("%d wills too many", len(got))
			}
		})
	}
}

// A will that was published is not published again after a crash, whether its session lives on or not.
func TestAWillIsPublishedOnce(t *testing.T) {
	for _, expiry := range []uint32{0, 60} {
		for _, delay := range []uint32{0, 5} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				away(t, w, "watcher", "w")
				c, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: expiry, Will: willOf("once", delay)})
				_ = c.conn.Close()
				pause(10 * time.Second)
				for range 2 {
					w.crash()
					pause(10 * time.Second)
				}
				watcher := w.resume(t, "watcher")
				if p := expectPublish(t, watcher); string(p.Payload) != "once" {
					t.Errorf("got %s", p.Payload)
				} else {
					sendTo(t, watcher, &mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}})
				}
				if got := watcher.numbers(t); len(got) > 0 {
					t.Errorf("expiry %d s, delay %d s: %d wills too many", expiry, delay, len(got))
				}
			})
		}
	}
}
