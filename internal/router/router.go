// Package router is the only place where one message becomes many: it matches a topic, keeps what has to be kept, and
// hands each subscriber its copy.
//
// A subscriber whose session ends with its connection gets the message at once, on the publisher's goroutine. What a
// durable session is to get with QoS 1 or 2 goes into the log first, once for all of them, and from there to those that
// keep up, as soon as it is committed (tail.go), and to the others when they can take it (catchup.go).
package router

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/index"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/retain"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// Options make a Router.
type Options struct {
	Engine   storage.Engine
	Retained *retain.Store
	Metrics  *metrics.Metrics
	Trace    *trace.Spine
	Workers  int // that read the log for those who lag behind
	// RejectFull refuses messages for the log while a subscriber that is Bounded is full.
	RejectFull bool
	// KeepsQoS0 says that messages of QoS 0 are for subscribers that sleep, too.
	KeepsQoS0 bool
}

// Subscriber is who a subscription belongs to: a session or a shared group.
type Subscriber interface {
	// Seq tells subscribers apart and orders them.
	Seq() uint64
	// Overlaps reports whether two of its subscriptions may match one topic.
	Overlaps() bool
	// Durable reports whether what it gets with QoS 1 or 2 goes through the log.
	Durable() bool
	// Deliver hands over a message that did not go through the log. subs, the matching subscriptions in force, is valid
	// during the call.
	Deliver(b *conn.Batch, m *message.Message, subs []*session.Subscription)
	// Tail offers a record of the log to a durable subscriber, in the order of the log.
	Tail(b *conn.Batch, r Record, subs []*session.Subscription)
}

// Bounded is a durable Subscriber for whom only so much may wait.
type Bounded interface {
	// Full reports whether no more may.
	Full() bool
}

// Record is a record of the log with its place.
type Record struct {
	Position message.Position
	Message  *message.Message
}

// Entry is a subscription as the index holds it: whose it is, and its newest version.
type Entry struct {
	To  Subscriber
	sub atomic.Pointer[session.Subscription]
}

// NewEntry makes the entry of a subscription.
func NewEntry(to Subscriber, s *session.Subscription) *Entry {
	e := &Entry{To: to}
	e.sub.Store(s)
	return e
}

// Subscription returns the newest version.
func (e *Entry) Subscription() *session.Subscription { return e.sub.Load() }

// Set makes s the newest version. Calls for one entry are the caller's to serialise.
func (e *Entry) Set(s *session.Subscription) { e.sub.Store(s) }

// Router routes messages. Its methods may be called from any goroutine.
type Router struct {
	opts  Options
	index *index.Index[*Entry]

	begun    atomic.Uint64 // the first block of the log whose dispatch has not begun
	stopTail func()
	catchUp  catchUp

	submissions sync.Pool // of *submission that are not used
}

// New makes a router, which takes part in the log from now on. Close ends it.
func New(o Options) *Router {
	r := &Router{opts: o, index: index.New[*Entry]()}
	next := o.Engine.Health().Next
	r.begun.Store(next.Block)
	r.catchUp.start(r, max(1, o.Workers))
	r.stopTail = o.Engine.Tail(0, next, r.dispatch)
	return r
}

// Close stops the deliveries from the log. The engine is the caller's to close, before or after.
func (r *Router) Close() {
	r.stopTail()
	r.catchUp.stop()
}

// Add and Remove enter a subscription into the index under a filter without its share, and take it out.
func (r *Router) Add(filter string, e *Entry) { r.index.Add(filter, e) }

// Remove takes a subscription out of the index.
func (r *Router) Remove(filter string, e *Entry) { r.index.Remove(filter, e) }

// SetPresent says whether the subscriber of an entry takes messages that do not go through the log. One that has just been
// added does; a durable session that sleeps does not, so that publishers do not look at each of a million of them.
func (r *Router) SetPresent(filter string, e *Entry, present bool) {
	r.index.SetPresent(filter, e, present)
}

// Subscriptions returns the number of entries in the index.
func (r *Router) Subscriptions() int { return r.index.Len() }

// Filters returns the number of filters in the index, each counted once.
func (r *Router) Filters() int { return r.index.Filters() }

// Begun returns the first block of the log whose dispatch to live subscribers has not begun.
func (r *Router) Begun() uint64 { return r.begun.Load() }

// Publication is a message on its way in.
type Publication struct {
	Message  *message.Message
	PacketID uint16 // QoS 2: the publisher's
	// KeepID says that the packet identifier has to be kept though nobody durable gets the message: QoS 2 from a durable
	// session.
	KeepID bool
	Ops    []storage.Op // state that has to change with the message
	Own    bool         // the broker tells of itself: that nobody wants to hear it is no drop
	Waiter Waiter       // nil: nobody waits for the commit
	// Refused, if it is not nil, hears that the engine refused the commit of a message that is owed: nothing is counted as
	// dropped, and again tries once more, without the deliveries that need no commit and were made.
	Refused func(again func() error)
}

// Publish routes a message. waits says that the waiter hears the result; otherwise code is it. An error, which is
// storage.ErrBusy or means that the engine is out of order, says that nothing was done.
func (r *Router) Publish(b *conn.Batch, p Publication) (code mqtt.ReasonCode, waits bool, err error) {
	m := p.Message
	s := r.match(m.Topic)
	defer s.release()
	if w := r.opts.Trace.Watch(); w != nil {
		r.tellRouted(w, b, m, s, s.anyLogged(m.QoS))
	}
	if len(s.targets)+s.absent == 0 {
		code = mqtt.NoMatchingSubscribers
		if !p.Own {
			r.drop(message.DropNoSubscriber, m, b.Now)
		}
	}
	log := s.anyLogged(m.QoS)
	if s.absent > 0 && m.QoS == mqtt.AtMostOnce {
		r.dropAbsent(m, b.Now, int64(s.absent))
	} else if s.absent > 0 && !log {
		log = r.anyLogged(m.Topic, m.QoS)
	}
	if log && r.opts.RejectFull && r.anyFull(m.Topic, m.QoS) {
		r.drop(message.DropQueueFull, m, b.Now)
		if p.Waiter == nil && len(p.Ops) > 0 { // nobody sends it again: what it changes is changed without it
			return mqtt.QuotaExceeded, false, r.submit(p, false, mqtt.QuotaExceeded)
		}
		return mqtt.QuotaExceeded, false, nil
	}
	if log || m.Retain || p.KeepID || len(p.Ops) > 0 {
		m.Keep()
		if err := r.submit(p, log, code); err != nil {
			return 0, false, err
		}
		waits = true
	}
	if !log || m.QoS < mqtt.ExactlyOnce { // QoS 2 that anybody durable gets waits for its commit [rule 2 of the log]
		r.deliver(b, m, s, log)
	}
	return code, waits, nil
}

// limitOf is the limit that a retained message would have passed.
func limitOf(err error) metrics.Limit {
	if errors.Is(err, retain.ErrBytes) {
		return metrics.LimitRetainedBytes
	}
	return metrics.LimitRetainedMessages
}

// CodeOf translates an engine's error for a client.
func CodeOf(err error) mqtt.ReasonCode {
	switch {
	case err == nil:
		return mqtt.Success
	case isFull(err):
		return mqtt.QuotaExceeded
	}
	return mqtt.UnspecifiedError // of the codes that PUBACK and PUBREC may have [MQTT-3.4.2-1]
}

// deliver hands the message to everybody who gets it without the log.
func (r *Router) deliver(b *conn.Batch, m *message.Message, s *scratch, logged bool) {
	for i := range s.targets {
		t := &s.targets[i]
		if logged && t.logged(m.QoS) {
			continue
		}
		t.to.Deliver(b, m, s.subs[t.from:t.to2])
	}
}

// scratch holds the result of a match, grouped by subscriber.
type scratch struct {
	entries []*Entry
	subs    []*session.Subscription
	targets []target
	absent  int // matched and left out
}

// target is one subscriber's share of a match: subs[from:to2].
type target struct {
	to        Subscriber
	from, to2 int
	qos       mqtt.QoS // the highest granted
	all       bool     // of a stream: it gets everything from the log
}

// logged reports whether the target gets a message of that QoS through the log.
func (t *target) logged(qos mqtt.QoS) bool {
	return t.all || min(qos, t.qos) > 0 && t.to.Durable()
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// keepEntries bounds what an idle scratch holds.
const keepEntries = 64 << 10

func (s *scratch) release() {
	clear(s.entries)
	clear(s.subs)
	clear(s.targets)
	s.absent = 0
	if cap(s.entries) <= keepEntries {
		s.entries, s.subs, s.targets = s.entries[:0], s.subs[:0], s.targets[:0]
		scratches.Put(s)
	}
}

func (s *scratch) anyLogged(qos mqtt.QoS) bool {
	for i := range s.targets {
		if s.targets[i].logged(qos) {
			return true
		}
	}
	return false
}
