//go:build unix

package broker

import (
	"context"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/listener"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestReserveOfDescriptors(t *testing.T) {
	for limit, most := range map[uint64]uint64{0: 0, 100: 50, 1024: 960, 1_000_000: 950_000} {
		if d := newDescriptors(limit); d.most != most {
			t.Errorf("of %d descriptors %d are for connections, want %d", limit, d.most, most)
		}
	}
}

// The alarm is there from a connection that is closed for its descriptor until a while after the last one.
func TestTheAlarmOfDescriptors(t *testing.T) {
	b := newTestBroker(t, nil)
	b.listeners["tcp"].options.OnProblem(listener.Problem{Reason: listener.MaxDescriptors})
	now := time.Now().Add(time.Hour)
	for _, look := range []struct {
		after time.Duration
		alarm bool
	}{{0, true}, {descriptorsCalm - 1, true}, {descriptorsCalm, false}} {
		b.watchDescriptors(now.Add(look.after))
		if got := b.alarms.ActiveCount() == 1; got != look.alarm {
			t.Errorf("after %v: alarm %v", look.after, got)
		}
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestWhatListenersTurnAwayIsCounted(t *testing.T) {
	b := newTestBroker(t, nil)
	for why, l := range map[listener.Reason]metrics.Limit{
		listener.MaxConnections: metrics.LimitListenerConnections,
		listener.MaxHandshakes:  metrics.LimitHandshakes,
		listener.MaxDescriptors: metrics.LimitDescriptors,
	} {
		b.listeners["tcp"].options.OnProblem(listener.Problem{Reason: why})
		if b.metrics.Hits(l) != 1 {
			t.Errorf("%v is not counted", l)
		}
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// A client with more in flight than the server's receive maximum is told so, and counted.
func TestReceiveMaximumIsCounted(t *testing.T) {
	b := newTestBroker(t, []string{"mqtt.receive_maximum=1"})
	p, _ := connect(t, b, &mqtt.Connect{ClientID: "c", CleanStart: true})
	for id := range 2 {
		if err := p.send(&mqtt.Publish{Topic: []byte("t"), QoS: 2, PacketID: uint16(id + 1)}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.receive(); err != nil {
			t.Fatal(err)
		}
	}
	if b.metrics.Hits(metrics.LimitReceiveMaximum) != 1 {
		t.Error("not counted")
	}
	_ = p.conn.Close()
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
