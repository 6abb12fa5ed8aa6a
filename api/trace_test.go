package api

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestATraceIsStartedReadStoppedAndRemoved(t *testing.T) {
	b := newBench(t).asAdmin()
	made := b.ok("POST", "/trace", `{"name":"T-1","type":"topic","topic":"a/#","payload_encode":"text","end_at":"2100-01-01T00:00:00Z","start_at":"2099-12-31T23:59:00Z"}`)
	if made["status"] != "waiting" || made["topic"] != "a/#" || made["end_at"] != "2100-01-01T00:00:00Z" {
		t.Errorf("%v", made)
	}
	b.ok("POST", "/trace", `{"name":"now","type":"topic","topic":"a/#","payload_encode":"text"}`)
	b.do("POST", "/publish", `{"topic":"b","payload":"other"}`)
	b.do("POST", "/publish", `{"topic":"a/1","payload":"grüße"}`)
	var text string
	eventually(t, func() error {
		v := b.ok("GET", "/trace/now/log?bytes=100000", "")
		if text = v["items"].(string); strings.Contains(text, "dropped") {
			return nil
		}
		return fmt.Errorf("the log has no drop: %s", text)
	})
	if !strings.Contains(text, "topic=a/1") || !strings.Contains(text, "payload=grüße") || strings.Contains(text, "topic=b ") {
		t.Error(text)
	}
	var parts string
	for position := 0; ; {
		v := b.ok("GET", "/trace/now/log?bytes=7&position="+strconv.Itoa(position), "")
		if v["items"] == "" {
			break
		}
		parts += v["items"].(string)
		position = int(v["meta"].(map[string]any)["position"].(float64))
	}
	if parts != text {
		t.Errorf("in parts it is %q", parts)
	}
	stopped := b.ok("PUT", "/trace/now/stop", "")
	if stopped["name"] != "now" || stopped["enable"] != false {
		t.Errorf("%v", stopped)
	}
	_, v := b.do("GET", "/trace", "")
	if all := v.([]any); len(all) != 2 || all[1].(map[string]any)["status"] != "stopped" || all[1].(map[string]any)["log_size"].(map[string]any)["n1"] != float64(len(text)) {
		t.Errorf("%v", v)
	}
	if _, v := b.do("GET", "/trace/now/log_detail", ""); v.([]any)[0].(map[string]any)["size"] != float64(len(text)) {
		t.Errorf("%v", v)
	}
	rec := b.raw("GET", Base+"/trace/now/download", b.header, "")
	z, err := zip.NewReader(bytes.NewReader(rec.Body.Bytes()), int64(rec.Body.Len()))
	if err != nil || len(z.File) != 1 || z.File[0].Name != "now.log" {
		t.Fatalf("%v %+v", err, z)
	}
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if whole, _ := io.ReadAll(f); string(whole) != text {
		t.Errorf("the archive holds %q", whole)
	}
	for _, path := range []string{"/trace/now", "/trace/now", "/trace"} {
		if code, v := b.do("DELETE", path, ""); code != http.StatusNoContent {
			t.Errorf("%s: %d %v", path, code, v)
		}
	}
	if _, v := b.do("GET", "/trace", ""); len(v.([]any)) != 0 {
		t.Errorf("left are %v", v)
	}
}

func TestBadTracesAreRefused(t *testing.T) {
	b := newBench(t).asAdmin()
	for body, part := range map[string]string{
		`{"name":"1","type":"clientid","clientid":"c"}`:                           "name",
		`{"name":"../x","type":"clientid","clientid":"c"}`:                        "name",
		`{"name":"x","type":"ruleid","clientid":"c"}`:                             "type",
		`{"name":"x","type":"clientid"}`:                                          "clientid",
		`{"name":"x","type":"clientid","topic":"t"}`:                              "clientid",
		`{"name":"x","type":"clientid","clientid":"c","topic":"t"}`:               "topic",
		`{"name":"x","type":"topic","topic":"a/#/b"}`:                             "topic",
		`{"name":"x","type":"ip_address","ip_address":"10.0.0"}`:                  "ip_address",
		`{"name":"x","type":"topic","topic":"t","start_at":"noon"}`:               "start_at",
		`{"name":"x","type":"topic","topic":"t","end_at":"2020-01-01T00:00:00Z"}`: "end_at",
		`{"name":"x","type":"topic","topic":"t","end_at":"2199-01-01T00:00:00Z"}`: "a day",
		`{"name":"x","type":"topic","topic":"t","payload_encode":"base64"}`:       "payload_encode",
		`{"name":"x","type":"topic","topic":"t","formatter":"xml"}`:               "formatter",
		`{"name":"x","type":"topic","topic":"t","level":1}`:                       "level",
		`{"name":"x","type":"topic","topic":"t","start_at":{"a":1}}`:              "start_at",
	} {
		b.fails("POST", "/trace", body, 400, "BAD_REQUEST", part)
	}
	b.ok("POST", "/trace", `{"name":"x","type":"ip_address","ip_address":"::1","start_at":0,"formatter":"json"}`)
	b.fails("POST", "/trace", `{"name":"x","type":"topic","topic":"t"}`, 409, "ALREADY_EXISTS", "x")
	for _, path := range []string{"/stop", "/log", "/log_detail", "/download"} {
		method := "GET"
		if path == "/stop" {
			method = "PUT"
		}
		b.fails(method, "/trace/y"+path, "", 404, "NOT_FOUND", "y")
	}
	b.fails("GET", "/trace/x/log?bytes=0", "", 400, "BAD_REQUEST", "bytes")
	b.fails("GET", "/trace/x/log?node=n2", "", 400, "BAD_REQUEST", "node")
}

// The id that publishing over HTTP answers leads to what became of the message.
func TestWhatBecameOfAMessageIsAsked(t *testing.T) {
	b := newBench(t).asAdmin()
	sub := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "sub", MaximumPacketSize: 60}, "a/#")
	small := b.ok("POST", "/publish", `{"topic":"a/1","qos":1,"payload":"x"}`)["id"].(string)
	got := sub.receive().(*mqtt.Publish)
	sub.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: got.PacketID}})
	eventually(t, func() error {
		if s := b.ok("GET", "/explain/messages/"+small, "")["summary"]; s != `for 1 subscribers; sent to ["sub"]; acknowledged by ["sub"]` {
			return fmt.Errorf("its story is %v", s)
		}
		return nil
	})
	large := b.ok("POST", "/publish", `{"topic":"a/2","qos":1,"payload":"`+strings.Repeat("x", 100)+`"}`)["id"].(string)
	if s := b.ok("GET", "/explain/messages/"+large, ""); s["summary"] != `for 1 subscribers; dropped for "sub": too_large` || s["topic"] != "a/2" {
		t.Errorf("%v", s)
	}
	e := b.ok("GET", "/explain?clientid=sub&topic=a/2", "")
	if !strings.Contains(e["verdict"].(string), "(too_large)") || e["recent"].([]any)[0].(map[string]any)["reason"] != "too_large" {
		t.Errorf("%v", e)
	}
	for query, want := range map[string][]string{
		"?clientid=sub":           {large, small},
		"?topic=a/2":              {large},
		"?clientid=sub&limit=1":   {large},
		"?since=4102444800":       nil,
		"?topic=a/%2B&clientid=x": nil,
	} {
		_, v := b.do("GET", "/explain/messages"+query, "")
		if got := column(v, "id"); !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", query, got, want)
		}
	}
	_, v := b.do("GET", "/explain/events?reason=too_large", "")
	if got := column(v, "id"); !slices.Equal(got, []string{large}) {
		t.Errorf("%v", v)
	}
	b.fails("GET", "/explain/messages/123", "", 404, "NOT_FOUND", "123")
	b.fails("GET", "/explain/events?reason=bad_luck", "", 400, "BAD_REQUEST", "reason")
	b.fails("GET", "/explain/messages?topic=a/%23/b", "", 400, "BAD_REQUEST", "topic")
	b.fails("GET", "/explain/events?since=noon", "", 400, "BAD_REQUEST", "since")
}

// Metric label, log field, trace line and API value are one enum.
func TestTheContractHasEveryReasonAndKind(t *testing.T) {
	d := readContract(t)
	var reasons, kinds []any
	for _, r := range message.DropReasons() {
		reasons = append(reasons, r.String())
	}
	for _, k := range trace.Kinds() {
		kinds = append(kinds, k.String())
	}
	for name, want := range map[string][]any{"DropReason": reasons, "EventKind": kinds} {
		if got := d.at(d.root, "components", "schemas", name, "enum").([]any); !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", name, got, want)
		}
	}
}
