package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A name that somebody points at this machine is refused, however it is written.
func TestNamesOfOthersAreRefused(t *testing.T) {
	for _, c := range []struct {
		hosts    []string
		loopback bool
		host     string
		ok       bool
	}{
		{nil, true, "localhost", true}, {nil, true, "LOCALHOST:18083", true}, {nil, true, "localhost.", true}, {nil, true, "x.localhost:1", true},
		{nil, true, "127.0.0.1", true}, {nil, true, "[::1]:18083", true}, {nil, true, "[::1]", true}, {nil, true, "::1", true}, {nil, true, "[fe80::1%25lo]:1", true},
		{nil, true, "evil.example", false}, {nil, true, "evil.example.", false}, {nil, true, "EVIL.example:18083", false}, {nil, true, "localhost.evil.example", false},
		{nil, true, "127.0.0.1.evil.example", false}, {nil, true, "evil.example:80@localhost", false}, {nil, true, "localhost@evil.example", false},
		{nil, true, "evillocalhost", false}, {nil, true, "[localhost].evil.example", false}, {nil, true, "0x7f000001", false},
		{nil, false, "mqtt.example", true}, // anybody may reach it: there is nothing to rebind to
		{[]string{"mqtt.example"}, false, "mqtt.example:18083", true}, {[]string{"mqtt.example"}, false, "MQTT.EXAMPLE.", true},
		{[]string{"mqtt.example"}, false, "evil.example", false}, {[]string{"mqtt.example"}, false, "mqtt.example.evil", false},
		{[]string{"mqtt.example"}, true, "10.0.0.1", true},
	} {
		s := &Server{opts: Options{Hosts: c.hosts, LoopbackOnly: c.loopback}}
		if s.knowsHost(c.host) != c.ok {
			t.Errorf("hosts %q, loopback %v: %q is known: %v", c.hosts, c.loopback, c.host, !c.ok)
		}
	}
}

// What a page of another origin may not do, it is told as everything is told here.
func TestOriginsOfOthersChangeNothing(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Origins = []string{"https://ops.example"} }).asAdmin()
	for _, c := range []struct {
		method, origin, site string
		status               int
		allowed              bool
	}{
		{"DELETE", "null", "", 403, false}, {"DELETE", "https://evil.example", "cross-site", 403, false}, {"DELETE", "https://ops.example.evil", "", 403, false},
		{"DELETE", "http://ops.example", "", 403, false}, {"DELETE", "HTTPS://OPS.EXAMPLE", "", 403, false}, {"DELETE", "", "same-site", 403, false},
		{"DELETE", "https://ops.example", "cross-site", 204, true}, {"DELETE", "http://localhost", "", 204, false}, {"DELETE", "", "none", 204, false},
		{"GET", "https://evil.example", "cross-site", 200, false}, // it cannot read the answer
		{"GET", "https://ops.example", "cross-site", 200, true}, {"OPTIONS", "https://evil.example", "cross-site", 405, false}, {"OPTIONS", "https://ops.example", "cross-site", 204, true},
	} {
		path := Base + "/banned"
		r := httptest.NewRequest(c.method, path, nil)
		r.Host = "localhost"
		r.Header.Set("Authorization", b.header)
		for name, v := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		if c.method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", "DELETE")
		}
		rec := httptest.NewRecorder()
		b.ServeHTTP(rec, r)
		if got := rec.Header().Get("Access-Control-Allow-Origin"); rec.Code != c.status || (got == c.origin && got != "") != c.allowed || got == "*" {
			t.Errorf("%+v answered %d, allowing %q", c, rec.Code, got)
		}
		var p Problem
		if rec.Code == http.StatusForbidden && (json.Unmarshal(rec.Body.Bytes(), &p) != nil || p.Code != "CROSS_ORIGIN") {
			t.Errorf("%+v was told %s", c, rec.Body)
		}
		if rec.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%+v: credentials of browsers are allowed", c)
		}
	}
}

// Many guesses at a time are no more than one after the other.
func TestGuessesAtOneTimeAreCountedBeforeTheyAreMade(t *testing.T) {
	b := newBench(t)
	var tried atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if rec := b.raw("POST", Base+"/login", "", `{"username":"admin","password":"wrong"}`); rec.Code != http.StatusTooManyRequests {
				tried.Add(1)
			}
		})
	}
	all.Wait()
	if tried.Load() != loginTries {
		t.Errorf("%d guesses were made", tried.Load())
	}
}

func TestWhoseTriesAreCountedTogether(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1": "192.0.2.1", "[::ffff:192.0.2.1]:1": "192.0.2.1", "[2001:db8::1]:1": "2001:db8::/64", "[2001:db8::ffff:2]:9": "2001:db8::/64",
		"[2001:db8:0:1::1]:1": "2001:db8:0:1::/64", "[fe80::1%lo]:1": "fe80::/64", "@": "@",
	} {
		if got := peerOf(remote); got != want {
			t.Errorf("%s counts as %s", remote, got)
		}
	}
}

// Yesterday's changes are there after a restart, and the ring does not grow.
func TestTheAuditLogOutlivesTheProcess(t *testing.T) {
	docs := &memory{docs: map[string][]byte{}}
	b := newBench(t, func(o *Options) { o.Documents = docs }).asAdmin()
	for i := range 5 {
		b.do("PUT", fmt.Sprintf("/users/nobody%d", i), `{}`)
	}
	b.ok("POST", "/users", `{"username":"eve","password":"long enough"}`)
	b.audit.close()
	b.closed.Do(func() {})
	b.do("DELETE", "/users/eve", "") // too late to be kept, and harmless
	again := newBench(t, func(o *Options) { o.Documents = docs; o.Now = func() time.Time { return b.now.Add(time.Hour) } }).asAdmin()
	again.ok("POST", "/users", `{"username":"bob","password":"long enough"}`)
	_, v := again.do("GET", "/audit?limit=2", "")
	data := v.(map[string]any)["data"].([]any)
	if len(data) != 2 || data[0].(map[string]any)["created_at"] != "2030-01-02T04:04:05Z" || data[1].(map[string]any)["created_at"] != "2030-01-02T03:04:05Z" ||
		v.(map[string]any)["meta"].(map[string]any)["count"] != 7.0 {
		t.Errorf("after a restart: %v", v)
	}
	if _, v := again.do("GET", "/audit?operation_result=failure&source=admin&lte_created_at=2030-01-02T03:30:00Z", ""); len(v.(map[string]any)["data"].([]any)) != 5 {
		t.Errorf("failures: %v", v)
	}
}

func TestTheAuditLogIsBounded(t *testing.T) {
	docs := &memory{docs: map[string][]byte{}}
	b := newBench(t, func(o *Options) { o.Documents = docs })
	for i := range auditEntries + 50 {
		b.audit.note(Principal{Name: "n"}, httptest.NewRequest("PUT", fmt.Sprintf("/%d", i), nil), nil)
		if i%100 == 0 {
			eventually(t, func() error {
				if n := len(b.audit.queue); n > auditQueue/2 {
					return fmt.Errorf("%d wait", n)
				}
				return nil
			})
		}
	}
	b.audit.close()
	b.closed.Do(func() {})
	if n := len(docs.docs); n != auditEntries || len(b.audit.entries) != auditEntries {
		t.Errorf("%d are kept, %d in memory", n, len(b.audit.entries))
	}
	again, err := newAudit(time.Now, b.Server.log, docs)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if first, last := again.entries[0].Path, again.entries[auditEntries-1].Path; first != "/50" || last != fmt.Sprintf("/%d", auditEntries+49) || strings.Contains(first, "x") {
		t.Errorf("read back from %s to %s", first, last)
	}
}
