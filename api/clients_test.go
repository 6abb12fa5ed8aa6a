package api

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
)

// ids returns the values of a field in a page.
func column(v any, field string) (values []string) {
	for _, item := range v.(map[string]any)["data"].([]any) {
		values = append(values, fmt.Sprint(item.(map[string]any)[field]))
	}
	return values
}

func TestClientsAreListedFilteredAndPaged(t *testing.T) {
	b := newBench(t).asAdmin()
	for i := range 5 {
		b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: fmt.Sprintf("dev-%d", i), CleanStart: true, KeepAlive: 30})
	}
	b.connect(&mqtt.Connect{Version: mqtt.V311, ClientID: "old", HasUsername: true, Username: "eve"})
	for query, want := range map[string][]string{
		"":                                       {"dev-0", "dev-1", "dev-2", "dev-3", "dev-4", "old"},
		"?like_clientid=dev&limit=2&page=2":      {"dev-2", "dev-3"},
		"?clientid=old&clientid=dev-1":           {"dev-1", "old"},
		"?username=eve":                          {"old"},
		"?proto_ver=4":                           {"old"},
		"?clean_start=false":                     {"old"},
		"?conn_state=disconnected":               nil,
		"?ip_address=127.0.0.1&like_username=v":  {"old"},
		"?ip_address=10.0.0.1":                   nil,
		"?gte_connected_at=2100-01-01T00:00:00Z": nil,
		"?lte_created_at=4102444800&limit=1":     {"dev-0"},
	} {
		code, v := b.do("GET", "/clients"+query, "")
		if code != http.StatusOK {
			t.Fatalf("%s answered %d %v", query, code, v)
		}
		if got := column(v, "clientid"); !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", query, got, want)
		}
	}
	one := b.ok("GET", "/clients/dev-1", "")
	if one["keepalive"] != 30.0 || one["proto_ver"] != 5.0 || one["connected"] != true || one["ip_address"] != "127.0.0.1" || one["node"] != "n1" ||
		one["subscriptions_max"] != "infinity" || one["mqueue_max"] != "infinity" || one["awaiting_rel_max"] != 1024.0 {
		t.Errorf("dev-1 is %v", one)
	}
	b.fails("GET", "/clients/nobody", "", 404, "CLIENTID_NOT_FOUND", "nobody")
	for query, part := range map[string]string{
		"proto_ver=6": "proto_ver", "clean_start=maybe": "clean_start", "ip_address=localhost": "ip_address", "ip_address=10.0.0.300": "ip_address",
		"lte_connected_at=-1": "lte_connected_at", "limit=10001": "limit", "page=0": "page", "colour=red": "colour", "node=n2": "there is no node",
		"fields=clientid,colour": `"colour"`, "fields=clientid,,node": "fields", "fields=clientid,clientid": "twice", "fields=a&fields=b": "once",
		"fields=ALL": "fields", "like_clientid=a&like_clientid=b": "once", "like_clientid=%ff": "UTF-8", "clientid=a%00": "NUL",
	} {
		b.fails("GET", "/clients?"+query, "", 400, "BAD_REQUEST", part)
	}
	for _, path := range []string{"/subscriptions", "/topics"} {
		b.fails("GET", path+"?node=n2", "", 400, "BAD_REQUEST", "there is no node")
		b.ok("GET", path+"?node=n1", "")
	}
	if v := b.ok("GET", "/clients?fields=clientid,username,send_msg.dropped,disconnected_at&clientid=dev-1&node=n1", ""); !reflect.DeepEqual(v["data"],
		[]any{map[string]any{"clientid": "dev-1", "username": nil, "send_msg.dropped": 0.0}}) {
		t.Errorf("some fields: %v", v["data"])
	}
	all, every := b.ok("GET", "/clients?fields=all", ""), b.ok("GET", "/clients", "")
	if !reflect.DeepEqual(all, every) {
		t.Errorf("all fields: %v, not %v", all, every)
	}
	b.fails("GET", "/clients?conn_state=asleep", "", 400, "BAD_REQUEST", "conn_state")
	b.fails("GET", "/clients?gte_created_at=noon", "", 400, "BAD_REQUEST", "gte_created_at")
}

func TestKickedClientsAreToldAndForgotten(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "a/b c", SessionExpirySeconds: 100}, "t")
	b.connect(&mqtt.Connect{Version: mqtt.V311, ClientID: "x"})
	if code, v := b.do("DELETE", "/clients/a%2Fb%20c", ""); code != http.StatusNoContent {
		t.Fatalf("answered %d %v", code, v)
	}
	if p, ok := d.receive().(*mqtt.Disconnect); !ok || p.Code != mqtt.AdministrativeAction {
		t.Errorf("the client got %v", p)
	}
	b.fails("DELETE", "/clients/a%2Fb%20c", "", 404, "CLIENTID_NOT_FOUND", "a/b c")
	if code, v := b.do("POST", "/clients/kickout/bulk", `["x","nobody"]`); code != http.StatusNoContent {
		t.Errorf("bulk answered %d %v", code, v)
	}
	if code, v := b.do("GET", "/clients", ""); code != 200 || len(column(v, "clientid")) > 0 {
		t.Errorf("left are %v", v)
	}
}

func TestSubscriptionsAndTopicsAreListed(t *testing.T) {
	b := newBench(t).asAdmin()
	b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "a"}, "s/+/t", "$share/g/jobs/#")
	b.connect(&mqtt.Connect{Version: mqtt.V311, ClientID: "b"}, "s/1/t")
	for query, want := range map[string][]string{
		"":                    {"$share/g/jobs/#", "s/+/t", "s/1/t"},
		"?clientid=b":         {"s/1/t"},
		"?match_topic=s/1/t":  {"s/+/t", "s/1/t"},
		"?match_topic=jobs/1": {"$share/g/jobs/#"},
		"?share_group=g":      {"$share/g/jobs/#"},
		"?topic=s/%2B/t":      {"s/+/t"},
		"?qos=2":              nil,
	} {
		if _, v := b.do("GET", "/subscriptions"+query, ""); !slices.Equal(column(v, "topic"), want) {
			t.Errorf("%s: %v, not %v", query, column(v, "topic"), want)
		}
	}
	if _, v := b.do("GET", "/topics", ""); !slices.Equal(column(v, "topic"), []string{"jobs/#", "s/+/t", "s/1/t"}) {
		t.Errorf("topics: %v", v)
	}
	if code, v := b.do("GET", "/clients/a/subscriptions", ""); code != 200 || len(v.([]any)) != 2 {
		t.Errorf("of a: %d %v", code, v)
	}
	for path, want := range map[string]int{"/topics/s%2F1%2Ft": 200, "/topics/s/%2B/t": 200, "/topics/nothing": 404} {
		if rec := b.raw("GET", Base+path, b.header, ""); rec.Code != want {
			t.Errorf("%s answered %d: %s", path, rec.Code, rec.Body)
		}
	}
}

func TestAWillIsShownUntilItIsDiscarded(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "a", CleanStart: true, Will: &mqtt.Will{Topic: "gone/a", Payload: []byte("bye"), QoS: 1, Retain: true, DelaySeconds: 9}})
	b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "b", CleanStart: true})
	want := map[string]any{"topic": "gone/a", "qos": 1.0, "retain": true, "payload_size": 3.0, "delay_interval": 9.0}
	if got := b.ok("GET", "/clients/a", "")["will"]; !reflect.DeepEqual(got, want) {
		t.Errorf("the will is %v", got)
	}
	if got := b.ok("GET", "/clients/b", "")["will"]; got != nil {
		t.Errorf("without one there is %v", got)
	}
	d.send(&mqtt.Disconnect{})
	d.receive()
	if code, v := b.do("GET", "/clients/a", ""); code != 404 {
		t.Errorf("afterwards: %d %v", code, v)
	}
}

// A client's numbers are those of EMQX's resource: traffic over its connection, and what was lost.
func TestAClientsTrafficAndLossesAreCounted(t *testing.T) {
	b := newBenchWith(t, func(cfg *config.Config) {
		cfg.Auth.BuiltIn.Rules = true
	}).asAdmin()
	if code, v := b.do("POST", "/authorization/sources/built_in_database/rules/all", `{"rules":[{"topic":"no/#","permission":"deny","action":"publish"},{"topic":"#","permission":"allow","action":"all"}]}`); code != 204 {
		t.Fatalf("%d %v", code, v)
	}
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "a", CleanStart: true, SessionExpirySeconds: 100, MaximumPacketSize: 60}, "t/#")
	d.send(&mqtt.Publish{Topic: []byte("u"), Payload: []byte("0")})
	d.send(&mqtt.Publish{Topic: []byte("no/1"), QoS: 1, PacketID: 1})
	d.receive()
	d.send(&mqtt.Publish{Topic: []byte("u"), QoS: 2, PacketID: 2})
	d.receive()
	b.do("POST", "/publish", `{"topic":"t/1","payload":"x","qos":1}`)
	d.receive()
	b.do("POST", "/publish", `{"topic":"t/1","payload":"`+strings.Repeat("x", 100)+`","qos":1}`)
	d.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: 1}})
	d.send(&mqtt.Pingreq{})
	d.receive()
	v := b.ok("GET", "/clients/a", "")
	for name, want := range map[string]float64{
		"recv_msg": 3, "recv_msg.qos0": 1, "recv_msg.qos1": 1, "recv_msg.qos2": 1, "recv_msg.dropped": 1, "recv_msg.dropped.await_pubrel_timeout": 0,
		"recv_pkt": 7, "send_pkt": 6, "send_msg": 1, "send_msg.qos1": 1, "send_msg.dropped": 1, "send_msg.dropped.too_large": 1, "mqueue_dropped": 0,
	} {
		if v[name] != want {
			t.Errorf("%s is %v, not %v", name, v[name], want)
		}
	}
	for _, name := range []string{"recv_cnt", "recv_oct", "send_cnt", "send_oct"} {
		if n, _ := v[name].(float64); n < 4 {
			t.Errorf("%s is %v", name, v[name])
		}
	}
	d.send(&mqtt.Disconnect{})
	d.receive()
}
