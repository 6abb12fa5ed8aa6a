package jwt

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// issuer counts how often its keys are asked for.
type issuer struct {
	loads atomic.Int64
	fail  atomic.Bool
	keys  atomic.Pointer[[]key]
}

func (i *issuer) load(context.Context) ([]key, error) {
	i.loads.Add(1)
	if i.fail.Load() {
		return nil, errors.New("away")
	}
	return *i.keys.Load(), nil
}

func (i *issuer) publish(ids ...string) {
	var keys []key
	for _, id := range ids {
		keys = append(keys, key{id: id, verify: []byte(secret)})
	}
	i.keys.Store(&keys)
}

func TestFetchedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, reports := new(issuer), []bool{}
		i.publish("a")
		s := newSource(i.load, time.Minute, func(err error) { reports = append(reports, err != nil) })
		s.start()
		defer s.close()
		if len(s.find(t.Context(), "a", "HS256")) != 1 {
			t.Fatal("the first token does not wait for the first keys")
		}

		// A key that is new is found at once, but nobody can have the issuer asked again and again.
		time.Sleep(unknownCooldown)
		i.publish("a", "b")
		if len(s.find(t.Context(), "b", "HS256")) != 1 || i.loads.Load() != 2 {
			t.Errorf("a new key id: %d loads", i.loads.Load())
		}
		for range 100 {
			s.find(t.Context(), "made up", "HS256")
		}
		if n := i.loads.Load(); n != 2 {
			t.Errorf("made-up key ids cause loads: %d", n)
		}

		// Failures are tried again, ever more seldom, reported once, and old keys stay.
		i.fail.Store(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := i.loads.Load(); n < 10 || n > 20 {
			t.Errorf("%d loads in ten minutes of failures", n)
		}
		if len(s.find(t.Context(), "b", "HS256")) != 1 {
			t.Error("keys are forgotten when the issuer is away")
		}
		i.fail.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(reports) != 2 || !reports[0] || reports[1] {
			t.Errorf("reports: %v, want one failure and one recovery", reports)
		}
	})
}

func TestWaitingForKeysEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(func(ctx context.Context) ([]key, error) { <-ctx.Done(); return nil, ctx.Err() }, time.Minute, func(error) {})
		s.start()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if s.find(ctx, "a", "HS256") != nil || time.Since(begin) != time.Second {
			t.Errorf("waited %v", time.Since(begin))
		}
		s.close() // cuts the load off
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("close took %v", waited)
		}
	})
}

func TestFetchIsBounded(t *testing.T) {
	var answer atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer.Load().(func(http.ResponseWriter))(w) }))
	defer server.Close()
	load := fromURL(server.Client(), server.URL)
	text := set(t, "ES256", "HS256")
	for want, a := range map[string]func(http.ResponseWriter){
		"":                func(w http.ResponseWriter) { _, _ = w.Write(text) },
		"answered 500":    func(w http.ResponseWriter) { w.WriteHeader(500) },
		"more than":       func(w http.ResponseWriter) { _, _ = w.Write([]byte(strings.Repeat(" ", maxJWKSBytes+1))) },
		"not a JSON":      func(w http.ResponseWriter) { _, _ = w.Write([]byte("hello")) },
		"no key that":     func(w http.ResponseWriter) { _, _ = w.Write(set(t, "HS256")) }, // a secret that all can read is none
		"server answered": func(w http.ResponseWriter) { w.WriteHeader(204) },
	} {
		answer.Store(a)
		keys, err := load(t.Context())
		switch {
		case want == "" && (err != nil || len(keys) != 1):
			t.Errorf("%d keys, %v", len(keys), err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("want %q, got %v", want, err)
		}
	}
	server.Client().CloseIdleConnections()
}

func TestVerifierFetchesItsKeys(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set(t, "EdDSA")) }))
	defer server.Close()
	v := newVerifier(t, Options{JWKSURL: server.URL, Client: server.Client()})
	if _, err := v.Verify(t.Context(), sign(t, "EdDSA", "EdDSA", nil), "", ""); err != nil {
		t.Error(err)
	}
	if err := v.Reload(); err != nil || len(v.Files()) != 0 {
		t.Errorf("%v, %v", err, v.Files())
	}
	server.Client().CloseIdleConnections()
}

func TestARedirectThatLeavesHTTPSIsNotFollowed(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the keys were fetched where anybody could have changed them")
	}))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer secure.Close()
	defer secure.Client().CloseIdleConnections()
	if _, err := fromURL(secure.Client(), secure.URL)(t.Context()); !errors.Is(err, errInsecure) {
		t.Errorf("%v", err)
	}
}
