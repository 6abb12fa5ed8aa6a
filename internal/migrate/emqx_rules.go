package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/migrate/erl"
)

// aclRule is a rule as the broker's own store has it.
type aclRule struct {
	Permission string  `json:"permission"`
	Action     string  `json:"action"`
	Topic      string  `json:"topic"`
	QoS        []int64 `json:"qos,omitempty"`
	Retain     string  `json:"retain,omitempty"`
}

// acl takes a record of {table, who, rules}: who is 0 for all, {1, user} or {2, client}.
func (m *emqx) acl(r *erl.Term) (o outcome, err error) {
	if !r.IsTuple(3) {
		return o, fmt.Errorf("%w: rules that are not made as such", ErrExport)
	}
	subject, err := subjectOf(&r.Items[1])
	if err != nil {
		return o, err
	}
	o.what, o.verdict = strings.TrimSpace(fmt.Sprintf("%s %s", subject.Kind, subject.Who)), Taken
	var rules []aclRule
	var notes []string
	for i := range r.Items[2].Items {
		more, note, err := aclRules(&r.Items[2].Items[i])
		if err != nil {
			return o, fmt.Errorf("%s: rule %d: %w", o.what, i+1, err)
		}
		if rules = append(rules, more...); note != "" {
			notes = append(notes, fmt.Sprintf("rule %d %s", i+1, note))
		}
	}
	rules, bad := valid(subject, rules)
	if notes = append(notes, bad...); len(notes) > 0 {
		o.verdict, o.note = Changed, strings.Join(notes, "; ")
	}
	if subject.Kind == builtin.ForAll { // those of a file may come before or after them
		m.forAll = rules
		return o, nil
	}
	err = m.store(subject, rules)
	if errors.Is(err, builtin.ErrInvalid) {
		o.verdict, o.note = Unsupported, err.Error()+": all is denied to it, so that nothing is granted that was not"
		return o, m.store(subject, []aclRule{{Permission: "deny", Action: "all", Topic: "#"}})
	}
	return o, err
}

// valid leaves out rules whose topic is no filter, which match nothing there either.
func valid(subject builtin.Subject, rules []aclRule) (good []aclRule, notes []string) {
	for _, r := range rules {
		text, err := json.Marshal([]aclRule{r})
		if err == nil {
			err = builtin.CheckRules(subject, text)
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("a rule about %q is left out: it is no topic filter", r.Topic))
			continue
		}
		good = append(good, r)
	}
	return good, notes
}

// store hands the rules of a subject over.
func (m *emqx) store(subject builtin.Subject, rules []aclRule) error {
	if len(rules) == 0 {
		return nil
	}
	text, err := json.Marshal(rules)
	if err != nil {
		return err
	}
	m.rules++
	if err := builtin.CheckRules(subject, text); err != nil {
		return err
	}
	return m.sink.Rules(builtin.Rules{Subject: subject, Rules: text})
}

func subjectOf(who *erl.Term) (builtin.Subject, error) {
	switch {
	case who.Kind == erl.Int && who.Int == 0:
		return builtin.Subject{Kind: builtin.ForAll}, nil
	case who.IsTuple(2) && who.Items[0].Kind == erl.Int:
		kind := map[int64]builtin.Kind{1: builtin.ForUser, 2: builtin.ForClient}[who.Items[0].Int]
		if name, ok := who.Items[1].Bytes(); ok && kind != "" {
			return builtin.Subject{Kind: kind, Who: name}, nil
		}
	}
	return builtin.Subject{}, fmt.Errorf("%w: rules for nobody that is known", ErrExport)
}

// aclRules reads {permission, action, topic}, as EMQX had it until 5.7, or {permission, who, action, topic}. A rule that
// cannot be had as it is becomes narrower if it allows, and wider if it denies, so that nobody may more than before.
func aclRules(t *erl.Term) (rules []aclRule, note string, err error) {
	items := t.Items
	if t.Kind != erl.Tuple || len(items) != 3 && len(items) != 4 {
		return nil, "", fmt.Errorf("%w: it is not made as one", ErrExport)
	}
	denies := items[0].IsAtom("deny")
	if !denies && !items[0].IsAtom("allow") {
		return nil, "", fmt.Errorf("%w: it neither allows nor denies", ErrExport)
	}
	if len(items) == 4 {
		if !items[1].IsAtom("all") {
			if !denies {
				return nil, "is left out: it allows something under conditions of address, zone, listener or expression", nil
			}
			note = "denies without the conditions that it has there"
		}
		items = append(items[:1:1], items[2:]...)
	}
	rule := aclRule{Permission: items[0].Text}
	if err := rule.action(&items[1]); err != nil {
		return nil, "", err
	}
	topics := items[2:3]
	if items[2].Kind == erl.List {
		topics = items[2].Items
	}
	for i := range topics {
		text, changed, err := topicOf(&topics[i])
		if err != nil {
			return nil, "", err
		}
		if changed != "" {
			if !denies {
				note = changed + ", which is not known here, and is left out"
				continue
			}
			note = changed + ", for which + stands here"
		}
		rule.Topic = text
		rules = append(rules, rule)
	}
	return rules, note, nil
}

// action reads publish, or {publish, [{qos, [0, 1]}, {retain, all}]}.
func (r *aclRule) action(t *erl.Term) error {
	name, options := t, []erl.Term(nil)
	if t.IsTuple(2) {
		name, options = &t.Items[0], t.Items[1].Items
	}
	if r.Action = name.Text; name.Kind != erl.Atom || r.Action != "publish" && r.Action != "subscribe" && r.Action != "all" {
		return fmt.Errorf("%w: its action is none", ErrExport)
	}
	for i := range options {
		if !options[i].IsTuple(2) {
			return fmt.Errorf("%w: its action's options are none", ErrExport)
		}
		switch value := options[i].Items[1]; options[i].Items[0].Text {
		case "qos":
			r.QoS = qosOf(&value)
		case "retain":
			if r.Retain = value.Text; r.Retain == "all" || r.Action == "subscribe" {
				r.Retain = ""
			}
		}
	}
	return nil
}

// qosOf reads a list of QoS, which may be a string of such bytes. All three are no condition.
func qosOf(t *erl.Term) (list []int64) {
	for _, c := range []byte(t.Text) {
		list = append(list, int64(c))
	}
	for _, item := range t.Items {
		list = append(list, item.Int)
	}
	if len(list) == 3 {
		return nil
	}
	return list
}

// foreignPlaceholder is a placeholder that is not one here, with its level.
var foreignPlaceholder = regexp.MustCompile(`[^/]*\$\{[^}/]*\}[^/]*`)

// topicOf reads a topic, or {eq, topic}. changed says what was put in its place.
func topicOf(t *erl.Term) (text, changed string, err error) {
	prefix := ""
	if t.IsTuple(2) && t.Items[0].IsAtom("eq") {
		prefix, t = "eq ", &t.Items[1]
	}
	text, ok := t.Bytes()
	if !ok {
		return "", "", fmt.Errorf("%w: its topic is none", ErrExport)
	}
	text = foreignPlaceholder.ReplaceAllStringFunc(text, func(level string) string {
		if rest := strings.NewReplacer("${clientid}", "", "${username}", "").Replace(level); !strings.Contains(rest, "${") {
			return level
		}
		changed = "has " + level
		return "+"
	})
	return prefix + text, changed, nil
}
