package api

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHealthIsOpenAndTellsNothing(t *testing.T) {
	var notReady error
	b := newBench(t, func(o *Options) { o.Ready = func() error { return notReady } })
	for _, path := range []string{"status", "healthz", "readyz"} {
		if code, _ := b.do("GET", path, ""); code != http.StatusOK {
			t.Errorf("%s answered %d", path, code)
		}
	}
	notReady = errors.New("the disk is on fire")
	for path, want := range map[string]int{"status": 503, "healthz": 200, "readyz": 503} {
		if code, body := b.do("GET", path, ""); code != want || strings.Contains(body.(string), "fire") {
			t.Errorf("%s answered %d %v", path, code, body)
		}
	}
}

func TestLogin(t *testing.T) {
	b := newBench(t)
	b.fails("POST", "/login", `{"username":"admin","password":"wrong"}`, 401, "BAD_USERNAME_OR_PWD", "wrong")
	b.fails("POST", "/login", `{"username":"nobody","password":""}`, 401, "BAD_USERNAME_OR_PWD", "wrong")
	b.fails("POST", "/login", `{"username":1}`, 400, "BAD_REQUEST", "username")
	b.asAdmin()
	if code, _ := b.do("GET", "/audit", ""); code != 200 {
		t.Errorf("with a token: %d", code)
	}
	b.now = b.now.Add(tokenLife + time.Second)
	b.fails("GET", "/audit", "", 401, "BAD_TOKEN", "run out")
	b.asAdmin()
	if code, _ := b.do("POST", "/logout", ""); code != 204 {
		t.Errorf("logout: %d", code)
	}
	b.fails("GET", "/audit", "", 401, "BAD_TOKEN", "")
}

func TestLoginsThatFailAreSlowedDown(t *testing.T) {
	b := newBench(t)
	for range loginTries {
		b.fails("POST", "/login", `{"username":"admin","password":"wrong"}`, 401, "BAD_USERNAME_OR_PWD", "")
	}
	b.fails("POST", "/login", `{"username":"admin","password":"correct horse"}`, 429, "TOO_MANY_REQUESTS", "wait")
	b.now = b.now.Add(loginWindow)
	b.asAdmin()
}

func TestAnAPIKeyIsShownOnceAndWorksUntilItEnds(t *testing.T) {
	b := newBench(t).asAdmin()
	admin := b.header
	made := b.ok("POST", "/api_key", `{"name":"metrics: eu","role":"viewer","desc":"x","expired_at":"2030-01-03T00:00:00Z"}`)
	if again := b.ok("GET", "/api_key/metrics:%20eu", ""); again["api_secret"] != nil || again["api_key"] != made["api_key"] {
		t.Errorf("shown again: %v", again)
	}
	b.fails("POST", "/api_key", `{"name":"metrics: eu"}`, 409, "ALREADY_EXISTS", "metrics")
	basic := func(secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(made["api_key"].(string)+":"+secret))
	}
	b.header = basic(made["api_secret"].(string))
	b.fails("GET", "/api_key", "", 403, "FORBIDDEN", "viewer")
	b.header = basic(made["api_secret"].(string) + "x")
	b.fails("GET", "/api_key", "", 401, "BAD_API_KEY_OR_SECRET", "")
	b.header = admin
	b.ok("PUT", "/api_key/metrics:%20eu", `{"enable":false}`)
	b.header = basic(made["api_secret"].(string))
	b.fails("GET", "/api_key", "", 401, "BAD_API_KEY_OR_SECRET", "")
	b.header = admin
	if k := b.ok("PUT", "/api_key/metrics:%20eu", `{"enable":true}`); k["role"] != "viewer" || k["desc"] != "x" {
		t.Errorf("what was left out changed: %v", k)
	}
	b.header = basic(made["api_secret"].(string))
	b.fails("GET", "/api_key", "", 403, "FORBIDDEN", "viewer")
	b.now = time.Date(2030, 1, 3, 0, 0, 1, 0, time.UTC)
	b.fails("GET", "/api_key", "", 401, "BAD_API_KEY_OR_SECRET", "")
	b.asAdmin()
	for range 2 {
		if code, _ := b.do("DELETE", "/api_key/metrics:%20eu", ""); code != 204 {
			t.Errorf("delete: %d", code)
		}
	}
	b.fails("GET", "/api_key/metrics:%20eu", "", 404, "NOT_FOUND", "metrics")
}

func TestInputThatIsWrongIsNamed(t *testing.T) {
	b := newBench(t).asAdmin()
	for _, c := range []struct{ method, path, body, part string }{
		{"POST", "/api_key", ``, "empty"},
		{"POST", "/api_key", `{"name":"x"`, "ends early"},
		{"POST", "/api_key", `{"name":"x"}}`, "after the JSON"},
		{"POST", "/api_key", `{"name":"x","colour":"red"}`, `unknown field "colour"`},
		{"POST", "/api_key", `{"name":7}`, "name"},
		{"POST", "/api_key", `{}`, "name: is missing"},
		{"POST", "/api_key", `{"name":"a\u0007"}`, "control characters"},
		{"POST", "/api_key", `{"name":"x","role":"king"}`, "role"},
		{"POST", "/api_key", `{"name":"x","expired_at":"tomorrow"}`, "expired_at"},
		{"POST", "/api_key", `{"name":"x","role":"client","topics":{"publish":["a/#/b"]}}`, "topics.publish[0]"},
		{"POST", "/api_key", `{"name":"x","role":"viewer","topics":{}}`, "topics"},
		{"POST", "/users", `{"username":"u"}`, "password: is missing"},
		{"POST", "/users", `{"username":"u","password":"short"}`, "password"},
		{"POST", "/users", `{"username":"u","password":"long enough","role":"client"}`, "role"},
		{"GET", "/audit?limit=0", "", "limit"},
		{"GET", "/audit?limit=1&limit=2", "", "once"},
		{"GET", "/audit?page=x", "", "page"},
		{"GET", "/audit?colour=red", "", "colour"},
		{"GET", "/audit?limit=%zz", "", "query"},
	} {
		b.fails(c.method, c.path, c.body, 400, "BAD_REQUEST", c.part)
	}
	large := b.raw("POST", Base+"/login", "", `{"username":"`+strings.Repeat("x", 5000)+`"}`)
	if large.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", large.Code)
	}
}

func TestUsers(t *testing.T) {
	b := newBench(t).asAdmin()
	b.ok("POST", "/users", `{"username":"eve","password":"long enough","role":"publisher"}`)
	b.fails("POST", "/users", `{"username":"eve","password":"long enough"}`, 409, "ALREADY_EXISTS", "eve")
	b.fails("POST", "/users", `{"username":"admin","password":"long enough"}`, 409, "ALREADY_EXISTS", "admin")
	b.fails("PUT", "/users/admin", `{"role":"viewer"}`, 409, "CONFIGURED", "admin")
	b.fails("DELETE", "/users/admin", "", 409, "CONFIGURED", "admin")
	b.fails("PUT", "/users/bob", `{"role":"viewer"}`, 404, "USER_NOT_FOUND", "bob")
	b.header = ""
	out := b.ok("POST", "/login", `{"username":"eve","password":"long enough"}`)
	if out["role"] != "publisher" {
		t.Errorf("logged in as %v", out["role"])
	}
	b.header = "Bearer " + out["token"].(string)
	b.fails("GET", "/users", "", 403, "FORBIDDEN", "publisher")
	b.fails("POST", "/users/admin/change_pwd", `{"old_pwd":"x","new_pwd":"long enough"}`, 403, "FORBIDDEN", "others")
	b.fails("POST", "/users/eve/change_pwd", `{"old_pwd":"x","new_pwd":"long enough"}`, 400, "BAD_REQUEST", "old_pwd")
	if code, _ := b.do("POST", "/users/eve/change_pwd", `{"old_pwd":"long enough","new_pwd":"longer still"}`); code != 204 {
		t.Errorf("change_pwd: %d", code)
	}
	b.fails("GET", "/users", "", 401, "BAD_TOKEN", "") // a new password ends old tokens
	b.asAdmin()
	for range 2 {
		if code, _ := b.do("DELETE", "/users/eve", ""); code != 204 {
			t.Errorf("delete: %d", code)
		}
	}
	b.fails("POST", "/login", `{"username":"eve","password":"longer still"}`, 401, "BAD_USERNAME_OR_PWD", "")
}

func TestChangesAreAuditedWithoutTheirSecrets(t *testing.T) {
	b := newBench(t).asAdmin()
	b.ok("POST", "/users", `{"username":"eve","password":"long enough"}`)
	b.do("PUT", "/users/bob", `{}`)
	_, v := b.do("GET", "/audit?limit=10", "")
	data := v.(map[string]any)["data"].([]any)
	if len(data) != 2 {
		t.Fatalf("%v", data)
	}
	newest := data[0].(map[string]any)
	if newest["source"] != "admin" || newest["http_path"] != Base+"/users/bob" || newest["failure"] != "USER_NOT_FOUND" {
		t.Errorf("%v", newest)
	}
	if log := b.log.String(); !strings.Contains(log, "audit") || strings.Contains(log, "long enough") {
		t.Errorf("the log says: %s", log)
	}
}

func TestOtherOriginsAndOtherNamesAreRefused(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Origins = []string{"https://ops.example"}; o.Hosts = []string{"mqtt.example"} })
	send := func(method, host, origin, site string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, Base+"/login", strings.NewReader(`{"username":"admin","password":"correct horse"}`))
		r.Host = host
		for k, v := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site} {
			if v != "" {
				r.Header.Set(k, v)
			}
		}
		rec := httptest.NewRecorder()
		b.ServeHTTP(rec, r)
		return rec
	}
	for _, c := range []struct {
		host, origin, site string
		want               int
	}{
		{"127.0.0.1:18083", "", "", 200},
		{"localhost:18083", "http://localhost:18083", "same-origin", 200},
		{"[::1]:18083", "", "", 200},
		{"MQTT.example", "", "", 200},
		{"mqtt.example:18083", "https://ops.example", "cross-site", 200},
		{"evil.example", "", "", 421},
		{"localhost.evil.example", "", "", 421},
		{"127.0.0.1:18083", "https://evil.example", "cross-site", 403},
		{"127.0.0.1:18083", "https://evil.example", "", 403},
		{"127.0.0.1:18083", "null", "", 403},
	} {
		if rec := send("POST", c.host, c.origin, c.site); rec.Code != c.want {
			t.Errorf("%+v answered %d", c, rec.Code)
		} else if allowed := rec.Header().Get("Access-Control-Allow-Origin"); (allowed != "") != (c.origin == "https://ops.example") {
			t.Errorf("%+v allows %q", c, allowed)
		}
	}
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	b := newBench(t).asAdmin()
	b.fails("GET", "/nothing", "", 404, "NOT_FOUND", "/nothing")
	b.fails("PATCH", "/users", "", 405, "METHOD_NOT_ALLOWED", "GET, POST")
}
