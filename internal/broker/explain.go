package broker

import (
	"fmt"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file answers whether a client would get a message, from what is the case now. It asks the same parts that would
// handle the message, in the same order, and changes nothing.

// ExplainQuery is a message that somebody might publish, and who is asking for it.
type ExplainQuery struct {
	ClientID string // the subscriber
	Username string // as which it connects; asked for where it is not connected
	Topic    string // as the broker knows it: with the mount point of a listener
	QoS      mqtt.QoS
	Retain   bool
	// From is who publishes; nil: nobody in particular, so that permission to publish is not judged.
	From *ExplainSender
}

// ExplainSender is a publisher.
type ExplainSender struct{ ClientID, Username string }

// ExplainOutcome is what would become of the message.
type ExplainOutcome string

// The outcomes.
const (
	WouldDeliver    ExplainOutcome = "delivered"     // at once
	WouldWait       ExplainOutcome = "waits"         // it is kept until what holds it back is over
	MayDeliver      ExplainOutcome = "maybe"         // the client is one of a group that shares messages out
	WouldNotDeliver ExplainOutcome = "not_delivered" // never
)

// ExplainEffect is what a step means for the message.
type ExplainEffect string

// The effects.
const (
	EffectNone   ExplainEffect = "none"
	EffectDelays ExplainEffect = "delays"
	EffectShares ExplainEffect = "shares" // it may go to another member of a group
	EffectStops  ExplainEffect = "stops"
)

// ExplainStep is one thing that was looked at.
type ExplainStep struct {
	Name   string // of a fixed set: topic, publish_permission, session, …
	OK     bool   // nothing there stops or delays the message
	What   string // that was looked at
	Why    string // it is so, and what to do
	Effect ExplainEffect
	Reason message.DropReason // with EffectStops, what a message is dropped for; NotDropped: it is refused, or not for the client
	Rules  []auth.Ground      // that decided, of permissions
}

// Explanation says what would become of a message.
type Explanation struct {
	Outcome       ExplainOutcome
	Verdict       string // one sentence
	Steps         []ExplainStep
	Subscriptions []ExplainedSubscription // that match
}

func (e *Explanation) add(s ExplainStep) {
	if s.Effect == "" {
		s.Effect = EffectNone
	}
	s.OK = s.Effect == EffectNone || s.Effect == EffectShares
	e.Steps = append(e.Steps, s)
}

// Explain says whether a client would get a message, and why.
func (b *Broker) Explain(q ExplainQuery) Explanation {
	x := &explainer{b: b, q: q}
	x.topic()
	if q.From != nil {
		x.publisher()
	}
	x.storage()
	if x.find() {
		x.subscriptions()
		if x.reached {
			x.permission()
			x.delivery()
		}
	}
	x.retained()
	for i := range x.matched {
		x.e.Subscriptions = append(x.e.Subscriptions, x.matched[i].info)
	}
	x.e.judge(&x.q)
	return x.e
}

// explainer gathers an explanation.
type explainer struct {
	b *Broker
	q ExplainQuery
	e Explanation

	topicAt string // where the message ends up
	seen    sighting
	matched []matchedSubscription
	reached bool // by one of them at least
}

// judge sums the steps up.
func (e *Explanation) judge(q *ExplainQuery) {
	e.Outcome = WouldDeliver
	var first *ExplainStep
	for _, effect := range []ExplainEffect{EffectStops, EffectDelays, EffectShares} {
		for i := range e.Steps {
			if e.Steps[i].Effect == effect && first == nil {
				first = &e.Steps[i]
			}
		}
	}
	what := fmt.Sprintf("a QoS %d message on %q", q.QoS, q.Topic)
	if first == nil {
		e.Verdict = fmt.Sprintf("Yes: %s would be sent to %q at once.", what, q.ClientID)
		return
	}
	switch first.Effect {
	case EffectStops:
		e.Outcome = WouldNotDeliver
		e.Verdict = fmt.Sprintf("No: %s would not reach %q: %s", what, q.ClientID, first.Why)
	case EffectDelays:
		e.Outcome = WouldWait
		e.Verdict = fmt.Sprintf("Later: %s would wait for %q: %s", what, q.ClientID, first.Why)
	case EffectShares:
		e.Outcome = MayDeliver
		e.Verdict = fmt.Sprintf("Perhaps: %s may go to %q or to another: %s", what, q.ClientID, first.Why)
	}
}

// topic judges the topic by itself.
func (x *explainer) topic() {
	b, topic := x.b, x.q.Topic
	x.topicAt = b.destination(topic)
	s := ExplainStep{Name: "topic", What: fmt.Sprintf("topic %q", topic), Why: "it is a topic that clients may publish to"}
	switch _, err := mqtt.ParseTopicName(topic); {
	case err != nil:
		s.Effect, s.Why = EffectStops, fmt.Sprintf("it is no topic to publish to: %v.", err)
	case !b.topicWithin(topic):
		s.Effect, s.Why = EffectStops, "it is longer, or has more levels, than mqtt.max_topic_bytes and mqtt.max_topic_levels allow: the publisher gets 0x90."
	case isRead(topic):
		s.Effect, s.Why = EffectStops, "it stands for a stream or a queue, which are read and not published to: publish to a topic that its filters match."
	case isSys(topic):
		s.Why = "the broker alone publishes below $SYS"
		if x.q.From != nil {
			s.Effect, s.Why = EffectStops, "the broker alone publishes below $SYS: other publishers get 0x87."
		}
	case x.topicAt != topic:
		s.Effect, s.Why = EffectDelays, fmt.Sprintf("it is published as %q when its delay is over.", x.topicAt)
	}
	x.e.add(s)
	cfg := &b.conf().MQTT
	if int(x.q.QoS) > cfg.MaxQoS {
		x.e.add(ExplainStep{Name: "qos", What: fmt.Sprintf("QoS %d", x.q.QoS), Effect: EffectStops,
			Why: fmt.Sprintf("mqtt.max_qos is %d: who publishes with more is disconnected with 0x9B.", cfg.MaxQoS)})
	}
	if x.q.Retain && !cfg.RetainAvailable {
		x.e.add(ExplainStep{Name: "retain", What: "the RETAIN flag", Effect: EffectStops,
			Why: "mqtt.retain_available is false: who publishes retained messages is disconnected with 0x9A."})
	}
}

// storage looks at what everybody depends on.
func (x *explainer) storage() {
	b := x.b
	if err := b.engine.Health().Err; err != nil {
		x.e.add(ExplainStep{Name: "storage", What: "the storage", Effect: EffectStops, Reason: message.DropLogFull,
			Why: fmt.Sprintf("it takes nothing now, and messages for durable sessions are refused: %v.", err)})
	}
	if b.memory.Full() {
		x.e.add(ExplainStep{Name: "memory", What: "memory for clients", Effect: EffectDelays,
			Why: "limits.memory_max_bytes is reached, so publishers are slowed."})
	}
}

// retained looks for what a new subscription would get.
func (x *explainer) retained() {
	m := x.b.RetainedMessage(x.topicAt)
	s := ExplainStep{Name: "retained", What: fmt.Sprintf("retained message on %q", x.topicAt), Why: "there is none: a client that subscribes now gets nothing until somebody publishes"}
	if m != nil {
		s.Why = fmt.Sprintf("one of %d bytes with QoS %d, published at %s by %q: who subscribes gets it, unless with retain handling 2, or 1 and an old subscription",
			len(m.Payload), m.QoS, m.PublishedAt.UTC().Format("2006-01-02T15:04:05Z"), m.ClientID)
	}
	x.e.add(s)
}
