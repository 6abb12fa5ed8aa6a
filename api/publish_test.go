package api

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

func TestPublishCarriesEverything(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "d"}, "t/#")
	out := b.ok("POST", "/publish", `{"topic":"t/1","payload":"aGk=","payload_encoding":"base64","qos":1,"properties":{
		"payload_format_indicator":1,"message_expiry_interval":60,"response_topic":"r","correlation_data":"c","content_type":"text/plain",
		"user_properties":{"z":"1","a":"2","z":"3"}}}`)
	if out["id"] == "" {
		t.Errorf("answered %v", out)
	}
	p := d.receive().(*mqtt.Publish)
	var user []string
	for k, v := range p.Properties.User.All() {
		user = append(user, k+"="+v)
	}
	if string(p.Topic) != "t/1" || string(p.Payload) != "hi" || p.QoS != 1 || string(p.Properties.ContentType) != "text/plain" ||
		string(p.Properties.ResponseTopic) != "r" || string(p.Properties.CorrelationData) != "c" || p.Properties.PayloadFormat != 1 ||
		p.Properties.MessageExpirySeconds == 0 || !slices.Equal(user, []string{"z=1", "a=2", "z=3"}) {
		t.Errorf("the client got %+v %v", p, user)
	}
	b.ok("POST", "/publish", `{"topic":"t/2","payload":{"a": 1},"payload_encoding":"json"}`)
	if p := d.receive().(*mqtt.Publish); string(p.Payload) != `{"a":1}` {
		t.Errorf("the client got %s", p.Payload)
	}
	b.ok("POST", "/publish", `{"topic":"t/3"}`)
	if p := d.receive().(*mqtt.Publish); len(p.Payload) != 0 {
		t.Errorf("the client got %s", p.Payload)
	}
}

func TestPublishToNobodyIsSaid(t *testing.T) {
	b := newBench(t).asAdmin()
	if code, v := b.do("POST", "/publish", `{"topic":"nobody","payload":"x"}`); code != http.StatusAccepted || v.(map[string]any)["reason_code"] != 16.0 {
		t.Errorf("answered %d %v", code, v)
	}
}

func TestABulkIsCheckedBeforeAnyOfItIsTaken(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V311, ClientID: "d"}, "t/#")
	b.fails("POST", "/publish/bulk", `[{"topic":"t/1"},{"topic":"t/+"}]`, 400, "BAD_REQUEST", "[1].topic")
	if code, v := b.do("POST", "/publish/bulk", `[{"topic":"t/2","qos":1},{"topic":"nobody"},{"topic":"t/3","qos":1}]`); code != http.StatusAccepted || len(v.([]any)) != 3 {
		t.Errorf("answered %d %v", code, v)
	}
	for _, want := range []string{"t/2", "t/3"} { // not t/1
		if p := d.receive().(*mqtt.Publish); string(p.Topic) != want {
			t.Errorf("got %s, not %s", p.Topic, want)
		}
	}
}

func TestPublishNamesWhatIsWrong(t *testing.T) {
	b := newBench(t).asAdmin()
	for body, part := range map[string]string{
		`{}`:                        "topic",
		`{"topic":"a/#"}`:           "topic",
		`{"topic":"a","qos":3}`:     "qos",
		`{"topic":"a","qos":"1"}`:   "qos",
		`{"topic":"a","payload":7}`: "payload",
		`{"topic":"a","payload":"?","payload_encoding":"base64"}`:                                     "payload",
		`{"topic":"a","payload":"x","payload_encoding":"rot13"}`:                                      "payload_encoding",
		`{"topic":"a","properties":{"payload_format_indicator":2}}`:                                   "payload_format_indicator",
		`{"topic":"a","properties":{"message_expiry_interval":-1}}`:                                   "message_expiry_interval",
		`{"topic":"a","properties":{"response_topic":"#"}}`:                                           "response_topic",
		`{"topic":"a","properties":{"content_type":"a\u0000"}}`:                                       "content_type",
		`{"topic":"a","properties":{"user_properties":{"a":1}}}`:                                      "user_properties.a",
		`{"topic":"a","properties":{"user_properties":[]}}`:                                           "user_properties",
		fmt.Sprintf(`{"topic":"a","properties":{"correlation_data":%q}}`, strings.Repeat("x", 65536)): "correlation_data",
	} {
		b.fails("POST", "/publish", body, 400, "BAD_REQUEST", part)
	}
}

func TestAnApplicationPublishesUnderItsRules(t *testing.T) {
	b := newBench(t).asAdmin()
	k := b.ok("POST", "/api_key", `{"name":"shop","role":"client","topics":{"publish":["orders/%n/#"]}}`)
	b.header = "Basic " + base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(k["api_key"], ":", k["api_secret"])))
	if code, v := b.do("POST", "/publish", `{"topic":"orders/shop/1"}`); code != http.StatusAccepted {
		t.Errorf("answered %d %v", code, v)
	}
	b.fails("POST", "/publish", `{"topic":"orders/other/1"}`, 403, "FORBIDDEN", "orders/other/1")
	b.fails("GET", "/clients", "", 403, "FORBIDDEN", "client")
}
