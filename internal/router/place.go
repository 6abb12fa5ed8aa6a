package router

import (
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/mqtt"
)

// Place is where the router finds a subscriber that no client's subscription stands for: a shared group, a stream, or who
// follows one. It may have several filters. Its owner guards it; the zero Place is nowhere.
type Place struct {
	filters []string
	entries []*Entry
}

// IsNowhere reports whether the router finds nothing there.
func (p *Place) IsNowhere() bool { return p.entries == nil }

// Enter puts a subscriber there by its filters, for what comes from a place of the log on, at every QoS. It takes the place
// of what was there before without a gap: for a moment both are found. more sets what else the subscription has.
func (p *Place) Enter(r *Router, to Subscriber, filters []string, from message.Position, more func(*session.Subscription)) {
	old := *p
	*p = Place{filters: filters}
	for _, filter := range filters {
		v := session.NewSubscription(mqtt.FilterOptions{Filter: filter, QoS: mqtt.ExactlyOnce}, 0, nil).Committed(from)
		more(v)
		e := NewEntry(to, v)
		p.entries = append(p.entries, e)
		r.Add(filter, e)
	}
	old.Leave(r)
}

// Leave takes the subscriber from there.
func (p *Place) Leave(r *Router) {
	for i, e := range p.entries {
		r.Remove(p.filters[i], e)
	}
	*p = Place{}
}
