package auth

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/barid-mqtt/barid/mqtt"
)

func rulesOf(t *rapid.T, name string) RuleList {
	var list RuleList
	for i := range rapid.IntRange(0, 5).Draw(t, name) {
		topic, err := Literal(filterOf(t, fmt.Sprint(name, i)))
		if err != nil {
			t.Fatal(err)
		}
		r := Rule{Allow: rapid.Bool().Draw(t, "allow"), Publish: rapid.Bool().Draw(t, "publish"), Subscribe: rapid.Bool().Draw(t, "subscribe"), Topic: topic, Place: i + 1}
		if rapid.Bool().Draw(t, "qos") {
			r.QoS = SetOfQoS(1)
		}
		list = append(list, r)
	}
	return list
}

// An explanation that says something else than what is done would be worse than none.
func TestExplainDecidesAsCheckDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := &Identity{ClientID: "c", Superuser: rapid.Bool().Draw(t, "superuser")}
		if rapid.Bool().Draw(t, "own") {
			id.Rules = rulesOf(t, "own rules")
		}
		var sources []Authorizer
		for range rapid.IntRange(0, 3).Draw(t, "sources") {
			sources = append(sources, rulesOf(t, "rules"))
		}
		p := NewPermissions(sources, rapid.Bool().Draw(t, "no match"))
		a := Access{Action: Action(rapid.IntRange(0, 2).Draw(t, "action")), Topic: filterOf(t, "topic"), QoS: mqtt.QoS(rapid.IntRange(0, 2).Draw(t, "QoS"))}
		if a.Action != Subscribe {
			a.Topic = strings.NewReplacer("+", "a", "#", "b").Replace(a.Topic)
		}
		want, _ := p.Check(id, a)
		got, grounds := p.Explain(id, a)
		if got != want || len(grounds) == 0 {
			t.Fatalf("%+v: Check says %v, Explain %v by %+v", a, want, got, grounds)
		}
		if last := grounds[len(grounds)-1]; got == Allow && last.Decision != Allow || got == Deny && last.Decision != Deny {
			t.Fatalf("%+v is answered %v, and the last ground is %+v", a, got, last)
		}
	})
}

func TestRulesAreReadable(t *testing.T) {
	topic, _ := Literal("a/+")
	for want, r := range map[string]Rule{
		"allow publish and subscribe a/+":                 {Allow: true, Publish: true, Subscribe: true, Topic: topic},
		"deny publish exactly a/+ with QoS 0, 2 retained": {Publish: true, Exact: true, Topic: topic, QoS: SetOfQoS(0, 2), Retain: OnlyRetained},
		"allow subscribe a/+":                             {Allow: true, Subscribe: true, Topic: topic},
	} {
		if got := r.String(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
