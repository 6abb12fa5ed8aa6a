package httpauth

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

func authorizer(t testing.TB, o Options) *Authorizer {
	t.Helper()
	z, err := NewAuthorizer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(z.Close)
	return z
}

func TestAuthorisationIsAskedOnceAndRemembered(t *testing.T) {
	s := newServer(t)
	z := authorizer(t, Options{URL: s.URL})
	id := &auth.Identity{ClientID: "c", Username: "u"}
	for _, tt := range []struct {
		body string
		want auth.Decision
	}{{`{"result":"allow"}`, auth.Allow}, {`{"result":"deny"}`, auth.Deny}, {`{"result":"ignore"}`, auth.NoMatch}, {`{"result":"?"}`, auth.Deny}} {
		s.says(tt.body)
		a := auth.Access{Action: auth.Subscribe, Topic: tt.body}
		if d := z.Check(id, a); d != auth.Unknown {
			t.Errorf("before it is asked: %s", d)
		}
		before := s.count.Load()
		z.Ask(t.Context(), id, a)
		for range 3 {
			if d := z.Check(id, a); d != tt.want {
				t.Errorf("%s: %s, want %s", tt.body, d, tt.want)
			}
		}
		if n := s.count.Load() - before; n != 1 {
			t.Errorf("%s: asked %d times", tt.body, n)
		}
		if d := z.Check(&auth.Identity{ClientID: "c2", Username: "u"}, a); d != auth.Unknown {
			t.Errorf("another client got the answer %s", d)
		}
	}
	want := `{"action":"subscribe","clientid":"c","peerhost":"","topic":"{\"result\":\"?\"}","username":"u"}`
	if got := s.last.Load().body; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	if d := z.Check(id, auth.Access{Action: auth.Receive, Topic: "x"}); d != auth.NoMatch {
		t.Errorf("a delivery: %s", d)
	}
	z.Forget()
	if d := z.Check(id, auth.Access{Action: auth.Subscribe, Topic: `{"result":"allow"}`}); d != auth.Unknown {
		t.Errorf("after Forget: %s", d)
	}
}

// An answer is shared by all requests that say the same, and by no others.
func TestAnswersDependOnWhatIsAsked(t *testing.T) {
	s := newServer(t).says(`{"result":"allow"}`)
	id := &auth.Identity{ClientID: "c"}
	a := auth.Access{Action: auth.Publish, Topic: "t"}
	other := auth.Access{Action: auth.Publish, Topic: "t", QoS: mqtt.AtLeastOnce, Retain: true}
	z := authorizer(t, Options{URL: s.URL})
	z.Ask(t.Context(), id, a)
	if d := z.Check(id, other); d != auth.Allow {
		t.Errorf("QoS and RETAIN are not asked about, and matter: %s", d)
	}
	for _, body := range []string{"x=${qos}", "x=${retain}"} {
		z := authorizer(t, Options{URL: s.URL, Body: []string{body}})
		z.Ask(t.Context(), id, a)
		if d := z.Check(id, other); d != auth.Unknown {
			t.Errorf("%s: %s", body, d)
		}
	}
	z = authorizer(t, Options{URL: s.URL, Body: []string{"x=${listener}"}})
	z.Ask(t.Context(), id, a)
	if d := z.Check(&auth.Identity{ClientID: "c", Listener: "tls"}, a); d != auth.Unknown {
		t.Errorf("listener: %s", d)
	}
}

func TestFailuresAreDeniedForAShortTime(t *testing.T) {
	s := newServer(t).does(status(500))
	id, a := &auth.Identity{ClientID: "c"}, auth.Access{Topic: "t"}
	z := authorizer(t, Options{URL: s.URL})
	z.Ask(t.Context(), id, a)
	if d := z.Check(id, a); d != auth.Deny {
		t.Errorf("a failure: %s", d)
	}
	pass := authorizer(t, Options{URL: s.URL, PassOnFailure: true})
	pass.Ask(t.Context(), id, a)
	if d := pass.Check(id, a); d != auth.NoMatch {
		t.Errorf("a failure that passes: %s", d)
	}
}

func TestCacheForgetsAndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache{limit: 50}
		c.put(key{topic: "t"}, auth.Allow, time.Now().Add(time.Minute))
		time.Sleep(time.Minute - 1)
		if d := c.get(key{topic: "t"}, time.Now()); d != auth.Allow {
			t.Errorf("within its time: %s", d)
		}
		time.Sleep(time.Nanosecond)
		if d := c.get(key{topic: "t"}, time.Now()); d != auth.Unknown {
			t.Errorf("after its time: %s", d)
		}
		until := time.Now().Add(time.Hour)
		for i := range 1000 {
			k := key{topic: strconv.Itoa(i)}
			c.put(k, auth.Allow, until)
			if c.get(k, time.Now()) != auth.Allow {
				t.Fatal("what was just asked is forgotten")
			}
			if n := len(c.young) + len(c.old); n > 100 {
				t.Fatalf("%d entries", n)
			}
		}
		long := string(make([]byte, 60_000))
		for i := range 100 {
			c.put(key{topic: long + strconv.Itoa(i)}, auth.Allow, until)
		}
		if n := len(c.young) + len(c.old); n > 5 {
			t.Errorf("%d entries of 60 kB", n)
		}
	})
}

func TestCheckDoesNotAllocate(t *testing.T) {
	s := newServer(t).says(`{"result":"allow"}`)
	z := authorizer(t, Options{URL: s.URL})
	id, a := &auth.Identity{ClientID: "c", RemoteAddr: request.RemoteAddr}, auth.Access{Topic: "t"}
	z.Ask(t.Context(), id, a)
	if n := testing.AllocsPerRun(100, func() { z.Check(id, a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
