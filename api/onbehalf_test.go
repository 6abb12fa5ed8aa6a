package api

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestClientsAreSubscribedOnTheirBehalf(t *testing.T) {
	b := newBench(t).asAdmin()
	b.do("POST", "/publish", `{"topic":"a/kept","payload":"r","retain":true}`)
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "c", SessionExpirySeconds: 100})
	if got := b.ok("POST", "/clients/c/subscribe", `{"topic":"a/#","qos":1,"rap":1}`); got["topic"] != "a/#" || got["qos"] != 1.0 || got["rap"] != 1.0 || got["clientid"] != "c" {
		t.Errorf("answered %v", got)
	}
	if p, ok := d.receive().(*mqtt.Publish); !ok || string(p.Topic) != "a/kept" || !p.Retain {
		t.Errorf("of the retained messages the client got %v", p)
	}
	b.ok("POST", "/publish", `{"topic":"a/1","payload":"x","qos":1}`)
	if p, ok := d.receive().(*mqtt.Publish); !ok || string(p.Topic) != "a/1" || p.QoS != 1 {
		t.Errorf("the client got %v", p)
	}
	code, v := b.do("POST", "/clients/c/subscribe/bulk", `[{"topic":"b"},{"topic":"$share/g/c","qos":2}]`)
	if list, ok := v.([]any); code != 200 || !ok || len(list) != 2 || list[1].(map[string]any)["topic"] != "$share/g/c" {
		t.Errorf("answered %d %v", code, v)
	}
	for range 2 {
		if code, v := b.do("POST", "/clients/c/unsubscribe", `{"topic":"a/#"}`); code != http.StatusNoContent {
			t.Errorf("answered %d %v", code, v)
		}
	}
	if code, v := b.do("POST", "/clients/c/unsubscribe/bulk", `[{"topic":"b"},{"topic":"never"}]`); code != http.StatusNoContent {
		t.Errorf("answered %d %v", code, v)
	}
	if _, v := b.do("GET", "/subscriptions", ""); !slices.Equal(column(v, "topic"), []string{"$share/g/c"}) {
		t.Errorf("left are %v", v)
	}
	if !d.ping() {
		t.Error("the connection did not go on")
	}
}

// A client's own SUBSCRIBE and one on its behalf at the same time both come into force.
func TestSubscribingAtTheSameTime(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "c", SessionExpirySeconds: 100})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			b.raw("POST", Base+"/clients/c/subscribe", b.header, fmt.Sprintf(`{"topic":"api/%d"}`, i))
		}
	}()
	for i := range 50 {
		d.send(&mqtt.Subscribe{PacketID: uint16(i + 1), Filters: []mqtt.FilterOptions{{Filter: fmt.Sprintf("own/%d", i)}}})
	}
	for range 50 {
		if _, ok := d.receive().(*mqtt.Suback); !ok {
			t.Fatal("no SUBACK")
		}
	}
	<-done
	if v := b.ok("GET", "/clients/c", ""); v["subscriptions_cnt"] != 100.0 {
		t.Errorf("the client has %v", v["subscriptions_cnt"])
	}
	for _, topic := range []string{"api/49", "own/49"} {
		b.ok("POST", "/publish", `{"topic":"`+topic+`"}`)
		if p, ok := d.receive().(*mqtt.Publish); !ok || string(p.Topic) != topic {
			t.Errorf("%s: the client got %v", topic, p)
		}
	}
}

func TestWhatCannotBeSubscribedToChangesNothing(t *testing.T) {
	b := newBenchWith(t, func(c *config.Config) { c.Auth.BuiltIn.Rules = true; c.MQTT.MaxSubscriptionsPerSession = 1 }).asAdmin()
	b.do("POST", rulesBase+"/all", `{"rules":[{"permission":"allow","action":"all","topic":"ok/#"}]}`)
	b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "c"})
	for body, part := range map[string]string{
		`{"topic":"a/#/b"}`: "topic", `{}`: "topic: is missing", `{"topic":"ok/1","qos":3}`: "qos", `{"topic":"ok/1","nl":2}`: "nl", `{"topic":"ok/1","rh":-1}`: "rh",
		`{"topic":"ok/1","rap":9}`: "rap",
	} {
		b.fails("POST", "/clients/c/subscribe", body, 400, "BAD_REQUEST", part)
	}
	b.fails("POST", "/clients/c/subscribe", `{"topic":"secret"}`, 400, "NOT_AUTHORIZED", "topic")
	b.fails("POST", "/clients/c/subscribe/bulk", `[{"topic":"ok/1"},{"topic":"secret"}]`, 400, "NOT_AUTHORIZED", "[1].topic")
	b.fails("POST", "/clients/c/unsubscribe", `{"topic":"a/#/b"}`, 400, "BAD_REQUEST", "topic")
	if v := b.ok("GET", "/clients/c", ""); v["subscriptions_cnt"] != 0.0 {
		t.Errorf("the client has %v", v["subscriptions_cnt"])
	}
	b.ok("POST", "/clients/c/subscribe", `{"topic":"ok/1"}`)
	b.fails("POST", "/clients/c/subscribe", `{"topic":"ok/2"}`, 409, "QUOTA_EXCEEDED", "topic")
	b.fails("POST", "/clients/nobody/subscribe", `{"topic":"ok/1"}`, 404, "CLIENTID_NOT_FOUND", "nobody")
}

func TestAClientThatIsAwayIsNotSubscribed(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "c", SessionExpirySeconds: 100})
	_ = d.c.Close()
	eventually(t, func() error {
		if v := b.ok("GET", "/clients/c", ""); v["connected"] != false {
			return fmt.Errorf("%v", v)
		}
		return nil
	})
	b.fails("POST", "/clients/c/subscribe", `{"topic":"t"}`, 409, "CLIENT_SHUTDOWN", "not connected")
	b.fails("POST", "/clients/c/unsubscribe", `{"topic":"t"}`, 409, "CLIENT_SHUTDOWN", "not connected")
}

func TestMessagesOnTheirWayAreShown(t *testing.T) {
	b := newBench(t).asAdmin()
	b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "c", SessionExpirySeconds: 100, ReceiveMaximum: 2}, "t/#")
	for i := range 10 {
		b.ok("POST", "/publish", fmt.Sprintf(`{"topic":"t/%d","payload":"p%d","qos":1,"clientid":"from"}`, i, i))
	}
	var flight any
	eventually(t, func() error {
		_, flight = b.do("GET", "/clients/c/inflight_messages?payload=plain", "")
		if got := column(flight, "topic"); !slices.Equal(got, []string{"t/0", "t/1"}) {
			return fmt.Errorf("in flight are %v", got)
		}
		return nil
	})
	if m := flight.(map[string]any)["data"].([]any)[0].(map[string]any); m["payload"] != "p0" || m["from_clientid"] != "from" || m["packet_id"] != 1.0 || m["payload_encoding"] != "plain" {
		t.Errorf("the first is %v", m)
	}
	eventually(t, func() error { // the tail brings them in its own time
		if _, v := b.do("GET", "/clients/c/mqueue_messages", ""); len(column(v, "topic")) != 8 {
			return fmt.Errorf("queued are %v", column(v, "topic"))
		}
		return nil
	})
	_, v := b.do("GET", "/clients/c/mqueue_messages?limit=3", "")
	if !slices.Equal(column(v, "topic"), []string{"t/2", "t/3", "t/4"}) || !slices.Equal(column(v, "payload")[:1], []string{"cDI="}) {
		t.Errorf("queued are %v", v)
	}
	position := v.(map[string]any)["meta"].(map[string]any)["position"].(string)
	if _, v = b.do("GET", "/clients/c/mqueue_messages?payload=none&position="+position, ""); !slices.Equal(column(v, "topic"), []string{"t/5", "t/6", "t/7", "t/8", "t/9"}) {
		t.Errorf("from %s on: %v", position, v)
	}
	if _, v = b.do("GET", "/clients/c/mqueue_messages?max_payload_bytes=3", ""); !slices.Equal(column(v, "topic"), []string{"t/2"}) {
		t.Errorf("of three bytes: %v", v)
	}
	b.fails("GET", "/clients/c/mqueue_messages?position=x", "", 400, "BAD_REQUEST", "position")
	b.fails("GET", "/clients/nobody/mqueue_messages", "", 404, "CLIENTID_NOT_FOUND", "nobody")
	b.fails("GET", "/clients/nobody/inflight_messages", "", 404, "CLIENTID_NOT_FOUND", "nobody")
}

// For a session that is away, the queue is in the log.
func TestMessagesOfASleepingSessionAreShown(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "c", SessionExpirySeconds: 100}, "t/#")
	_ = d.c.Close()
	eventually(t, func() error {
		if v := b.ok("GET", "/clients/c", ""); v["connected"] != false {
			return fmt.Errorf("%v", v)
		}
		return nil
	})
	for i := range 5 {
		b.ok("POST", "/publish", fmt.Sprintf(`{"topic":"t/%d","qos":1}`, i))
		b.do("POST", "/publish", fmt.Sprintf(`{"topic":"other/%d","qos":1}`, i))
	}
	_, v := b.do("GET", "/clients/c/mqueue_messages?limit=4", "")
	if !slices.Equal(column(v, "topic"), []string{"t/0", "t/1", "t/2", "t/3"}) || v.(map[string]any)["meta"].(map[string]any)["hasnext"] != true {
		t.Errorf("queued are %v", v)
	}
}
