package api

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
)

// as logs an application in, with rules of its own.
func (b *bench) as(name, rules string) *bench {
	b.t.Helper()
	b.asAdmin()
	k := b.ok("POST", "/api_key", fmt.Sprintf(`{"name":%q,"role":"client","topics":%s}`, name, rules))
	b.header = "Basic " + base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(k["api_key"], ":", k["api_secret"])))
	return b
}

// list returns the objects of a page.
func (b *bench) list(path string) (all []map[string]any) {
	b.t.Helper()
	for _, v := range b.ok("GET", path, "")["data"].([]any) {
		all = append(all, v.(map[string]any))
	}
	return all
}

func TestAStreamIsDeclaredReadAndTakenAway(t *testing.T) {
	b := newBench(t).asAdmin()
	b.fails("GET", "/streams/s", "", 404, "STREAM_NOT_FOUND", `"s"`)
	made := b.ok("PUT", "/streams/s", `{"filters":["a/#","b"],"keep_seconds":3600}`)
	if made["source"] != "local" || made["keep_seconds"] != 3600.0 || made["last_value"] != false {
		t.Errorf("made %v", made)
	}
	for i := range 5 {
		b.ok("POST", "/publish", fmt.Sprintf(`{"topic":"a/%d","payload":"p%d","qos":%d}`, i, i, i%3))
	}
	page := b.ok("GET", "/history?stream=s&limit=2", "")
	if data := page["data"].([]any); len(data) != 2 || page["complete"] != true || page["end"] != false {
		t.Fatalf("the first page is %v", page)
	}
	next := b.ok("GET", "/history?stream=s&from="+page["next"].(string), "")
	if data := next["data"].([]any); len(data) != 3 || data[0].(map[string]any)["topic"] != "a/2" || next["end"] != true || next["complete"] != true {
		t.Errorf("the second page is %v", next)
	}
	if narrow := b.ok("GET", "/history?filter=a/1&filter=a/3", ""); len(narrow["data"].([]any)) != 2 || narrow["complete"] != true {
		t.Errorf("the stream has all of these: %v", narrow)
	}
	if outside := b.ok("GET", "/history?filter=%23", ""); outside["complete"] != false {
		t.Errorf("nothing has all messages: %v", outside)
	}
	if all := b.list("/streams"); len(all) != 1 || all[0]["name"] != "s" {
		t.Errorf("listed: %v", all)
	}
	for range 2 {
		if code, v := b.do("DELETE", "/streams/s", ""); code != 204 {
			t.Errorf("delete answered %d %v", code, v)
		}
	}
	b.fails("GET", "/history?stream=s", "", 404, "STREAM_NOT_FOUND", `"s"`)
	b.ok("PUT", "/streams/s", `{"filters":["a/#"]}`)
	if again := b.ok("GET", "/history?stream=s", ""); len(again["data"].([]any)) != 0 {
		t.Errorf("the old history is there: %v", again)
	}
}

func TestAStreamThatIsReadStays(t *testing.T) {
	b := newBench(t).asAdmin()
	b.ok("PUT", "/streams/s", `{"filters":["a"]}`)
	reader := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "r"}, "$stream/s")
	b.fails("DELETE", "/streams/s", "", 409, "IN_USE", "$stream/s")
	reader.send(&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"$stream/s"}})
	reader.receive()
	worker := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "w"}, "$queue/s")
	b.fails("DELETE", "/streams/s", "", 409, "IN_USE", "$queue/s")
	worker.send(&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"$queue/s"}})
	worker.receive()
	if code, v := b.do("DELETE", "/streams/s", ""); code != 204 {
		t.Errorf("delete answered %d %v", code, v)
	}
	// A queue of a stream that comes later begins with that.
	b.ok("PUT", "/streams/s", `{"filters":["a"]}`)
	b.ok("POST", "/publish", `{"topic":"a","payload":"new"}`)
	worker = b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "w2"}, "$queue/s")
	if p := worker.receive().(*mqtt.Publish); string(p.Payload) != "new" {
		t.Errorf("the queue gives %s", p.Payload)
	}
}

func TestWhatIsWrongWithAStreamIsNamed(t *testing.T) {
	b := newBenchWith(t, func(c *config.Config) {
		c.Streams["fixed"] = config.Stream{Filters: []string{"f"}}
		c.Limits.MaxStreams = 2
	}).asAdmin()
	for body, part := range map[string]string{
		`{}`:                                   "filters",
		`{"filters":[]}`:                       "filters",
		`{"filters":["a/#/b"]}`:                "filters[0]",
		`{"filters":["a","a"]}`:                "filters[1]",
		`{"filters":["$share/g/a"]}`:           "filters[0]",
		`{"filters":["$queue/a"]}`:             "filters[0]",
		`{"filters":"a"}`:                      "filters",
		`{"filters":["a"],"keep_seconds":-1}`:  "keep_seconds",
		`{"filters":["a"],"keep_seconds":1.5}`: "keep_seconds",
		`{"filters":["a"],"keep_bytes":-1}`:    "keep_bytes",
		`{"filters":["a"],"name":"t"}`:         "name",
		`{"filters":["a"],"colour":"red"}`:     "colour",
	} {
		b.fails("PUT", "/streams/s", body, 400, "BAD_REQUEST", part)
	}
	b.fails("PUT", "/streams/S", `{"filters":["a"]}`, 400, "BAD_REQUEST", "name")
	b.fails("PUT", "/streams/"+strings.Repeat("s", 129), `{"filters":["a"]}`, 400, "BAD_REQUEST", "name")
	for query, part := range map[string]string{
		"":                                     "filter",
		"?filter=a/%23/b":                      "filter[0]",
		"?stream=fixed&from=yesterday":         "from",
		"?stream=fixed&from=latest":            "from",
		"?stream=fixed&since=soon":             "since",
		"?stream=fixed&limit=0":                "limit",
		"?stream=fixed&payload_encoding=rot13": "payload_encoding",
		"?stream=fixed&from=2026-01-31T12:00:00Z&since=1": "from",
	} {
		b.fails("GET", "/history"+query, "", 400, "BAD_REQUEST", part)
	}
	b.fails("PUT", "/streams/fixed", `{"filters":["a"]}`, 409, "CONFIGURED", "streams.fixed")
	b.fails("DELETE", "/streams/fixed", "", 409, "CONFIGURED", "streams.fixed")
	b.ok("PUT", "/streams/s", `{"filters":["a"]}`)
	b.ok("PUT", "/streams/s", `{"filters":["b"]}`) // a change is no more
	b.fails("PUT", "/streams/t", `{"filters":["a"]}`, 503, "LIMIT_REACHED", "limits.max_streams")
}

func TestPayloadsComeInTheEncodingThatIsAsked(t *testing.T) {
	b := newBench(t).asAdmin()
	b.ok("PUT", "/streams/s", `{"filters":["a"]}`)
	for _, body := range []string{`{"topic":"a","payload":"text"}`, `{"topic":"a","payload":"/w==","payload_encoding":"base64"}`, `{"topic":"a","payload":{"x": 1},"payload_encoding":"json"}`} {
		b.ok("POST", "/publish", body)
	}
	for as, want := range map[string]string{
		"":       `[text plain /w== base64 {"x":1} plain]`,
		"plain":  `[text plain /w== base64 {"x":1} plain]`,
		"text":   `[text plain /w== base64 {"x":1} plain]`,
		"base64": `[dGV4dA== base64 /w== base64 eyJ4IjoxfQ== base64]`,
		"json":   `[text plain /w== base64 map[x:1] json]`,
	} {
		path := "/history?stream=s"
		if as != "" {
			path += "&payload_encoding=" + as
		}
		var got []any
		for _, m := range b.list(path) {
			got = append(got, m["payload"], m["payload_encoding"])
		}
		if fmt.Sprint(got) != want {
			t.Errorf("as %q: %v, not %s", as, got, want)
		}
	}
}

func TestHistoryShowsEveryProperty(t *testing.T) {
	b := newBench(t).asAdmin()
	b.ok("PUT", "/streams/s", `{"filters":["a"]}`)
	b.ok("POST", "/publish", `{"topic":"a","payload":"x","qos":1,"retain":true,"clientid":"me","properties":{"payload_format_indicator":1,
		"message_expiry_interval":60,"response_topic":"r","correlation_data":"c","content_type":"t","user_properties":{"z":"1","a":"2","z":"3"}}}`)
	rec := b.raw("GET", Base+"/history?stream=s", b.header, "")
	for _, part := range []string{`"payload_format_indicator":1`, `"message_expiry_interval":60`, `"response_topic":"r"`, `"correlation_data":"c"`,
		`"content_type":"t"`, `"user_properties":{"z":"1","a":"2","z":"3"}`, `"retain":true`, `"qos":1`, `"from_clientid":"me"`} {
		if !strings.Contains(rec.Body.String(), part) {
			t.Errorf("%s is not in %s", part, rec.Body)
		}
	}
}

func TestAnApplicationReadsHistoryUnderItsRules(t *testing.T) {
	b := newBench(t).asAdmin()
	b.ok("PUT", "/streams/s", `{"filters":["orders/#"]}`)
	b.as("shop", `{"consume":["orders/%n/#"]}`)
	b.ok("GET", "/history?stream=s&filter=orders/shop/1", "")
	b.fails("GET", "/history?stream=s", "", 403, "FORBIDDEN", "orders/#")
	b.fails("GET", "/history?filter=orders/other", "", 403, "FORBIDDEN", "orders/other")
	b.fails("GET", "/streams", "", 403, "FORBIDDEN", "client")
}
