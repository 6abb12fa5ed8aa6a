package auth

import (
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/mqtt"
)

// Ground is what one source said about an access, and by which rule.
type Ground struct {
	Source   string // as the configuration names it: acl_file, built_in.rules, http_acl; or own_rules, superuser, no_match
	Decision Decision
	Rule     string // as people read it
	Where    string // file:line, or whose rule it is and which; empty: there is no such place
}

// Explainer is an Authorizer that can say why it decides as it does.
type Explainer interface {
	Authorizer
	// Explain answers as Check does, with what the answer is made of. It takes its time, and belongs on no hot path.
	Explain(id *Identity, a Access) (Decision, []Ground)
}

// Explain says what Check answers, and by what.
func (p *Permissions) Explain(id *Identity, a Access) (Decision, []Ground) {
	switch {
	case id.Superuser:
		return Allow, []Ground{{Source: "superuser", Decision: Allow, Rule: "a superuser may do everything"}}
	case p.Open(id):
		return Allow, []Ground{{Source: "auth", Decision: Allow, Rule: "no source of rules is configured, so everybody may do everything"}}
	}
	d := NoMatch
	var grounds []Ground
	for i := -1; i < len(p.sources); i++ {
		source := id.Rules
		if i >= 0 {
			source = p.sources[i]
		}
		if source == nil {
			continue
		}
		said, why := explain(source, id, a)
		grounds = append(grounds, why...)
		if d = d.Then(func() Decision { return said }); d != NoMatch && d != Narrow {
			return d, grounds
		}
	}
	rule := "no rule is about this, and auth.no_match is deny"
	if p.noMatch == Allow {
		rule = "no rule is about this, and auth.no_match is allow"
	}
	return d.Then(func() Decision { return p.noMatch }), append(grounds, Ground{Source: "no_match", Decision: p.noMatch, Rule: rule})
}

// explain asks one source, which may have no more to say than its decision.
func explain(source Authorizer, id *Identity, a Access) (Decision, []Ground) {
	if e, ok := source.(Explainer); ok {
		return e.Explain(id, a)
	}
	d := source.Check(id, a)
	if d == NoMatch {
		return d, nil
	}
	return d, []Ground{{Source: fmt.Sprintf("%T", source), Decision: d, Rule: d.String()}}
}

// Explain implements Explainer for rules that a client brought with it, in a token or from the server that let it in.
func (l RuleList) Explain(id *Identity, a Access) (Decision, []Ground) {
	return l.ExplainAs(id, a, "own_rules", func(r *Rule) string {
		return fmt.Sprintf("rule %d of the client's token, or of the server that let it in", r.Place)
	})
}

// ExplainAs is Explain for rules of another source. where says where a rule stands.
func (l RuleList) ExplainAs(id *Identity, a Access, source string, where func(*Rule) string) (Decision, []Ground) {
	d, by, narrowed := l.decide(id, a)
	var grounds []Ground
	if narrowed != nil {
		grounds = append(grounds, Ground{source, Narrow, narrowed.String(), where(narrowed)})
	}
	if by != nil {
		grounds = append(grounds, Ground{source, by.decision(d), by.String(), where(by)})
	}
	return d, grounds
}

// decision is what the rule by itself makes of an access on which all rules together decided d.
func (r *Rule) decision(d Decision) Decision {
	if d == Partly {
		return d
	}
	if r.Allow {
		return Allow
	}
	return Deny
}

// String says what a rule does.
func (r *Rule) String() string {
	var b strings.Builder
	b.WriteString(map[bool]string{true: "allow ", false: "deny "}[r.Allow])
	switch {
	case r.Publish && r.Subscribe:
		b.WriteString("publish and subscribe ")
	case r.Publish:
		b.WriteString("publish ")
	case r.Subscribe:
		b.WriteString("subscribe ")
	}
	if r.Exact {
		b.WriteString("exactly ")
	}
	b.WriteString(r.Topic.String())
	if r.QoS != 0 {
		sep := " with QoS "
		for q := mqtt.AtMostOnce; q <= mqtt.ExactlyOnce; q++ {
			if r.QoS.Has(q) {
				fmt.Fprintf(&b, "%s%d", sep, q)
				sep = ", "
			}
		}
	}
	switch r.Retain {
	case OnlyRetained:
		b.WriteString(" retained")
	case OnlyNotRetained:
		b.WriteString(" not retained")
	}
	return b.String()
}
