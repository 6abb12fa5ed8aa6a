package auth

import (
	"context"

	"github.com/barid-mqtt/barid/mqtt"
)

// Rule allows or denies something to whoever it is for.
type Rule struct {
	Allow     bool
	Publish   bool // it is about publishing
	Subscribe bool // it is about subscribing and receiving
	Topic     Template
	Exact     bool            // only this text: wildcards stand for themselves, as EMQX's prefix "eq " has it
	QoS       QoSSet          // of PUBLISH and SUBSCRIBE
	Retain    RetainCondition // of PUBLISH
	Place     int             // its line in a file, or which of a list it is, from 1; 0: not said
}

// QoSSet is a set of QoS values; the zero set stands for all.
type QoSSet uint8

// SetOfQoS returns the set of some values.
func SetOfQoS(values ...mqtt.QoS) (s QoSSet) {
	for _, q := range values {
		s |= 1 << q
	}
	return s
}

// Has reports whether q is in the set.
func (s QoSSet) Has(q mqtt.QoS) bool { return s == 0 || s&(1<<q) != 0 }

// RetainCondition says which PUBLISH packets a rule is about.
type RetainCondition uint8

// The conditions on RETAIN.
const (
	AnyRetain RetainCondition = iota
	OnlyRetained
	OnlyNotRetained
)

func (c RetainCondition) admits(retain bool) bool {
	return c == AnyRetain || (c == OnlyRetained) == retain
}

// about reports whether a rule has something to say about an access, topics aside.
func (r *Rule) about(a Access) bool {
	switch a.Action {
	case Publish:
		return r.Publish && r.QoS.Has(a.QoS) && r.Retain.admits(a.Retain)
	case Subscribe:
		return r.Subscribe && r.QoS.Has(a.QoS)
	}
	// The QoS of a subscription was judged when it was made: denying some of them denies no message to the others.
	return r.Subscribe && (r.Allow || r.QoS == 0)
}

// RuleList are rules in order. The first that matches decides. It is an Authorizer of its own, and does not change.
type RuleList []Rule

// Check implements Authorizer.
func (l RuleList) Check(id *Identity, a Access) Decision {
	d, _, _ := l.decide(id, a)
	return d
}

// decide returns the decision, the rule that made it, if there is one, and the first one that made it narrower.
func (l RuleList) decide(id *Identity, a Access) (d Decision, by, narrowed *Rule) {
	for i := range l {
		r := &l[i]
		if !r.about(a) {
			continue
		}
		filter, ok := r.Topic.expand(id)
		if !ok {
			continue
		}
		matches, whole := r.matches(filter, a)
		switch {
		case !matches:
		case whole && r.Allow && narrowed == nil:
			return Allow, r, nil
		case r.Allow:
			return Partly, r, narrowed
		case whole:
			return Deny, r, narrowed
		case narrowed == nil:
			narrowed = r
		}
	}
	if narrowed != nil {
		return Narrow, nil, narrowed
	}
	return NoMatch, nil, nil
}

// matches reports whether a rule for filter decides about some of what is asked for, and about the whole of it.
func (r *Rule) matches(filter string, a Access) (some, whole bool) {
	switch {
	case r.Exact:
		some = filter == a.Topic
		return some, some
	case a.Action == Subscribe:
		whole = covers(filter, a.Topic)
		return whole || overlaps(filter, a.Topic), whole
	}
	some = mqtt.MatchTopic(filter, a.Topic)
	return some, some
}

// Ask implements Authorizer.
func (RuleList) Ask(context.Context, *Identity, Access) {}

// Version implements Versioned.
func (RuleList) Version() uint64 { return 0 }
