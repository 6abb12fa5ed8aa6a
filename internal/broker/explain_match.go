package broker

import (
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is the part of an explanation that has to do with subscriptions.

// ExplainedSubscription is a subscription that matches, with what it means for the message.
type ExplainedSubscription struct {
	SubscriptionInfo
	Kind       string        // plain, shared, queue, stream
	Permission auth.Decision // of the filter as a whole
	OwnMessage bool          // No Local keeps the message from its publisher
	Pending    bool          // its SUBACK is not sent yet
	Group      *ExplainedGroup
}

// ExplainedGroup is the group of a shared subscription.
type ExplainedGroup struct {
	Name       string
	Strategy   string
	Durable    bool
	Members    int
	Ready      int               // members with a connection and room for a message
	Queued     int               // messages that wait for a member
	Behind     bool              // it reads messages from the log that came earlier
	SomeOfThem []ExplainedMember // the first few
}

// ExplainedMember is a member of a group.
type ExplainedMember struct {
	ClientID  string
	Connected bool
	Ready     bool
}

// explainedMembers is how many members of a group are listed.
const explainedMembers = 20

// matchedSubscription is a subscription of the session that matches the topic.
type matchedSubscription struct {
	info   ExplainedSubscription
	topics []string // that it may get
	group  *group
	whole  bool // granted as a whole, when that was asked last
	stream bool
}

// match takes down what a subscription means for a topic. The caller holds c.mu.
func (c *client) match(s *subscription, topic string) (m matchedSubscription, ok bool) {
	v := s.newest()
	if v == nil {
		return m, false
	}
	switch {
	case s.group != nil && s.group.stream != nil:
		ok = s.group.wants(&message.Message{Topic: topic, QoS: mqtt.ExactlyOnce})
		m.topics = s.group.matched()
	default:
		ok, m.topics = s.matches(topic), s.topics()
	}
	m.info = ExplainedSubscription{SubscriptionInfo: c.subscriptionInfo(s.key(), v), Kind: "plain", Pending: v.From == message.MaxPosition}
	m.info.Filter = givenFilter(s.key())
	m.group, m.whole, m.stream = s.group, s.whole, s.follows != nil
	switch {
	case m.stream:
		m.info.Kind = "stream"
	case s.group != nil && s.group.isQueue():
		m.info.Kind = "queue"
	case s.group != nil:
		m.info.Kind = "shared"
	}
	return m, ok
}

// givenFilter is the filter as the client said it.
func givenFilter(key string) string {
	if i := strings.LastIndexByte(key, 0); i >= 0 {
		return key[i+1:]
	}
	return key
}

// describe says who else is in a group.
func (g *group) describe() *ExplainedGroup {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := &ExplainedGroup{
		Name: g.key.name, Strategy: g.members.Strategy().String(), Durable: g.durable.Load(), Members: g.members.Len(),
		Queued: len(g.queue), Behind: g.durable.Load() && !g.cursor.live,
	}
	for _, m := range g.members.Members() {
		c := m.client
		ready := c.ready.Load()
		if d.Durable {
			ready = c.room.Load()
		}
		if ready {
			d.Ready++
		}
		if len(d.SomeOfThem) < explainedMembers {
			d.SomeOfThem = append(d.SomeOfThem, ExplainedMember{c.id, c.online.Load(), ready})
		}
	}
	return d
}

// subscriptions looks for those that match, and for those that nearly do.
func (x *explainer) subscriptions() {
	own := x.q.From != nil && x.q.From.ClientID == x.q.ClientID && x.q.ClientID != ""
	var local int
	for i := range x.matched {
		m := &x.matched[i]
		if m.group != nil {
			m.info.Group = m.group.describe()
		}
		m.info.OwnMessage = own && m.info.NoLocal
		if m.info.OwnMessage {
			local++
		}
	}
	x.reached = local < len(x.matched)
	s := ExplainStep{Name: "subscription", What: fmt.Sprintf("subscriptions of %q that match %q", x.q.ClientID, x.topicAt)}
	switch n := len(x.matched); {
	case n == 0:
		s.Effect, s.Why = EffectStops, x.unmatched()
	case local == n:
		s.Effect, s.Why = EffectStops, "every subscription that matches has No Local, which keeps a client's own messages from it."
	default:
		s.Why = fmt.Sprintf("%s of %d", filtersOf(x.matched), x.seen.subscriptions)
	}
	x.e.add(s)
	if x.reached {
		x.sharing()
	}
}

func filtersOf(ms []matchedSubscription) string {
	names := make([]string, 0, len(ms))
	for i := range ms {
		names = append(names, fmt.Sprintf("%q (QoS %d)", ms[i].info.Filter, ms[i].info.QoS))
		if i == 9 && len(ms) > 10 {
			names = append(names, "…")
			break
		}
	}
	return strings.Join(names, ", ")
}

// sharing says who else may get the message, if no other subscription is the client's alone.
func (x *explainer) sharing() {
	for i := range x.matched {
		if x.matched[i].group == nil && !x.matched[i].info.OwnMessage {
			return
		}
	}
	for i := range x.matched {
		g := x.matched[i].info.Group
		if g == nil {
			continue
		}
		s := ExplainStep{Name: "shared_group", What: fmt.Sprintf("members of %q", x.matched[i].info.Filter)}
		switch {
		case g.Members == 1:
			s.Why = "the client is the only one"
		default:
			s.Effect = EffectShares
			s.Why = fmt.Sprintf("each message goes to one of %d members, by %s; %d of them are ready for one.", g.Members, g.Strategy, g.Ready)
		}
		x.e.add(s)
		if g.Queued > 0 || g.Behind {
			x.e.add(ExplainStep{Name: "group_queue", What: "what waits in the group", Effect: EffectDelays,
				Why: fmt.Sprintf("%d messages wait for a member%s, and come first.", g.Queued, map[bool]string{true: " and more in the log"}[g.Behind])})
		}
	}
}

// unmatched says why no subscription matches, and which one was perhaps meant to.
func (x *explainer) unmatched() string {
	if x.seen.subscriptions == 0 {
		return "it has no subscription at all: its SUBSCRIBE was never sent, was refused, or went away with an older session."
	}
	if hint := x.nearMiss(); hint != "" {
		return "no subscription matches, but " + hint
	}
	return fmt.Sprintf("none of its %d subscriptions matches: %s.", x.seen.subscriptions, strings.Join(x.seen.someFilters, ", "))
}

// nearMiss finds a filter that matches the topic but for a slip.
func (x *explainer) nearMiss() string {
	topic := x.topicAt
	slips := []struct {
		topic func(filter string) string
		why   string
	}{
		{func(string) string { return strings.TrimPrefix(topic, "/") }, "the topic begins with a /, which is a level of its own."},
		{func(string) string { return "/" + topic }, "the filter begins with a /, which is a level of its own."},
		{func(string) string { return strings.TrimSuffix(topic, "/") }, "the topic ends with a /, which is a level of its own."},
		{func(string) string { return topic + "/" }, "the filter ends with a /, which is a level of its own."},
		{func(string) string { return strings.TrimSpace(topic) }, "the topic has spaces around it."},
	}
	for _, f := range x.seen.filters {
		switch given, below := mounted(x.seen.mount, topic); {
		case strings.HasPrefix(topic, "$") && (strings.HasPrefix(f.filter, "#") || strings.HasPrefix(f.filter, "+")) && mqtt.MatchTopic(f.filter, topic[1:]+"x"):
			return fmt.Sprintf("%q would, if a wildcard at the beginning of a filter matched topics that begin with $: subscribe to %q.", f.given, firstLevel(topic)+"/#")
		case !below && mqtt.MatchTopic(f.filter, x.seen.mount+topic):
			return fmt.Sprintf("%q does with the mount point %q of the client's listener: publish to %q, or through that listener.", f.given, x.seen.mount, x.seen.mount+topic)
		case strings.EqualFold(f.filter, topic) || mqtt.MatchTopic(strings.ToLower(f.filter), strings.ToLower(topic)):
			return fmt.Sprintf("%q would, if capitals did not matter: they do, in every level.", f.given)
		default:
			for _, slip := range slips {
				if t := slip.topic(f.filter); t != given && t != topic && t != "" && mqtt.MatchTopic(f.filter, t) {
					return fmt.Sprintf("%q nearly does: %s", f.given, slip.why)
				}
			}
		}
	}
	return ""
}

func firstLevel(topic string) string {
	level, _, _ := strings.Cut(topic, "/")
	return level
}
