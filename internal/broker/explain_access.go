package broker

import (
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/message"
)

// This file is the part of an explanation that has to do with permissions.

// publisher asks whether the sender may publish.
func (x *explainer) publisher() {
	b, from := x.b, x.q.From
	id, known := b.identityOf(from.ClientID)
	if !known {
		id = &auth.Identity{ClientID: from.ClientID, Username: from.Username}
	}
	if ban, banned := b.store.bans.Find(id.ClientID, id.Username, id.RemoteAddr); banned {
		x.e.add(ExplainStep{Name: "publisher_ban", What: fmt.Sprintf("bans of the publisher %q", id.ClientID), Effect: EffectStops,
			Why: fmt.Sprintf("%s %q is banned%s, so it cannot connect: remove the ban.", ban.As, ban.Who, because(ban.Reason))})
	}
	a := auth.Access{Action: auth.Publish, Topic: x.topicAt, QoS: x.q.QoS, Retain: x.q.Retain}
	d, grounds := b.permissions.Explain(id, a)
	s := ExplainStep{Name: "publish_permission", What: fmt.Sprintf("may %s publish to %q", who(id, known), x.topicAt), Rules: grounds}
	switch d {
	case auth.Allow:
		s.Why = "yes: " + lastRule(grounds)
	case auth.Unknown:
		s.Why = "not known yet: " + lastRule(grounds)
	default:
		s.Effect, s.Reason = EffectStops, message.DropNotAuthorized
		s.Why = fmt.Sprintf("%s may not publish there: %s.", who(id, known), lastRule(grounds))
	}
	x.e.add(s)
}

// identityOf is that of a connected client.
func (b *Broker) identityOf(clientID string) (id *auth.Identity, known bool) {
	c := b.registry.get(clientID)
	if c == nil || clientID == "" {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return nil, false
	}
	return c.link.identity, true
}

// who names a client for people.
func who(id *auth.Identity, connected bool) string {
	name := fmt.Sprintf("%q", id.ClientID)
	if id.Username != "" {
		name += fmt.Sprintf(" as user %q", id.Username)
	} else {
		name += " without a username"
	}
	if !connected {
		name += " (not connected; judged by that name, without roles or rules of a token)"
	}
	return name
}

// lastRule is what decided, in words.
func lastRule(grounds []auth.Ground) string {
	if len(grounds) == 0 {
		return "no rule is about it"
	}
	g := &grounds[len(grounds)-1]
	if g.Where != "" {
		return fmt.Sprintf("%s (%s, %s)", g.Rule, g.Source, g.Where)
	}
	return fmt.Sprintf("%s (%s)", g.Rule, g.Source)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// permission asks whether the subscriber may have the message.
func (x *explainer) permission() {
	id, known := x.seen.identity, x.seen.connected
	s := ExplainStep{Name: "receive_permission", What: fmt.Sprintf("may %s receive %q", who(id, known), x.topicAt)}
	for i := range x.matched {
		m := &x.matched[i]
		d, grounds := x.subscribeDecision(id, m)
		m.info.Permission = d
		s.Rules = append(s.Rules, grounds...)
		if d == auth.Allow || d == auth.Unknown && m.whole {
			s.Why = fmt.Sprintf("yes: all that %q matches is granted: %s", m.info.Filter, lastRule(grounds))
			x.e.add(s)
			return
		}
	}
	d, grounds := x.b.permissions.Explain(id, auth.Access{Action: auth.Receive, Topic: x.topicAt})
	s.Rules = append(s.Rules, grounds...)
	if d == auth.Allow {
		s.Why = "yes, though its filter is wider than what is granted: " + lastRule(grounds)
	} else {
		s.Effect, s.Reason = EffectStops, message.DropNotAuthorized
		s.Why = fmt.Sprintf("%s may not receive that topic: %s. Each message is dropped for it (not_authorized).", who(id, known), lastRule(grounds))
	}
	x.e.add(s)
}

// subscribeDecision is whether the rules grant all that a subscription matches.
func (x *explainer) subscribeDecision(id *auth.Identity, m *matchedSubscription) (answer auth.Decision, grounds []auth.Ground) {
	answer = auth.Allow
	for _, topic := range m.topics {
		d, why := x.b.permissions.Explain(id, subscribing(topic, m.info.QoS))
		grounds = append(grounds, why...)
		if d != auth.Allow {
			answer = d
		}
	}
	return answer, grounds
}

// mounted reports whether a topic lies below a mount point, and what clients there call it.
func mounted(mount, topic string) (given string, ok bool) {
	if mount == "" {
		return topic, true
	}
	return strings.CutPrefix(topic, mount)
}
