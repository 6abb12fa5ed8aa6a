package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// ask sends a packet and returns the answer's reason codes, as the client's version knows them; -1: the connection ended.
func (p *peer) ask(t *testing.T, pk mqtt.Packet) []int {
	t.Helper()
	if err := p.send(pk); err != nil {
		t.Fatal(err)
	}
	answer, err := p.receive()
	if err != nil {
		return []int{-1}
	}
	switch answer := answer.(type) {
	case *mqtt.Suback:
		codes := make([]int, len(answer.Codes))
		for i, c := range answer.Codes {
			codes[i] = int(c)
		}
		return codes
	case *mqtt.Puback:
		return []int{int(answer.Code)}
	case *mqtt.Disconnect:
		return []int{int(answer.Code)}
	}
	t.Fatalf("answer %+v", answer)
	return nil
}

func subscribeTo(filters ...string) *mqtt.Subscribe {
	s := &mqtt.Subscribe{PacketID: 1}
	for _, f := range filters {
		s.Filters = append(s.Filters, mqtt.FilterOptions{Filter: f})
	}
	return s
}

func publishTo(topic string, payload int, retain bool) *mqtt.Publish {
	return &mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: 2, Retain: retain, Payload: make([]byte, payload)}
}

// What a limit refuses, by the standard's reason for it.
func TestLimitsRefuseWithTheirReason(t *testing.T) {
	const ok, quota, filter, topic = 0, int(mqtt.QuotaExceeded), int(mqtt.TopicFilterInvalid), int(mqtt.TopicNameInvalid)
	for _, c := range []struct {
		name    string
		set     string
		packets []mqtt.Packet // from one client, one after the other
		v5, v3  [][]int       // answers
		reached []metrics.Limit
	}{
		{"subscriptions of a session", "mqtt.max_subscriptions_per_session=2", []mqtt.Packet{subscribeTo("a", "b", "c", "a"), subscribeTo("$share/g/d")},
			[][]int{{ok, ok, quota, ok}, {quota}}, [][]int{{ok, ok, 0x80, ok}, {0x80}}, []metrics.Limit{metrics.LimitSessionSubscriptions}},
		{"subscriptions of all", "limits.max_subscriptions=1", []mqtt.Packet{subscribeTo("a", "b")}, [][]int{{ok, quota}}, [][]int{{ok, 0x80}}, []metrics.Limit{metrics.LimitSubscriptions}},
		{"levels", "mqtt.max_topic_levels=3", []mqtt.Packet{subscribeTo("a/b/c", "+/+/+/#"), publishTo("x/y/z", 1, false), publishTo("///", 1, false)},
			[][]int{{ok, filter}, {ok}, {topic}}, [][]int{{ok, 0x80}, {ok}, {ok}}, []metrics.Limit{metrics.LimitTopicLevels}},
		{"bytes of a topic", "mqtt.max_topic_bytes=4", []mqtt.Packet{subscribeTo("abcd", "abcde"), publishTo("wxyz", 1, false), publishTo("vwxyz", 1, false)},
			[][]int{{ok, filter}, {ok}, {topic}}, [][]int{{ok, 0x80}, {ok}, {ok}}, []metrics.Limit{metrics.LimitTopicBytes}},
		{"retained messages", "limits.max_retained_messages=1", []mqtt.Packet{subscribeTo("x"), publishTo("r/1", 1, true), publishTo("r/1", 2, true), publishTo("r/2", 1, true)},
			[][]int{{ok}, {0x10}, {0x10}, {quota}}, [][]int{{ok}, {ok}, {ok}, {-1}}, []metrics.Limit{metrics.LimitRetainedMessages}},
		{"bytes of retained messages", "limits.max_retained_bytes=1000", []mqtt.Packet{publishTo("r/1", 100, true), publishTo("r/2", 1000, true)},
			[][]int{{0x10}, {quota}}, [][]int{{ok}, {-1}}, []metrics.Limit{metrics.LimitRetainedBytes}},
		{"bytes of a packet", "listeners.tcp.max_packet_bytes=100", []mqtt.Packet{publishTo("x", 50, false), publishTo("x", 100, false)},
			[][]int{{0x10}, {int(mqtt.PacketTooLarge)}}, [][]int{{ok}, {-1}}, []metrics.Limit{metrics.LimitPacketBytes}},
	} {
		for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
			t.Run(fmt.Sprintf("%s, %v", c.name, v), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newTestBroker(t, []string{c.set, "mqtt.sys_interval_seconds=0"})
					p, ack := connect(t, b, &mqtt.Connect{Version: v, ClientID: "c", CleanStart: true})
					if ack == nil || ack.Code != mqtt.Success {
						t.Fatalf("not accepted: %+v", ack)
					}
					want := c.v5
					if v < mqtt.V5 {
						want = c.v3
					}
					for i, pk := range c.packets {
						got := p.ask(t, pk)
						if matching(got) != matching(want[i]) {
							t.Errorf("packet %d: answer %#x, want %#x", i, got, want[i])
						}
					}
					for _, l := range metrics.Limits() {
						if hits := b.metrics.Hits(l); hits > 0 != slices.Contains(c.reached, l) {
							t.Errorf("%v was counted %d times", l, hits)
						}
					}
					_ = p.conn.Close()
					if err := b.Stop(context.Background()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// matching tells answers apart, but not a message that nobody gets from one that somebody does.
func matching(codes []int) string {
	return strings.ReplaceAll(fmt.Sprint(codes), "[16]", "[0]")
}

func TestLimitsOfConnectionsAndSessions(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		synctest.Test(t, func(t *testing.T) {
			refused := mqtt.QuotaExceeded
			if v < mqtt.V5 {
				refused = mqtt.ServerUnavailable // the nearest that 3.1.1 knows: return code 3
			}
			enter := func(b *Broker, id string) (*peer, mqtt.ReasonCode) {
				p, ack := connect(t, b, &mqtt.Connect{Version: v, ClientID: id, CleanStart: v == mqtt.V5, SessionExpirySeconds: 1000})
				return p, ack.Code
			}
			check := func(what string, got, want mqtt.ReasonCode) {
				t.Helper()
				if got != want {
					t.Errorf("%v, %s: %v instead of %v", v, what, got, want)
				}
			}
			var open []*peer
			b := newTestBroker(t, []string{"limits.max_connections=2", "mqtt.max_client_id_bytes=30"})
			for _, id := range []string{"a", "b"} {
				p, code := enter(b, id)
				open = append(open, p)
				check("within the limit", code, mqtt.Success)
			}
			_, code := enter(b, "c")
			check("a third connection", code, refused)
			if b.metrics.Hits(metrics.LimitConnections) != 1 {
				t.Error("not counted")
			}
			_, code = enter(b, strings.Repeat("x", 31))
			check("a long client id", code, mqtt.ClientIDNotValid)
			p, code := enter(b, "a")
			check("a takeover at the limit", code, mqtt.Success)
			_ = p.conn.Close()
			synctest.Wait()
			p, code = enter(b, "c")
			check("in the place of one that left", code, mqtt.Success)
			stop(t, b, append(open, p)...)

			b = newTestBroker(t, []string{"limits.max_sessions=1"})
			p, code = enter(b, "a")
			check("the first session", code, mqtt.Success)
			_ = p.conn.Close()
			_, code = enter(b, "b")
			check("a second session", code, refused)
			if b.metrics.Hits(metrics.LimitSessions) != 1 {
				t.Error("not counted")
			}
			p, code = enter(b, "a")
			check("the first one again", code, mqtt.Success)
			stop(t, b, p)
		})
	}
}

func stop(t *testing.T, b *Broker, peers ...*peer) {
	t.Helper()
	for _, p := range peers {
		_ = p.conn.Close()
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// Sessions that are made at the same time do not pass the limit together.
func TestManyAtOnceDoNotPassALimitTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, []string{"limits.max_sessions=10"})
		var peers []*peer
		for i := range 100 {
			p := &peer{conn: dial(t, b), version: mqtt.V5}
			if err := p.send(&mqtt.Connect{Version: mqtt.V5, ClientID: fmt.Sprint(i), SessionExpirySeconds: 100}); err != nil {
				t.Fatal(err)
			}
			peers = append(peers, p)
		}
		accepted := 0
		for _, p := range peers {
			if pk, err := p.receive(); err == nil && pk.(*mqtt.Connack).Code == mqtt.Success {
				accepted++
			}
		}
		if accepted != 10 || b.registry.len() != 10 {
			t.Errorf("%d accepted, %d sessions", accepted, b.registry.len())
		}
		stop(t, b, peers...)
	})
}
