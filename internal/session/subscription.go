package session

import (
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// Subscription is one version of a subscription: its options from a position of the log on. Subscribing again and
// unsubscribing make a new version in front of the old ones, which stay as long as a reader may be at a position where
// they were in force. A Subscription is immutable, so it may be read without a lock.
type Subscription struct {
	From message.Position // the first position at which it holds; message.MaxPosition: its commit is pending
	Prev *Subscription    // the version before it; nil: none

	ids *[1]uint32 // ID, as the slice that deliveries share

	ID                uint32 // the Subscription Identifier; 0: none
	QoS               mqtt.QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    mqtt.RetainHandling
	Ended             bool // unsubscribed: from From on there is no subscription

	Stream  bool // a declared stream's own: what matches goes into the log, whatever its QoS
	Follows bool // it gets what is in the log, whatever its QoS, and puts nothing there
}

// NewSubscription returns a version with the options o in front of prev, which may be nil. It is pending.
func NewSubscription(o mqtt.FilterOptions, id uint32, prev *Subscription) *Subscription {
	s := &Subscription{
		QoS: o.QoS, NoLocal: o.NoLocal, RetainAsPublished: o.RetainAsPublished,
		RetainHandling: o.RetainHandling, ID: id, From: message.MaxPosition, Prev: prev,
	}
	if id != 0 {
		s.ids = &[1]uint32{id}
	}
	return s
}

// End returns a pending version in front of s that says that the subscription is over.
func (s *Subscription) End() *Subscription {
	return &Subscription{From: message.MaxPosition, Prev: s, Ended: true}
}

// Committed returns s as it is once its commit is known to hold from a position on.
func (s *Subscription) Committed(from message.Position) *Subscription {
	c := *s
	c.From = from
	return &c
}

// Same reports whether s and o say the same and have the same past.
func (s *Subscription) Same(o *Subscription) bool {
	a, b := *s, *o
	a.ids, b.ids = nil, nil
	return a == b
}

// Options returns the options as a SUBSCRIBE packet says them.
func (s *Subscription) Options() mqtt.FilterOptions {
	return mqtt.FilterOptions{
		QoS: s.QoS, NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPublished,
		RetainHandling: s.RetainHandling,
	}
}

// At returns the version in force at pos, from s back. It is nil where the subscription did not exist, and for a nil s.
func (s *Subscription) At(pos message.Position) *Subscription {
	for v := s; v != nil; v = v.Prev {
		if v.pending() || pos.Less(v.From) {
			continue
		}
		if v.Ended {
			return nil
		}
		return v
	}
	return nil
}

func (s *Subscription) pending() bool { return s.From == message.MaxPosition }

// Prune returns the versions that are in force at pos or later. It is nil when none is: then the subscription is over
// for every reader that has come to pos.
func (s *Subscription) Prune(pos message.Position) *Subscription {
	if s == nil {
		return nil
	}
	if s.pending() || pos.Less(s.From) {
		prev := s.Prev.Prune(pos)
		if prev == s.Prev {
			return s
		}
		c := *s
		c.Prev = prev
		return &c
	}
	switch {
	case s.Ended:
		return nil
	case s.Prev == nil:
		return s
	}
	c := *s
	c.Prev = nil
	return &c
}

// Merge makes one delivery of m for a client whose subscriptions matched it in the given versions; nil ones do not
// count. The delivery has the highest granted QoS, as far as the message's own allows, and all subscription identifiers
// in order [MQTT-3.3.4-2] [MQTT-3.3.4-4], and it has the message's RETAIN flag if a subscription asked for that
// [MQTT-3.3.1-13]. Subscriptions with No Local do not count for the client's own messages [MQTT-3.8.3-3]. ok is
// false when none is left. For one delivery a subscription, call it with one version at a time.
func Merge(m *message.Message, clientID string, versions []*Subscription) (d Delivery, ok bool) {
	d.Message = m
	own := m.ClientID != "" && m.ClientID == clientID
	for _, v := range versions {
		if v == nil || v.Ended || own && v.NoLocal {
			continue
		}
		ok = true
		d.QoS = max(d.QoS, v.QoS)
		d.Retain = d.Retain || m.Retain && v.RetainAsPublished
		if v.ID == 0 {
			continue
		}
		if d.SubscriptionIDs == nil && v.ids != nil {
			d.SubscriptionIDs = v.ids[:] // full: a second identifier makes a copy
		} else {
			d.SubscriptionIDs = append(d.SubscriptionIDs, v.ID)
		}
	}
	if !ok {
		return Delivery{}, false
	}
	d.QoS = min(d.QoS, m.QoS)
	return d, true
}
