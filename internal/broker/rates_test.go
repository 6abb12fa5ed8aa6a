package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// publishes sends n messages of size bytes and returns how long it took until the last was acknowledged.
func publishes(t *testing.T, p *peer, topic string, n, size int) time.Duration {
	t.Helper()
	begin := time.Now()
	go func() {
		for i := range n {
			_ = p.send(&mqtt.Publish{Topic: []byte(topic), QoS: mqtt.AtLeastOnce, PacketID: uint16(i + 1), Payload: make([]byte, size)})
		}
	}()
	for range n {
		pk, err := p.receive()
		if err != nil {
			t.Fatal(err)
		}
		if ack, ok := pk.(*mqtt.Puback); !ok || ack.Code.Failed() {
			t.Fatalf("got %+v", pk)
		}
	}
	return time.Since(begin)
}

func connected(t *testing.T, b *Broker, id, user string) *peer {
	t.Helper()
	p := &peer{conn: dial(t, b), version: mqtt.V5}
	if code := p.connectAs(t, &mqtt.Connect{ClientID: id, Username: user, HasUsername: user != ""}); code != mqtt.Success {
		t.Fatal(code)
	}
	return p
}

// Past a rate a publisher is slowed down, and every one of its messages still arrives.
func TestRatesSlowPublishersDown(t *testing.T) {
	for name, tt := range map[string]struct {
		set   string
		clock time.Duration // for 30 messages of 1,000 bytes, ten of which are let through at once
	}{
		"client messages": {"limits.client.messages_per_second=10", 2 * time.Second},
		"client bytes":    {"limits.client.bytes_per_second=10010", 2 * time.Second},
		"user":            {"limits.user.messages_per_second=10", 2 * time.Second},
		"listener":        {"limits.listener.messages_per_second=10", 2 * time.Second},
		"total":           {"limits.total.messages_per_second=10", 2 * time.Second},
		"none":            {"limits.total.messages_per_second=0", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestBroker(t, []string{tt.set, "mqtt.keep_alive_max_seconds=1"})
				p := connected(t, b, "c", "u")
				took := publishes(t, p, "t", 30, 999)
				if took < tt.clock-100*time.Millisecond || took > tt.clock+100*time.Millisecond {
					t.Errorf("it took %v, want %v", took, tt.clock)
				}
				if slowed := b.metrics.Hits(metrics.LimitPublishRate); slowed > 0 != (tt.clock > 0) {
					t.Errorf("slowed down %d times", slowed)
				}
				p.conn.Close()
				if err := b.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				if len(b.rates.users) != 0 {
					t.Error("a user without connections is remembered")
				}
			})
		})
	}
}

// Connections of one user share its rate, those of another have theirs.
func TestUsersHaveARateOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, []string{"limits.user.messages_per_second=10"})
		one, same, other := connected(t, b, "a", "u"), connected(t, b, "b", "u"), connected(t, b, "c", "v")
		if took := publishes(t, one, "t", 10, 1); took > 0 {
			t.Errorf("the burst took %v", took)
		}
		if took := publishes(t, other, "t", 10, 1); took > 0 {
			t.Errorf("another user waited %v", took)
		}
		if took := publishes(t, same, "t", 5, 1); took < 450*time.Millisecond {
			t.Errorf("another connection of the user did not wait, %v", took)
		}
		for _, p := range []*peer{one, same, other} {
			p.conn.Close()
		}
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestConnectRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, []string{"limits.connects_per_second=2"})
		codes := map[mqtt.ReasonCode]int{}
		connect := func() {
			p := &peer{conn: dial(t, b), version: mqtt.V5}
			codes[p.connectAs(t, &mqtt.Connect{ClientID: ""})]++
			p.conn.Close()
		}
		for range 5 {
			connect()
		}
		if codes[mqtt.Success] != 2 || codes[mqtt.ConnectionRateExceeded] != 3 || b.metrics.Hits(metrics.LimitConnectRate) != 3 {
			t.Errorf("%v", codes)
		}
		time.Sleep(time.Second)
		connect()
		if codes[mqtt.Success] != 3 {
			t.Errorf("a second later: %v", codes)
		}
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
