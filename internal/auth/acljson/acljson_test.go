package acljson

import (
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestRules(t *testing.T) {
	id := &auth.Identity{ClientID: "c1", Username: "u1"}
	pub := func(topic string) auth.Access {
		return auth.Access{Action: auth.Publish, Topic: topic, QoS: mqtt.AtLeastOnce}
	}
	sub := func(topic string) auth.Access { return auth.Access{Action: auth.Subscribe, Topic: topic} }
	const old = `{"pub":["up/${clientid}","eq a/+"],"sub":["down/${username}/#"],"all":["both"]}`
	const list = `[
		{"permission":"deny","action":"publish","topic":"up/secret"},
		{"permission":"allow","action":"publish","topic":"up/+","qos":[0,1],"retain":false},
		{"permission":"allow","action":"all","topics":["t1","t2"],"qos":"2"},
		{"permission":"allow","action":"sub","topic":"eq d/#"}]`
	for _, tt := range []struct {
		rules string
		a     auth.Access
		want  auth.Decision
	}{
		{old, pub("up/c1"), auth.Allow}, {old, pub("up/c2"), auth.Deny}, {old, sub("up/c1"), auth.Deny}, {old, pub("a/+"), auth.Allow},
		{old, pub("a/b"), auth.Deny}, {old, sub("down/u1/#"), auth.Allow}, {old, sub("down/u1/x"), auth.Allow}, {old, sub("down/#"), auth.Partly},
		{old, pub("both"), auth.Allow}, {old, sub("both"), auth.Allow}, {old, sub("#"), auth.Partly},
		{"{}", pub("a"), auth.Deny},
		{list, pub("up/secret"), auth.Deny}, {list, pub("up/x"), auth.Allow}, {list, pub("down/x"), auth.NoMatch},
		{list, auth.Access{Action: auth.Publish, Topic: "up/x", QoS: mqtt.ExactlyOnce}, auth.NoMatch},
		{list, auth.Access{Action: auth.Publish, Topic: "up/x", Retain: true}, auth.NoMatch},
		{list, auth.Access{Action: auth.Publish, Topic: "t2", QoS: mqtt.ExactlyOnce}, auth.Allow}, {list, sub("t2"), auth.NoMatch},
		{list, sub("d/#"), auth.Allow}, {list, sub("d/x"), auth.NoMatch},
		{"[]", pub("a"), auth.NoMatch},
	} {
		a, err := Parse([]byte(tt.rules))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Check(id, tt.a); got != tt.want {
			t.Errorf("%s: %s %s is %s, want %s", tt.rules, tt.a.Action, tt.a.Topic, got, tt.want)
		}
	}
	for _, none := range []string{"", " ", "null"} {
		if a, err := Parse([]byte(none)); a != nil || err != nil {
			t.Errorf("%q: %v, %v", none, a, err)
		}
	}
}

// A rule that is not understood must not be left out: it may be the one that denies.
func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	for _, bad := range []string{
		"true", `"x"`, "7", "{", "[", `{"pub":"a"}`, `{"publish":["a"]}`, `{"pub":["a/#/b"]}`, `{"pub":[1]}`,
		`[{"action":"publish","topic":"a"}]`, `[{"permission":"maybe","action":"publish","topic":"a"}]`,
		`[{"permission":"deny","topic":"a"}]`, `[{"permission":"deny","action":"write","topic":"a"}]`,
		`[{"permission":"allow","action":"all","topic":"#","ipaddr":"10.0.0.0/8"}]`, `[{"permission":"allow","action":"all","topic":"#","retian":true}]`,
		`[{"permission":"deny","action":"all"}]`, `[{"permission":"deny","action":"all","topic":""}]`,
		`[{"permission":"deny","action":"all","topic":"a","qos":3}]`, `[{"permission":"deny","action":"all","topic":"a","qos":[]}]`,
		`[{"permission":"deny","action":"all","topic":"a","retain":"x"}]`, `[{"permission":"deny","action":"all","topics":"a"}]`,
		`{"all":["` + strings.Repeat(`a","`, maxRules) + `a"]}`,
		`[{"permission":"deny","action":"all","topics":["` + strings.Repeat(`a","`, maxRules) + `a"]}]`,
	} {
		if a, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%.60s became %v", bad, a)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"pub":["a"],"all":["eq b"]}`))
	f.Add([]byte(`[{"permission":"allow","action":"all","topic":"a/${clientid}","qos":["1",2],"retain":"all"}]`))
	id := &auth.Identity{ClientID: "c"}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := Parse(text)
		if err != nil || a == nil {
			return
		}
		for _, action := range []auth.Action{auth.Publish, auth.Subscribe, auth.Receive} {
			a.Check(id, auth.Access{Action: action, Topic: "a/c"})
		}
	})
}
