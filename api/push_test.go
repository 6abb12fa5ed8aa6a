package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// got is a request that a hook got.
type got struct {
	header http.Header
	body   []byte
	topic  string
}

// hook is a server that messages are pushed to. answer gets the number of the request, from 0.
func hook(t *testing.T, answer func(n int64, w http.ResponseWriter)) (url string, requests chan got) {
	requests = make(chan got, 1000)
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m struct{ Topic string }
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		requests <- got{r.Header, body, m.Topic}
		answer(n.Add(1)-1, w)
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

func receive(t *testing.T, requests chan got) got {
	t.Helper()
	select {
	case g := <-requests:
		return g
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was pushed")
		return got{}
	}
}

func TestAPushIsSignedAndAcknowledgedByItsAnswer(t *testing.T) {
	b := newBench(t).asAdmin()
	url, requests := hook(t, func(int64, http.ResponseWriter) {})
	made := b.ok("PUT", "/consumers/c", `{"filters":["a/#"],"push":{"url":"`+url+`","headers":{"authorization":"Bearer hush"}}}`)
	secret, _ := made["push"].(map[string]any)["secret"].(string)
	if len(secret) < 40 {
		t.Errorf("the secret is %q", secret)
	}
	t.Cleanup(func() { _ = b.Close(t.Context()) })
	b.ok("POST", "/publish", `{"topic":"a/1","payload":"x","qos":1}`)
	g := receive(t, requests)
	stamp := g.header.Get("Barid-Timestamp")
	if want := sign(secret, stamp, g.body); stamp == "" || g.header.Get("Barid-Signature") != want {
		t.Errorf("the signature is %s, not %s", g.header.Get("Barid-Signature"), want)
	}
	if g.header.Get("Authorization") != "Bearer hush" || g.header.Get("Barid-Consumer") != "c" || g.header.Get("Barid-Deliveries") != "1" ||
		g.header.Get("Barid-Message-Id") == "" || g.topic != "a/1" {
		t.Errorf("the request is %v %s", g.header, g.body)
	}
	b.eventually("it is acknowledged", func() bool {
		i := b.ok("GET", "/consumers/c", "")
		if text, _ := json.Marshal(i); strings.Contains(string(text), "hush") || strings.Contains(string(text), secret) {
			t.Fatalf("secrets are shown: %s", text)
		}
		return i["acknowledged"] == 1.0 && i["in_flight"] == 0.0
	})
	b.fails("GET", "/consumers/c/messages", "", 409, "PUSH_CONSUMER", "c")
	// Changed without a secret it keeps the one it has.
	again := b.ok("PUT", "/consumers/c", `{"filters":["a/#"],"push":{"url":"`+url+`"}}`)
	if _, shown := again["push"].(map[string]any)["secret"]; shown {
		t.Errorf("shown again: %v", again)
	}
	b.ok("POST", "/publish", `{"topic":"a/2","qos":1}`)
	g = receive(t, requests)
	if g.header.Get("Barid-Signature") != sign(secret, g.header.Get("Barid-Timestamp"), g.body) {
		t.Error("the secret has changed")
	}
}

func TestAPushThatFailsIsTriedAgainInOrderAndThenGoesToItsTopic(t *testing.T) {
	b := newBench(t).asAdmin()
	t.Cleanup(func() { _ = b.Close(t.Context()) })
	url, requests := hook(t, func(n int64, w http.ResponseWriter) {
		if n < 2 {
			http.Redirect(w, httptest.NewRequest("GET", "/", nil), "/elsewhere", http.StatusFound) // is no 2xx, and is not followed
		}
	})
	b.ok("PUT", "/consumers/dead", `{"filters":["dead"]}`)
	b.ok("PUT", "/consumers/c", `{"filters":["a/#"],"max_deliver":2,"dead_letter_topic":"dead","push":{"url":"`+url+`"}}`)
	for _, topic := range []string{"a/1", "a/2", "a/3"} {
		b.ok("POST", "/publish", `{"topic":"`+topic+`","qos":1}`)
	}
	for _, want := range []string{"a/1", "a/1", "a/2", "a/3"} {
		if g := receive(t, requests); g.topic != want {
			t.Errorf("pushed %s, not %s", g.topic, want)
		}
	}
	dead := b.list("/consumers/dead/messages?wait_seconds=20")
	if len(dead) != 1 || dead[0]["properties"].(map[string]any)["user_properties"].(map[string]any)["dead-letter-topic"] != "a/1" {
		t.Errorf("dead: %v", dead)
	}
}

func TestWhatWasAcceptedAsTheServerEndsIsAcknowledged(t *testing.T) {
	b := newBench(t).asAdmin()
	url, requests := hook(t, func(int64, http.ResponseWriter) {
		<-b.ctx.Done() // the server is closing
	})
	b.ok("PUT", "/consumers/c", `{"filters":["a"],"push":{"url":"`+url+`"}}`)
	b.ok("POST", "/publish", `{"topic":"a","qos":1}`)
	receive(t, requests)
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if i, err := b.broker.Consumer(t.Context(), "c"); err != nil || i.InFlight != 0 || i.Counters.Acknowledged != 1 {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestADeletedConsumerPushesNoMore(t *testing.T) {
	b := newBench(t).asAdmin()
	url, requests := hook(t, func(int64, http.ResponseWriter) {})
	b.ok("PUT", "/consumers/c", `{"filters":["a"],"push":{"url":"`+url+`","concurrency":4}}`)
	b.do("DELETE", "/consumers/c", "")
	b.do("POST", "/publish", `{"topic":"a","qos":1}`)
	if err := b.Close(t.Context()); err != nil { // joins what pushes
		t.Error(err)
	}
	if len(requests) > 0 {
		t.Error("it was pushed")
	}
}

func TestConsumersPushWhereTheyMay(t *testing.T) {
	for _, c := range []struct {
		allow   string
		address string
		ok      bool
	}{
		{"", "127.0.0.1:80", true},
		{"", "10.1.2.3:80", true},
		{"", "8.8.8.8:443", true},
		{"", "169.254.169.254:80", false},
		{"", "[fe80::1%eth0]:80", false},
		{"", "[::ffff:169.254.169.254]:80", false},
		{"", "0.0.0.0:80", false},
		{"", "[::]:80", false},
		{"", "224.0.0.1:80", false},
		{"10.0.0.0/8", "10.1.2.3:80", true},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]:80", true},
		{"10.0.0.0/8", "127.0.0.1:80", false},
		{"10.0.0.0/8", "8.8.8.8:443", false},
		{"8.8.8.8", "8.8.8.8:443", true},
		{"169.254.0.0/16", "169.254.1.1:80", true},
		{"hooks.example", "8.8.8.8:443", false}, // by its name only
	} {
		p := &pushing{}
		if c.allow != "" {
			p.allow = []string{c.allow}
		}
		if err := p.checkAddress(c.address); (err == nil) != c.ok {
			t.Errorf("with %q, %s: %v", c.allow, c.address, err)
		}
	}
	// The address counts, whatever name leads there.
	b := newBench(t, func(o *Options) { o.PushAllow = []string{"10.0.0.0/8"} }).asAdmin()
	t.Cleanup(func() { _ = b.Close(t.Context()) })
	url, requests := hook(t, func(int64, http.ResponseWriter) {})
	b.fails("PUT", "/consumers/c", `{"filters":["a"],"push":{"url":"`+url+`"}}`, 403, "FORBIDDEN", "push_allow")
	b.ok("PUT", "/consumers/c", `{"filters":["a"],"max_deliver":1,"push":{"url":"`+strings.Replace(url, "127.0.0.1", "localhost", 1)+`"}}`)
	b.do("POST", "/publish", `{"topic":"a","qos":1}`)
	b.eventually("the log says so", func() bool { return strings.Contains(b.log.String(), "push_allow") })
	if len(requests) > 0 {
		t.Error("it was pushed")
	}
}

func TestPushesBackOff(t *testing.T) {
	for deliveries, want := range map[uint32]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 10: 5 * time.Minute, 4_000_000_000: 5 * time.Minute} {
		least, most := time.Hour, time.Duration(0)
		for range 1000 {
			d := backoff(deliveries)
			least, most = min(least, d), max(most, d)
		}
		if least < want/2 || most > want+want/2 || most-least < want/2 {
			t.Errorf("after %d deliveries from %v to %v", deliveries, least, most)
		}
	}
}

func TestAnApplicationThatLosesItsRuleIsPushedNothing(t *testing.T) {
	b := newBench(t, func(o *Options) { o.PushAllow = []string{"127.0.0.0/8"} }).as("shop", `{"consume":["a"]}`)
	t.Cleanup(func() { _ = b.Close(t.Context()) })
	url, requests := hook(t, func(int64, http.ResponseWriter) {})
	b.ok("PUT", "/consumers/c", `{"filters":["a"],"max_deliver":1,"push":{"url":"`+url+`"}}`)
	b.asAdmin()
	b.ok("POST", "/publish", `{"topic":"a","qos":1}`)
	receive(t, requests)
	b.ok("PUT", "/api_key/shop", `{"enable":false}`)
	b.ok("POST", "/publish", `{"topic":"a","qos":1}`)
	b.eventually("the log says so", func() bool { return strings.Contains(b.log.String(), "not what it was") })
	if len(requests) > 0 {
		t.Error("it was pushed")
	}
}

// eventually waits for something that another goroutine does.
func (b *bench) eventually(what string, is func() bool) {
	b.t.Helper()
	for until := time.Now().Add(10 * time.Second); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(until) {
			b.t.Fatalf("waited in vain: %s; the log: %s", what, b.log.String())
		}
	}
}
