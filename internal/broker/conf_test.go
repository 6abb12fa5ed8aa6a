package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// applied is a broker whose configuration changes.
type applied struct {
	t *testing.T
	b *Broker
}

// change applies a configuration that differs in some keys.
func (a applied) change(sets map[string]string) {
	a.t.Helper()
	cfg, _, err := config.Load(config.Sources{Sets: []string{"durability=memory"}, Live: sets})
	if err != nil {
		a.t.Fatal(err)
	}
	a.b.Apply(cfg)
}

func whileItChanges(t *testing.T, test func(a applied)) {
	synctest.Test(t, func(t *testing.T) {
		a := applied{t, newTestBroker(t, []string{"mqtt.sys_interval_seconds=0"})}
		test(a)
		stopBroker(t, a.b)
	})
}

func TestLimitsThatChangeHoldForWhatComesNext(t *testing.T) {
	whileItChanges(t, func(a applied) {
		old, _ := connect(t, a.b, &mqtt.Connect{ClientID: "old"})
		n, packet := 0, uint32(1<<20)
		fresh := func(of string) string { // a name that nothing has yet
			n++
			return fmt.Sprint(of, n)
		}
		for _, c := range []struct {
			key, value string
			limit      metrics.Limit
			try        func()
		}{
			{"limits.max_connections", "1", metrics.LimitConnections, func() { code(t, a.b, mqtt.Connect{ClientID: "x"}) }},
			{"limits.max_sessions", "1", metrics.LimitSessions, func() { code(t, a.b, mqtt.Connect{ClientID: fresh("s"), SessionExpirySeconds: 10}) }},
			{"limits.connects_per_second", "1", metrics.LimitConnectRate, func() { code(t, a.b, mqtt.Connect{ClientID: "x"}); code(t, a.b, mqtt.Connect{ClientID: "x"}) }},
			{"mqtt.max_topic_levels", "2", metrics.LimitTopicLevels, func() { old.ask(t, publishTo("a/b/c", 1, false)) }},
			{"mqtt.max_topic_bytes", "3", metrics.LimitTopicBytes, func() { old.ask(t, publishTo("abcd", 1, false)) }},
			{"mqtt.max_subscriptions_per_session", "1", metrics.LimitSessionSubscriptions, func() { old.ask(t, subscribeTo(fresh("f"), fresh("f"))) }},
			{"limits.max_subscriptions", "1", metrics.LimitSubscriptions, func() { old.ask(t, subscribeTo(fresh("f"), fresh("f"))) }},
			{"limits.max_retained_messages", "1", metrics.LimitRetainedMessages, func() { old.ask(t, publishTo(fresh("r"), 1, true)); old.ask(t, publishTo(fresh("r"), 1, true)) }},
			{"limits.max_retained_bytes", "300", metrics.LimitRetainedBytes, func() { old.ask(t, publishTo(fresh("r"), 1000, true)) }},
			{"mqtt.max_packet_bytes", "64", metrics.LimitPacketBytes, func() {
				p, ack := connect(t, a.b, &mqtt.Connect{ClientID: "p"})
				if ack.MaximumPacketSize != packet {
					t.Errorf("CONNACK says %d", ack.MaximumPacketSize)
				}
				packet = 64 // the next time
				p.ask(t, publishTo("x", 100, false))
				_ = p.conn.Close()
			}},
			{"auth.flapping.max_connects", "1", metrics.LimitFlapping, func() { code(t, a.b, mqtt.Connect{ClientID: "f"}); code(t, a.b, mqtt.Connect{ClientID: "f"}) }},
		} {
			c.try() // within the default, which is no limit
			if hits := a.b.metrics.Hits(c.limit); hits != 0 {
				t.Errorf("%s: %d hits before the change", c.key, hits)
			}
			a.change(map[string]string{c.key: c.value})
			c.try()
			synctest.Wait()
			if a.b.metrics.Hits(c.limit) == 0 {
				t.Errorf("%s: not in effect", c.key)
			}
			a.change(nil)
		}
		old.ask(t, publishTo("a/b/c", 1, false)) // the connection went through it all
		_ = old.conn.Close()
	})
}

// Whoever connects after a change publishes at its rates.
func TestRatesThatChangeHoldForConnectionsToCome(t *testing.T) {
	for _, of := range []string{"client", "user", "listener", "total"} {
		whileItChanges(t, func(a applied) {
			took := func() time.Duration {
				p, _ := connect(t, a.b, &mqtt.Connect{ClientID: "c", HasUsername: true, Username: "u"})
				defer p.conn.Close()
				begun := time.Now()
				for i := range 20 {
					p.ask(t, publishTo(fmt.Sprint(i), 1, false))
				}
				return time.Since(begun)
			}
			if d := took(); d > time.Second {
				t.Errorf("%s: %v without a limit", of, d)
			}
			a.change(map[string]string{"limits." + of + ".messages_per_second": "5"})
			if d := took(); d < 2*time.Second {
				t.Errorf("%s: 20 messages at five a second took %v", of, d)
			}
			a.change(nil)
			if d := took(); d > time.Second {
				t.Errorf("%s: %v without a limit again", of, d)
			}
		})
	}
}

func TestTimesThatChange(t *testing.T) {
	whileItChanges(t, func(a applied) {
		a.change(map[string]string{"mqtt.keep_alive_max_seconds": "7", "session.expiry_max_seconds": "9", "mqtt.connect_timeout_seconds": "2"})
		p, ack := connect(t, a.b, &mqtt.Connect{ClientID: "c", SessionExpirySeconds: 100})
		if ack.ServerKeepAlive == nil || *ack.ServerKeepAlive != 7 || ack.SessionExpirySeconds == nil || *ack.SessionExpirySeconds != 9 {
			t.Errorf("CONNACK %+v", ack)
		}
		_ = p.conn.Close()
		silent, begun := dial(t, a.b), time.Now()
		_, _ = silent.Read(make([]byte, 1))
		if d := time.Since(begun); d < 2*time.Second || d > 4*time.Second {
			t.Errorf("a client that does not say CONNECT is closed after %v", d)
		}
	})
}
