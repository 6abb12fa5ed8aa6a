package broker

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/mqtt"
)

// slow is an engine whose scan of one space takes a minute.
type slow struct {
	storage.Engine
	space []byte
}

func (s *slow) Scan(ctx context.Context, prefix []byte) iter.Seq2[storage.KV, error] {
	if bytes.Equal(prefix, s.space) {
		pause(time.Minute)
	}
	return s.Engine.Scan(ctx, prefix)
}

// TestASlowStartLosesNothing restores a session and a group that are away, with more queued than the log is left alone
// with, and lets each space take so long that the log could be trimmed and groups could read on meanwhile.
func TestASlowStartLosesNothing(t *testing.T) {
	for name, space := range map[string][]byte{"retained": state.Retained, "sessions": state.Sessions, "subscriptions": state.Subscriptions, "groups": state.Groups, "delayed": state.Delayed} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { slowStart(t, space) })
		})
	}
}

func slowStart(t *testing.T, space []byte) {
	w := newWorld(t)
	for id, filter := range map[string]string{"away": "q", "member": "$share/g/q"} {
		p, _ := w.connect(&mqtt.Connect{ClientID: id, SessionExpirySeconds: 3600})
		p.subscribe(t, filter, mqtt.AtLeastOnce)
		_ = p.send(&mqtt.Disconnect{})
	}
	const n = 30
	for i := range n {
		payload := append(number(0, i), make([]byte, 100_000)...)
		publish(t, w, "pub", &mqtt.Publish{Topic: []byte("q"), Payload: payload, QoS: 1, PacketID: 1})
	}
	pause(time.Second)
	var kept bytes.Buffer
	if err := w.engine.Snapshot(t.Context(), &kept); err != nil {
		t.Fatal(err)
	}
	w.close()
	e, err := memory.Restore(memory.Options{}, &kept)
	if err != nil {
		t.Fatal(err)
	}
	b := newTestBroker(t, nil, WithEngine(&slow{e, space}))
	defer stopBroker(t, b)
	for _, id := range []string{"away", "member"} {
		p := resume(t, b, id, true)
		var got, want []int
		for i := range n {
			m := next[*mqtt.Publish](t, p)
			_, seq := numberOf(m.Payload)
			got, want = append(got, seq), append(want, i)
			sendTo(t, p, &mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s got %v", id, got)
		}
	}
}
