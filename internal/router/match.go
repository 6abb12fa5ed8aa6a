package router

import (
	"cmp"
	"errors"
	"slices"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// match finds who gets a message now, by the newest version of each subscription. It leaves out who sleeps, where they are
// many, unless the broker keeps QoS 0 for them; s.absent is how many these are.
func (r *Router) match(topic string) *scratch {
	s := scratches.Get().(*scratch)
	if r.opts.KeepsQoS0 {
		s.entries = r.index.Match(topic, s.entries[:0])
	} else {
		s.entries, s.absent = r.index.MatchPresent(topic, s.entries[:0])
	}
	return s.group((*Entry).newest)
}

// anyLogged reports whether somebody matches for whom a message of that QoS goes into the log. It stops at the first.
func (r *Router) anyLogged(topic string, qos mqtt.QoS) bool {
	return r.index.HasMatch(topic, func(e *Entry) bool { return e.logged(qos) })
}

// anyFull is the same of those among them who are full.
func (r *Router) anyFull(topic string, qos mqtt.QoS) bool {
	return r.index.HasMatch(topic, func(e *Entry) bool {
		b, ok := e.To.(Bounded)
		return ok && b.Full() && e.logged(qos)
	})
}

func (e *Entry) logged(qos mqtt.QoS) bool {
	v := e.newest()
	return v != nil && (v.Stream || min(qos, v.QoS) > 0 && e.To.Durable())
}

// matchAt finds who gets the record at pos, by the versions that are in force there.
func (r *Router) matchAt(topic string, pos message.Position) *scratch {
	return r.matchVersions(topic, func(e *Entry) *session.Subscription { return e.Subscription().At(pos) })
}

func (e *Entry) newest() *session.Subscription {
	if s := e.Subscription(); s != nil && !s.Ended && !s.Follows {
		return s
	}
	return nil
}

func (r *Router) matchVersions(topic string, version func(*Entry) *session.Subscription) *scratch {
	s := scratches.Get().(*scratch)
	s.entries = r.index.Match(topic, s.entries[:0])
	return s.group(version)
}

// group groups the versions of entries by subscriber.
func (s *scratch) group(version func(*Entry) *session.Subscription) *scratch {
	if s.overlap() {
		slices.SortStableFunc(s.entries, func(a, b *Entry) int { return cmp.Compare(a.To.Seq(), b.To.Seq()) })
	}
	for _, e := range s.entries {
		v := version(e)
		if v == nil {
			continue
		}
		s.subs = append(s.subs, v)
		n := len(s.subs)
		if last := len(s.targets) - 1; last >= 0 && s.targets[last].to == e.To {
			t := &s.targets[last]
			t.to2, t.qos, t.all = n, max(t.qos, v.QoS), t.all || v.Stream || v.Follows
			continue
		}
		s.targets = append(s.targets, target{to: e.To, from: n - 1, to2: n, qos: v.QoS, all: v.Stream || v.Follows})
	}
	return s
}

// overlap reports whether a subscriber may be among the entries more than once.
func (s *scratch) overlap() bool {
	if len(s.entries) < 2 {
		return false
	}
	for _, e := range s.entries {
		if e.To.Overlaps() {
			return true
		}
	}
	return false
}

func isFull(err error) bool {
	return errors.Is(err, storage.ErrFull) || errors.Is(err, storage.ErrBusy)
}

// Targets calls fn for each subscriber that gets a record at pos, with its subscriptions in force there, which are valid
// during the call.
func (r *Router) Targets(topic string, pos message.Position, fn func(to Subscriber, subs []*session.Subscription)) {
	s := r.matchAt(topic, pos)
	defer s.release()
	for i := range s.targets {
		t := &s.targets[i]
		fn(t.to, s.subs[t.from:t.to2])
	}
}
