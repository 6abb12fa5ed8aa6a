package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
)

// ids are those of messages, as JSON.
func ids(messages []map[string]any) string {
	var all []string
	for _, m := range messages {
		all = append(all, fmt.Sprintf("%q", m["id"]))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func TestAConsumerIsMadePolledAcknowledgedAndDeleted(t *testing.T) {
	b := newBench(t).asAdmin()
	b.fails("GET", "/consumers/c", "", 404, "CONSUMER_NOT_FOUND", `"c"`)
	made := b.ok("PUT", "/consumers/c", `{"filters":["a/#"]}`)
	if made["start"] != "new" || made["ack_wait_seconds"] != 30.0 || made["max_deliver"] != 0.0 || made["owner"] != "" || made["push"] != nil {
		t.Errorf("made %v", made)
	}
	for i := range 4 {
		b.ok("POST", "/publish", fmt.Sprintf(`{"topic":"a/%d","payload":"p%d","qos":%d}`, i, i, i%3))
	}
	if empty := b.list("/consumers/c/messages?max=1&wait_seconds=0"); len(empty) != 1 || empty[0]["topic"] != "a/0" || empty[0]["deliveries"] != 1.0 {
		t.Fatalf("one: %v", empty)
	}
	var rest []map[string]any // an answer has what there is
	for page := []map[string]any{nil}; len(rest) < 3 && len(page) > 0; rest = append(rest, page...) {
		page = b.list("/consumers/c/messages?payload_encoding=base64")
	}
	if len(rest) != 3 || rest[0]["payload"] != "cDE=" {
		t.Fatalf("the rest: %v", rest)
	}
	info := b.ok("GET", "/consumers/c", "")
	if info["in_flight"] != 4.0 || info["leased"] != 4.0 || info["lag"] != 0.0 || info["delivered"] != 4.0 {
		t.Errorf("then it is %v", info)
	}
	if a := b.ok("POST", "/consumers/c/ack", `{"ids":`+ids(rest[1:])+`}`); a["count"] != 2.0 {
		t.Errorf("acknowledged %v", a)
	}
	if a := b.ok("POST", "/consumers/c/ack", `{"ids":`+ids(rest[1:])+`}`); a["count"] != 0.0 || len(a["unknown"].([]any)) != 2 {
		t.Errorf("acknowledged again %v", a)
	}
	b.ok("POST", "/consumers/c/nack", `{"ids":`+ids(rest[:1])+`}`)
	if again := b.list("/consumers/c/messages?wait_seconds=0"); len(again) != 1 || again[0]["id"] != rest[0]["id"] || again[0]["deliveries"] != 2.0 {
		t.Errorf("again: %v", again)
	}
	b.ok("POST", "/consumers/c/nack", `{"ids":`+ids(rest[:1])+`,"delay_seconds":60}`)
	if early := b.list("/consumers/c/messages?wait_seconds=0"); len(early) != 0 {
		t.Errorf("early: %v", early)
	}
	if all := b.list("/consumers"); len(all) != 1 || all[0]["redelivered"] != 1.0 {
		t.Errorf("listed: %v", all)
	}
	for range 2 {
		if code, v := b.do("DELETE", "/consumers/c", ""); code != 204 {
			t.Errorf("delete answered %d %v", code, v)
		}
	}
	b.fails("POST", "/consumers/c/ack", `{"ids":["1-0"]}`, 404, "CONSUMER_NOT_FOUND", `"c"`)
}

// uncounted are consumers that only say what they are told.
type uncounted struct {
	others // Consumers is a method, too
	t      *testing.T
}

type others = Consumers

func (u uncounted) Consumer(context.Context, string) (broker.ConsumerInfo, error) {
	u.t.Error("the lag was counted, which may read megabytes of the log")
	return broker.ConsumerInfo{}, nil
}

func (u uncounted) ConsumerConfig(string) (broker.ConsumerConfig, error) {
	return broker.ConsumerConfig{Filters: []string{"a/#"}}, nil
}

func (u uncounted) Poll(context.Context, string, int, int, time.Duration) ([]broker.Leased, error) {
	return nil, nil
}

func (u uncounted) Acknowledge(context.Context, string, []message.Position) ([]message.Position, error) {
	return nil, nil
}

func TestAskingAndAcknowledgingCountNoLag(t *testing.T) {
	c := &consumers{broker: uncounted{t: t}}
	for _, do := range []struct {
		request string
		handle  func(http.ResponseWriter, *http.Request) error
	}{{"/?wait_seconds=0", c.messages}, {"/", c.ack}} {
		r := httptest.NewRequest("POST", do.request, strings.NewReader(`{"ids":["1-0"]}`))
		r.Header.Set("Content-Type", "application/json")
		r.SetPathValue("name", "c")
		r = r.WithContext(context.WithValue(r.Context(), principalKey{}, Principal{Name: "admin", Role: Administrator}))
		if err := do.handle(httptest.NewRecorder(), r); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatIsWrongWithAConsumerIsNamed(t *testing.T) {
	b := newBenchWith(t, func(c *config.Config) { c.Consumers.Max = 1 }).asAdmin()
	for body, part := range map[string]string{
		`{}`:                                                                            "filters",
		`{"filters":["a/#/b"]}`:                                                         "filters[0]",
		`{"filters":["$share/g/a"]}`:                                                    "filters[0]",
		`{"filters":["$queue/s"]}`:                                                      "filters[0]",
		`{"filters":["a","a"]}`:                                                         "filters[1]",
		`{"filters":["a"],"name":"d"}`:                                                  "name",
		`{"filters":["a"],"start":"soon"}`:                                              "start",
		`{"filters":["a"],"start":{}}`:                                                  "start",
		`{"filters":["a"],"colour":1}`:                                                  "colour",
		`{"filters":["a"],"max_deliver":-1}`:                                            "max_deliver",
		`{"filters":["a"],"ack_wait_seconds":0}`:                                        "ack_wait_seconds",
		`{"filters":["a"],"ack_wait_seconds":99999}`:                                    "ack_wait_seconds",
		`{"filters":["a"],"ack_wait_seconds":"1"}`:                                      "ack_wait_seconds",
		`{"filters":["a"],"idle_expiry_seconds":-1}`:                                    "idle_expiry_seconds",
		`{"filters":["a"],"dead_letter_topic":"d"}`:                                     "max_deliver",
		`{"filters":["a"],"max_deliver":1,"dead_letter_topic":"d/#"}`:                   "dead_letter_topic",
		`{"filters":["a"],"max_deliver":1,"dead_letter_topic":"a"}`:                     "dead_letter_topic",
		`{"filters":["a"],"max_deliver":1,"dead_letter_topic":"$SYS/x"}`:                "dead_letter_topic",
		`{"filters":["a"],"push":{}}`:                                                   "push.url",
		`{"filters":["a"],"push":{"url":"ftp://h"}}`:                                    "push.url",
		`{"filters":["a"],"push":{"url":"http://u:p@h"}}`:                               "push.url",
		`{"filters":["a"],"push":{"url":"http://h","concurrency":0}}`:                   "push.concurrency",
		`{"filters":["a"],"push":{"url":"http://h","timeout_seconds":0}}`:               "push.timeout_seconds",
		`{"filters":["a"],"ack_wait_seconds":9,"push":{"url":"http://h"}}`:              "push.timeout_seconds",
		`{"filters":["a"],"push":{"url":"http://h","headers":{"a b":"c"}}}`:             "push.headers.a b",
		`{"filters":["a"],"push":{"url":"http://h","headers":{"x":"a\r\nb"}}}`:          "push.headers.x",
		`{"filters":["a"],"push":{"url":"http://h","headers":{"host":"x"}}}`:            "push.headers.host",
		`{"filters":["a"],"push":{"url":"http://h","headers":{"barid-signature":"x"}}}`: "push.headers.barid-signature",
		`{"filters":["a"],"push":{"url":"http://h","secret":7}}`:                        "push.secret",
	} {
		b.fails("PUT", "/consumers/c", body, 400, "BAD_REQUEST", part)
	}
	b.fails("PUT", "/consumers/a%20b", `{"filters":["a"]}`, 400, "BAD_REQUEST", "name")
	b.fails("PUT", "/consumers/c", `{"filters":["a"],"push":{"url":"http://169.254.169.254/latest"}}`, 403, "FORBIDDEN", "push.url")
	b.ok("PUT", "/consumers/c", `{"filters":["a"],"start":1769860800}`)
	b.fails("PUT", "/consumers/d", `{"filters":["a"]}`, 503, "LIMIT_REACHED", "consumers.max")
	for path, part := range map[string]string{"?max=0": "max", "?max=1001": "max", "?wait_seconds=61": "wait_seconds", "?payload_encoding=x": "payload_encoding", "?x=1": "x"} {
		b.fails("GET", "/consumers/c/messages"+path, "", 400, "BAD_REQUEST", part)
	}
	for body, part := range map[string]string{`{"ids":[]}`: "ids", `{}`: "ids", `{"ids":["x"]}`: "ids[0]", `{"ids":["1-0"],"x":1}`: "x", `{"ids":"1-0"}`: "ids"} {
		b.fails("POST", "/consumers/c/ack", body, 400, "BAD_REQUEST", part)
		b.fails("POST", "/consumers/c/nack", body, 400, "BAD_REQUEST", part)
	}
	b.fails("POST", "/consumers/c/nack", `{"ids":["1-0"],"delay_seconds":-1}`, 400, "BAD_REQUEST", "delay_seconds")
}

func TestAnApplicationConsumesUnderItsRules(t *testing.T) {
	b := newBench(t).as("shop", `{"consume":["orders/%n/#"],"publish":["dead/shop"]}`)
	shop := b.header
	b.ok("PUT", "/consumers/mine", `{"filters":["orders/shop/#"],"max_deliver":3,"dead_letter_topic":"dead/shop"}`)
	b.fails("PUT", "/consumers/mine", `{"filters":["orders/shop/#"],"max_deliver":3,"dead_letter_topic":"dead/other"}`, 403, "FORBIDDEN", "dead/other")
	b.fails("PUT", "/consumers/all", `{"filters":["orders/#"]}`, 403, "FORBIDDEN", "orders/#")
	b.fails("PUT", "/consumers/push", `{"filters":["orders/shop/1"],"push":{"url":"http://127.0.0.1:1"}}`, 403, "FORBIDDEN", "push_allow")
	b.asAdmin()
	b.ok("PUT", "/consumers/all", `{"filters":["orders/#"]}`)
	b.ok("PUT", "/consumers/given", `{"filters":["orders/shop/1"]}`)
	b.ok("POST", "/publish", `{"topic":"orders/shop/1","payload":"x"}`)
	b.header = shop
	if seen := b.list("/consumers"); len(seen) != 2 || seen[0]["name"] != "given" || seen[1]["owner"] != "shop" {
		t.Errorf("it sees %v", seen)
	}
	if got := b.list("/consumers/given/messages?wait_seconds=0"); len(got) != 1 {
		t.Errorf("of an administrator's: %v", got)
	}
	b.fails("GET", "/consumers/all", "", 403, "FORBIDDEN", "orders/#")
	b.fails("GET", "/consumers/all/messages?wait_seconds=0", "", 403, "FORBIDDEN", "orders/#")
	b.fails("POST", "/consumers/all/ack", `{"ids":["1-0"]}`, 403, "FORBIDDEN", "orders/#")
	b.fails("DELETE", "/consumers/given", "", 403, "FORBIDDEN", "did not make")
	b.fails("PUT", "/consumers/given", `{"filters":["orders/shop/1"]}`, 403, "FORBIDDEN", "did not make")
	// A rule that is taken away counts at once.
	b.asAdmin()
	b.ok("PUT", "/api_key/shop", `{"role":"client","topics":{"consume":["other"]}}`)
	b.header = shop
	b.fails("GET", "/consumers/mine/messages?wait_seconds=0", "", 403, "FORBIDDEN", "orders/shop/#")
}
