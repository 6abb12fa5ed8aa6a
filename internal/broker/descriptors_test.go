//go:build unix

package broker

import (
	"context"
	"net"
	"os"
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

// Connections that would take the reserve are closed, with an alarm until that is over; others go on.
func TestConnectionsLeaveDescriptorsForTheStorage(t *testing.T) {
	b := newTestBroker(t, []string{"listeners.tcp.bind=127.0.0.1:0"})
	free, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	b.descriptors.most = uint64(free.Fd()) + 40
	b.listeners["tcp"].options.MaxDescriptor = b.descriptors.most
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	var peers []*peer
	refused := false
	for range 40 {
		nc, err := net.Dial("tcp", b.Listeners()[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{conn: nc, version: mqtt.V5}
		peers = append(peers, p)
		if err := p.send(&mqtt.Connect{Version: mqtt.V5, CleanStart: true}); err != nil {
			refused = true
			break
		}
		if _, err := p.receive(); err != nil {
			refused = true
			break
		}
	}
	if len(peers) < 2 || !refused || b.metrics.Hits(metrics.LimitDescriptors) != 1 {
		t.Errorf("%d connections, refused: %v, counted %d times", len(peers), refused, b.metrics.Hits(metrics.LimitDescriptors))
	}
	if _, err := os.ReadFile(os.DevNull); err != nil {
		t.Errorf("no file can be opened: %v", err)
	}
	now := time.Now()
	for _, look := range []struct {
		after time.Duration
		alarm bool
	}{{0, true}, {descriptorsCalm - 1, true}, {descriptorsCalm, false}} {
		b.watchDescriptors(now.Add(look.after))
		if got := b.alarms.ActiveCount() == 1; got != look.alarm {
			t.Errorf("after %v: alarm %v", look.after, got)
		}
	}
	for _, p := range peers {
		_ = p.conn.Close()
	}
	_ = free.Close()
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
