// Package acljson reads the rules that a token or an authentication server gives for one client, in the two shapes that
// EMQX knows:
//
//	{"pub": ["a/b"], "sub": ["a/#"], "all": ["eq a/+"]}
//	[{"permission": "allow", "action": "publish", "topic": "a/b", "qos": [1], "retain": false}, …]
//
// The first grants what it lists and denies everything else. In the second the first rule that matches decides, and what
// none matches is left to other rules. In both, "eq " before a topic takes away the meaning of its wildcards, and
// ${clientid} and ${username} stand for the client's own.
package acljson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

// maxRules bounds what one client may bring with it.
const maxRules = 1024

// Parse reads rules. null, and nothing at all, is no rules: the Authorizer is nil. What is not understood is an error
// rather than a rule that is left out: leaving out a denial would grant something.
func Parse(text []byte) (auth.Authorizer, error) {
	text = []byte(strings.TrimSpace(string(text)))
	switch {
	case len(text) == 0 || string(text) == "null":
		return nil, nil
	case text[0] == '{':
		return parseGrants(text)
	case text[0] == '[':
		return parseRules(text)
	}
	return nil, errors.New("rules are a list, or an object with pub, sub and all")
}

// grants deny what they do not list.
type grants struct{ auth.RuleList }

// Check implements auth.Authorizer.
func (g grants) Check(id *auth.Identity, a auth.Access) auth.Decision {
	if d := g.RuleList.Check(id, a); d != auth.NoMatch {
		return d
	}
	return auth.Deny
}

// Explain implements auth.Explainer.
func (g grants) Explain(id *auth.Identity, a auth.Access) (auth.Decision, []auth.Ground) {
	d, grounds := g.RuleList.Explain(id, a)
	if d != auth.NoMatch {
		return d, grounds
	}
	return auth.Deny, []auth.Ground{{Source: "own_rules", Decision: auth.Deny, Rule: "what the client's pub, sub and all do not list is denied"}}
}

func parseGrants(text []byte) (auth.Authorizer, error) {
	var lists map[string][]string
	if err := json.Unmarshal(text, &lists); err != nil {
		return nil, errors.New("pub, sub and all are lists of topics")
	}
	var g grants
	for _, kind := range []struct {
		name               string
		publish, subscribe bool
	}{{"pub", true, false}, {"sub", false, true}, {"all", true, true}} {
		for _, topic := range lists[kind.name] {
			r := auth.Rule{Allow: true, Publish: kind.publish, Subscribe: kind.subscribe}
			if err := setTopic(&r, topic); err != nil {
				return nil, err
			}
			r.Place = len(g.RuleList) + 1
			g.RuleList = append(g.RuleList, r)
		}
		delete(lists, kind.name)
	}
	for name := range lists {
		return nil, fmt.Errorf("unknown list %q: use pub, sub and all", name)
	}
	if len(g.RuleList) > maxRules {
		return nil, fmt.Errorf("%d rules; at most %d are taken", len(g.RuleList), maxRules)
	}
	return g, nil
}

// rule is one rule of the second shape.
type rule struct {
	Permission string          `json:"permission"`
	Action     string          `json:"action"`
	Topic      *string         `json:"topic"`
	Topics     []string        `json:"topics"`
	QoS        json.RawMessage `json:"qos"`
	Retain     json.RawMessage `json:"retain"`
}

func parseRules(text []byte) (auth.Authorizer, error) {
	var raw []rule
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a condition that is not understood would make the rule wider
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("rules are objects with permission, action and topic, and may have qos and retain: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	var list auth.RuleList
	for i := range raw {
		more, err := raw[i].rules()
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		for n := range more {
			more[n].Place = i + 1
		}
		if list = append(list, more...); len(list) > maxRules {
			return nil, fmt.Errorf("more than %d rules", maxRules)
		}
	}
	return list, nil
}

// rules returns one rule for each of the topics.
func (r *rule) rules() ([]auth.Rule, error) {
	var common auth.Rule
	switch r.Permission {
	case "allow", "deny":
		common.Allow = r.Permission == "allow"
	default:
		return nil, fmt.Errorf("permission %q: it is allow or deny", r.Permission)
	}
	switch r.Action {
	case "publish", "pub":
		common.Publish = true
	case "subscribe", "sub":
		common.Subscribe = true
	case "all":
		common.Publish, common.Subscribe = true, true
	default:
		return nil, fmt.Errorf("action %q: it is publish, subscribe or all", r.Action)
	}
	var err error
	if common.QoS, err = parseQoS(r.QoS); err != nil {
		return nil, err
	}
	if common.Retain, err = parseRetain(r.Retain); err != nil {
		return nil, err
	}
	topics := r.Topics
	if r.Topic != nil {
		topics = append(topics, *r.Topic)
	}
	if len(topics) == 0 {
		return nil, errors.New("it has no topic")
	}
	rules := make([]auth.Rule, len(topics))
	for i, topic := range topics {
		rules[i] = common
		if err := setTopic(&rules[i], topic); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

func setTopic(r *auth.Rule, topic string) (err error) {
	topic, r.Exact = strings.CutPrefix(topic, "eq ")
	r.Topic, err = auth.ParseTemplate(topic)
	return err
}

// parseQoS reads one QoS or a list of them, as numbers or texts.
func parseQoS(text json.RawMessage) (set auth.QoSSet, err error) {
	if len(text) == 0 || string(text) == "null" {
		return 0, nil
	}
	items := []json.RawMessage{text}
	if text[0] == '[' {
		if err := json.Unmarshal(text, &items); err != nil || len(items) == 0 {
			return 0, errors.New("qos is 0, 1 or 2, or a list of them")
		}
	}
	for _, item := range items {
		switch strings.Trim(string(item), `"`) {
		case "0":
			set |= auth.SetOfQoS(mqtt.AtMostOnce)
		case "1":
			set |= auth.SetOfQoS(mqtt.AtLeastOnce)
		case "2":
			set |= auth.SetOfQoS(mqtt.ExactlyOnce)
		default:
			return 0, errors.New("qos is 0, 1 or 2, or a list of them")
		}
	}
	return set, nil
}

func parseRetain(text json.RawMessage) (auth.RetainCondition, error) {
	switch strings.Trim(string(text), `"`) {
	case "", "null", "all":
		return auth.AnyRetain, nil
	case "true", "1":
		return auth.OnlyRetained, nil
	case "false", "0":
		return auth.OnlyNotRetained, nil
	}
	return 0, errors.New("retain is true, false or all")
}
