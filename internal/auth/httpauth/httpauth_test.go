package httpauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is a request as the server got it.
type seen struct {
	method, uri, body, kind string
	headers                 http.Header
}

// server answers every request with what it is told, and remembers the last.
type server struct {
	*httptest.Server
	answer atomic.Pointer[func(http.ResponseWriter)]
	last   atomic.Pointer[seen]
	count  atomic.Int64
}

func newServer(t testing.TB) *server {
	s := new(server)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.last.Store(&seen{r.Method, r.RequestURI, string(body), r.Header.Get("Content-Type"), r.Header})
		s.count.Add(1)
		(*s.answer.Load())(w)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) says(body string) *server {
	return s.does(func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, body)
	})
}

func (s *server) does(fn func(http.ResponseWriter)) *server {
	s.answer.Store(&fn)
	return s
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

var request = &auth.Request{
	ClientID: "c/1&x", Username: "u=1", Password: []byte("p\"w"), Listener: "tcp", RemoteAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 5},
}

func authenticator(t testing.TB, o Options) *Authenticator {
	t.Helper()
	a, err := NewAuthenticator(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func TestRequestsHoldTheClientAndNothingItCouldChange(t *testing.T) {
	s := newServer(t).says(`{"result":"allow"}`)
	for _, tt := range []struct {
		name string
		o    Options
		want seen
	}{
		{"default", Options{URL: s.URL + "/auth"}, seen{"POST", "/auth", `{"clientid":"c/1\u0026x","password":"p\"w","username":"u=1"}`, "application/json", nil}},
		{"form", Options{URL: s.URL, Form: true, Body: []string{"id=${clientid}", "ip = ${peerhost}"}}, seen{"POST", "/", "id=c%2F1%26x&ip=10.0.0.7", "application/x-www-form-urlencoded", nil}},
		{"get", Options{Method: "get", URL: s.URL + "/a?k=v", Body: []string{"id=x-${clientid}-${listener}"}}, seen{"GET", "/a?k=v&id=x-c%2F1%26x-tcp", "", "", nil}},
		{"path", Options{Method: "GET", URL: s.URL + "/users/${clientid}/${username}?q=${clientid}", Body: []string{"a=b"}}, seen{"GET", "/users/c%2F1%26x/u%3D1?q=c%2F1%26x&a=b", "", "", nil}},
	} {
		a := authenticator(t, tt.o)
		if _, err := a.Authenticate(t.Context(), request); err != nil {
			t.Fatal(tt.name, err)
		}
		got := *s.last.Load()
		got.headers = nil
		if got.method != tt.want.method || got.uri != tt.want.uri || got.body != tt.want.body || got.kind != tt.want.kind {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	a := authenticator(t, Options{Method: "GET", URL: s.URL + "/users/${clientid}/x", Headers: []string{"X-Token: abc", "Host-Like:  y"}})
	for _, id := range []string{"..", ".", "a/../b", "?x=y", "#f", "é ", ""} {
		if _, err := a.Authenticate(t.Context(), &auth.Request{ClientID: id}); err != nil {
			t.Fatal(err)
		}
		uri := s.last.Load().uri
		path, _, _ := strings.Cut(uri, "?")
		if strings.Count(path, "/") != 3 || strings.Contains(path+"/", "/../") || strings.Contains(path, "/./") || !strings.HasSuffix(path, "/x") {
			t.Errorf("client id %q asks for %s", id, uri)
		}
	}
	if h := s.last.Load().headers; h.Get("X-Token") != "abc" || h.Get("Host-Like") != "y" {
		t.Errorf("headers %v", h)
	}
}

func TestAnswers(t *testing.T) {
	s := newServer(t)
	future := time.Now().Add(time.Hour).Unix()
	text, _ := json.Marshal(future)
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter)
		body   string
		want   error // nil: let in
		check  func(auth.Identity) bool
	}{
		{name: "allow", body: `{"result":"allow"}`},
		{name: "superuser", body: `{"result":"allow","is_superuser":true}`, check: func(id auth.Identity) bool { return id.Superuser }},
		{name: "expiry", body: `{"result":"allow","expire_at":` + string(text) + `}`, check: func(id auth.Identity) bool { return id.ExpiresAt.Unix() == future }},
		{name: "rules", body: `{"result":"allow","acl":[{"permission":"deny","action":"all","topic":"x"}]}`, check: func(id auth.Identity) bool {
			return id.Rules.Check(&id, auth.Access{Topic: "x"}) == auth.Deny
		}},
		{name: "no rules", body: `{"result":"allow","acl":null}`, check: func(id auth.Identity) bool { return id.Rules == nil }},
		{name: "204", answer: status(204)},
		{name: "deny", body: `{"result":"deny","is_superuser":true}`, want: mqtt.NotAuthorized},
		{name: "ignore", body: `{"result":"ignore"}`, want: auth.ErrPass},
		{name: "expired", body: `{"result":"allow","expire_at":1}`, want: mqtt.NotAuthorized},
		{name: "bad rules", body: `{"result":"allow","acl":[{"permission":"deny"}]}`, want: mqtt.ServerUnavailable},
		{name: "bad expiry", body: `{"result":"allow","expire_at":"soon"}`, want: mqtt.ServerUnavailable},
		{name: "no result", body: `{}`, want: mqtt.ServerUnavailable},
		{name: "ALLOW", body: `{"result":"ALLOW"}`, want: mqtt.ServerUnavailable},
		{name: "not JSON", body: `allow`, want: mqtt.ServerUnavailable},
		{name: "500", answer: status(500), want: mqtt.ServerUnavailable},
		{name: "404", answer: status(404), want: mqtt.ServerUnavailable},
		{name: "redirect", answer: func(w http.ResponseWriter) { w.Header().Set("Location", "/else"); w.WriteHeader(307) }, want: mqtt.ServerUnavailable},
		{name: "HTML", answer: func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `{"result":"allow"}`)
		}, want: mqtt.ServerUnavailable},
		{name: "too much", answer: func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"result":"allow","x":"`+strings.Repeat("x", maxAnswerBytes)+`"}`)
		}, want: mqtt.ServerUnavailable},
		{name: "form", answer: func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
			_, _ = io.WriteString(w, "result=allow&is_superuser=true")
		}, check: func(id auth.Identity) bool { return id.Superuser }},
	} {
		if tt.answer != nil {
			s.does(tt.answer)
		} else {
			s.says(tt.body)
		}
		id, err := authenticator(t, Options{URL: s.URL}).Authenticate(t.Context(), request)
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if tt.want != nil && (id.Superuser || id.ClientID != "") {
			t.Errorf("%s: the error comes with the identity %+v", tt.name, id)
		}
		if err == nil && (id.ClientID != request.ClientID || id.Username != request.Username || tt.check != nil && !tt.check(id)) {
			t.Errorf("%s: %+v", tt.name, id)
		}
	}
}

func TestFailuresFollowThePolicyAndAreReportedOnce(t *testing.T) {
	s := newServer(t).does(status(503))
	var reports []error
	a := authenticator(t, Options{URL: s.URL + "/?secret=hunter2", PassOnFailure: true, Report: func(err error) { reports = append(reports, err) }})
	for range 3 {
		if _, err := a.Authenticate(t.Context(), request); !errors.Is(err, auth.ErrPass) {
			t.Errorf("%v, want to pass", err)
		}
	}
	s.says(`{"result":"allow"}`)
	for range 3 {
		if _, err := a.Authenticate(t.Context(), request); err != nil {
			t.Error(err)
		}
	}
	s.Close()
	if _, err := a.Authenticate(t.Context(), request); !errors.Is(err, auth.ErrPass) {
		t.Errorf("%v, want to pass", err)
	}
	if len(reports) != 3 || reports[0] == nil || reports[1] != nil || reports[2] == nil {
		t.Errorf("reports: %v", reports)
	}
	for _, err := range reports {
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

func TestSlowServerIsNotWaitedFor(t *testing.T) {
	s := newServer(t)
	release := make(chan struct{})
	s.does(func(http.ResponseWriter) { <-release })
	a := authenticator(t, Options{URL: s.URL, Timeout: 20 * time.Millisecond, MaxConnections: 1})
	if _, err := a.Authenticate(t.Context(), request); !errors.Is(err, mqtt.ServerUnavailable) {
		t.Error(err)
	}
	close(release)
}

// What waits for a server that does not answer is bounded, and what does not get its turn is refused, whatever the
// policy: passing would let a flood decide who is asked.
func TestFloodIsRefused(t *testing.T) {
	s := newServer(t)
	release := make(chan struct{})
	s.does(func(http.ResponseWriter) { <-release })
	a := authenticator(t, Options{URL: s.URL, MaxConnections: 1, PassOnFailure: true})
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, waitingPerConnection+10)
	for range cap(results) {
		go func() { _, err := a.Authenticate(ctx, request); results <- err }()
	}
	for range cap(results) - waitingPerConnection - 1 {
		if err := <-results; !errors.Is(err, mqtt.ServerBusy) {
			t.Errorf("%v, want to be refused", err)
		}
	}
	if n := s.count.Load(); n > 1 {
		t.Errorf("%d requests at a time", n)
	}
	cancel()
	close(release)
	for range waitingPerConnection + 1 {
		if err := <-results; err == nil {
			t.Error("let in after the end")
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]Options{
		"url is not":              {URL: "ftp://x"},
		"http:// or":              {URL: "/path"},
		"no placeholder may":      {URL: "http://${clientid}/"},
		"method":                  {URL: "http://x", Method: "put"},
		"header":                  {URL: "http://x", Headers: []string{"nothing"}},
		"the form Name":           {URL: "http://x", Headers: []string{"a: b\r\nc: d"}},
		"body: \"x\"":             {URL: "http://x", Body: []string{"x"}},
		"placeholders are":        {URL: "http://x", Body: []string{"x=${pass}"}},
		"url: \"${":               {URL: "http://x/${clientid"},
		"the other way round":     {URL: "http://x", Body: []string{"x=${topic}"}},
		"of authorisation in a r": {URL: "http://x/${qos}"},
	} {
		if a, err := NewAuthenticator(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v, %v", want, a, err)
		}
	}
	if _, err := NewAuthorizer(Options{URL: "http://x", Body: []string{"p=${password}"}}); err == nil {
		t.Error("authorisation has no password")
	}
	if _, err := NewAuthenticator(Options{URL: "http://user:hunter2@[::1"}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("application/json", []byte(`{"result":"allow","is_superuser":true,"expire_at":1700000000,"acl":{"all":["#"]}}`))
	f.Add("application/x-www-form-urlencoded", []byte("result=deny"))
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		a, err := parseAnswer(kind, text)
		if err != nil {
			return
		}
		if a.result.check() != nil {
			t.Fatalf("%q was taken as %q", text, a.result)
		}
		_, _ = identity(request, &a)
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("http://h/${clientid}?x=${username}", "a/../b")
	f.Fuzz(func(t *testing.T, text, id string) {
		tmpl, err := parseTemplate(text)
		if err != nil {
			return
		}
		got := tmpl.expand(&values{clientID: id}, segment)
		if tmpl.uses(clientID) && id == "/" && strings.Count(got, "/") != strings.Count(text, "/") {
			t.Fatalf("%q in %q became %q", id, text, got)
		}
	})
}

// A redirect is not followed: it would send passwords to whoever the answer names.
func TestRedirectsAreNotFollowed(t *testing.T) {
	other := newServer(t).says(`{"result":"allow"}`)
	s := newServer(t).does(func(w http.ResponseWriter) {
		w.Header().Set("Location", other.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	if _, err := authenticator(t, Options{URL: s.URL}).Authenticate(t.Context(), request); !errors.Is(err, mqtt.ServerUnavailable) {
		t.Error(err)
	}
	if n := other.count.Load(); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}
