package broker

import (
	"container/list"
	"time"

	"github.com/barid-mqtt/barid/internal/index"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/summary"
)

// This file keeps sessions small that sleep, since there may be many more of them than connections: such a session takes
// about 360 bytes, what the registry and the timers have of it included, and its subscriptions as others do.

// awake is the part of a client that it needs while it has a connection, or something under way. All that doze share one,
// which has nothing: it may be read as any other, and whoever writes calls rouse first.
type awake struct {
	session   *session.Session
	link      *link                       // nil: no connection
	leaving   *link                       // the last one, until what it leaves behind is settled
	changed   map[string]struct{}         // keys of subs with a past, or about to end
	groups    map[*group]int              // that it is a member of, and how often
	accounts  map[string]*account         // with groups, by subscription: of those, and of some that it has left
	followers []*follower                 // its subscriptions to streams
	given     []send                      // what those gave it, and is not kept yet
	giving    bool                        // a commit is under way for those before
	lookup    *index.Index[*subscription] // of subs, while the log is read through them; nil: not made
	asks      *summary.Question           // what lookup finds, for summaries of the log; nil: not made, or anything
	coming    map[string]struct{}         // keys of subscriptions that get a replay once their commit is through
	replays   list.List                   // of *replay: retained messages that subscriptions are to get
	kept      []session.Delivery          // what waits for a connection and is not in the log
	keptLen   int64                       // bytes of it
	noted     int64                       // bytes of session that the broker's memory knows of
	paused    bool                        // the link waits for acknowledgements of its own messages
	will      *will                       // waits for its delay
	willDue   time.Time                   // of a will that was restored
	willTimer timer
	releases  []uint16 // PUBREL packets that wait for the state to be kept
	holds     *link    // has nothing sent until a change of subscriptions is kept; nil: none
	held      int      // how many changes holds is for
	releasing bool     // and a commit is under way for those before them
}

// dozing is what all dozing clients have; nobody changes it.
var dozing = awake{session: session.New(session.Options{})}

// past is the part of a client that has to do with what was parked, and with the time before the broker's start. Those
// that have none of it share one, as with awake; recall comes before writing.
type past struct {
	shelf     backlog          // what is parked for it
	parkedTo  message.Position // before it, what the session still gets was parked, and the bodies of what is in flight are kept
	mayRepeat message.Position // before it, what is read from the log may have been sent before a crash
	asleep    *state.Snapshot  // of before the start, until the session is resumed; nil: it is awake
}

var noPast past

// recall gives a client a past of its own. The caller holds c.mu.
func (c *client) recall() {
	if c.past == &noPast {
		c.past = new(past)
	}
}

// rouse gives a client an awake of its own. The caller holds c.mu.
func (c *client) rouse() {
	if c.awake != &dozing {
		return
	}
	cfg := c.broker.cfg
	c.awake = &awake{session: session.New(session.Options{
		ReceiveMaximum: cfg.MQTT.ReceiveMaximum,
		InFlightMax:    cfg.Session.InFlightMax,
		QueueMax:       cfg.Session.QueueMemoryMessages,
		QueueMaxBytes:  queueBytes,

		InFlightMaxBytes: queueBytes,
		GroupIDs:         c.broker.groupIDs(c.durable.Load()),
	})}
	_ = c.session.Restore(c.lastID, nil) // without deliveries nothing is wrong with them
}

// doze gives the client's awake back if there is nothing in it. The caller holds c.mu.
func (c *client) doze() {
	a := c.awake
	if a == &dozing || a.link != nil || a.leaving != nil || c.dirty || c.ended ||
		len(a.changed)+len(a.groups)+len(a.followers)+len(a.accounts)+a.replays.Len()+len(a.kept)+len(a.releases) > 0 ||
		a.will != nil || a.releasing || !a.session.Idle() {
		return
	}
	c.lastID = a.session.LastID()
	c.awake = &dozing
	if p := c.past; p.asleep == nil && !c.cursor.next.Less(later(p.parkedTo, p.mayRepeat)) {
		c.past = &noPast
	}
}

// resubscribed forgets what was made of the client's subscriptions for reading the log. The caller holds c.mu.
func (c *client) resubscribed() {
	if c.awake != &dozing {
		c.lookup, c.asks = nil, nil
	}
}

// lastPacketID is the packet identifier that was assigned last. The caller holds c.mu.
func (c *client) lastPacketID() uint16 {
	if c.awake == &dozing {
		return c.lastID
	}
	return c.session.LastID()
}

// moment is a time as nanoseconds since 1970; 0: none.
type moment int64

func momentOf(t time.Time) moment {
	if t.IsZero() {
		return 0
	}
	return moment(t.UnixNano())
}

func (m moment) time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(m))
}
