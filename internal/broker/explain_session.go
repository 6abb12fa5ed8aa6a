package broker

import (
	"fmt"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is the part of an explanation that has to do with the state of a session and its connection.

// sighting is what a session was like at one moment.
type sighting struct {
	connected     bool
	durable       bool
	identity      *auth.Identity
	mount         string
	expiry        uint32
	leftAt        time.Time
	subscriptions int
	filters       []seenFilter // for slips
	someFilters   []string     // for people
	out           conn.Outbound
	window, sent  int
	windowOpen    bool
	queued, room  int
	waiting       backlog // in the log and parked
	kept          int     // QoS 0 of one that is away
	behind        bool
	parked        bool
	full          bool
	tooMuch       bool // the broker's memory is spent, and it holds much of it
	changing      bool // a change of subscriptions is being kept
	replaying     bool // retained messages come first
}

type seenFilter struct{ given, filter string }

// lookedFilters is how many filters are compared for slips.
const lookedFilters = 1000

// find looks for the session. It reports whether there is one.
func (x *explainer) find() bool {
	b, q := x.b, &x.q
	c := b.registry.get(q.ClientID)
	ok := c != nil
	if ok {
		ok = x.look(c)
	}
	if !ok {
		x.banned(&auth.Identity{ClientID: q.ClientID, Username: q.Username})
		x.e.add(ExplainStep{Name: "session", What: fmt.Sprintf("session of %q", q.ClientID), Effect: EffectStops,
			Why: "there is no session of that client id: it never connected, or its session ended with its connection, expired, or was taken out. Compare the client id letter by letter."})
		return false
	}
	s := ExplainStep{Name: "session", What: fmt.Sprintf("session of %q", q.ClientID)}
	switch seen := &x.seen; {
	case seen.connected && seen.durable:
		s.Why = "it is connected, and outlives its connection"
	case seen.connected:
		s.Why = "it is connected, and ends with its connection"
	default:
		s.Effect, s.Why = EffectDelays, fmt.Sprintf("it has had no connection since %s; %s.", seen.leftAt.UTC().Format("2006-01-02T15:04:05Z"), x.b.expiresIn(seen))
		x.banned(seen.identity)
	}
	x.e.add(s)
	return true
}

func (b *Broker) expiresIn(s *sighting) string {
	if s.expiry == mqtt.NeverExpires {
		return "its session waits for it without end"
	}
	left := time.Duration(s.expiry)*time.Second - b.clock.Now().Sub(b.clock.At(s.leftAt))
	return fmt.Sprintf("its session ends in %s", max(0, left).Round(time.Second))
}

// banned looks for what keeps the client from connecting.
func (x *explainer) banned(id *auth.Identity) {
	if ban, ok := x.b.store.bans.Find(id.ClientID, id.Username, id.RemoteAddr); ok {
		until := "for good"
		if !ban.Until.IsZero() {
			until = "until " + ban.Until.UTC().Format("2006-01-02T15:04:05Z")
		}
		x.e.add(ExplainStep{Name: "ban", What: fmt.Sprintf("bans of %q", id.ClientID), Effect: EffectStops,
			Why: fmt.Sprintf("%s %q is banned %s%s, so the client cannot connect: remove the ban.", ban.As, ban.Who, until, because(ban.Reason))})
	}
}

// look takes down what a session is like; false: it has ended.
func (x *explainer) look(c *client) bool {
	s := &x.seen
	c.mu.Lock()
	defer c.mu.Unlock()
	s.durable, s.expiry, s.leftAt = c.durable.Load(), c.expiry, c.leftAt.time()
	s.identity = &auth.Identity{ClientID: c.id, Username: x.q.Username}
	s.behind = s.durable && !c.cursor.live && c.cursor.next.Less(c.broker.logEnd())
	s.parked, s.full, s.tooMuch = c.parked(), c.full.Load(), c.holdsTooMuch()
	s.waiting, s.kept, s.replaying = c.waiting(), len(c.kept), c.replays.Len() > 0
	s.window, s.windowOpen = c.session.Window()
	s.sent, s.queued, s.room = c.session.InFlight(), c.session.Queued(), c.session.Room()
	if l := c.link; l != nil {
		s.connected, s.identity, s.mount, s.out = true, l.identity, l.mount, l.conn.Outbound()
		s.changing = c.holds == l
	}
	for key, sub := range c.subs.all() {
		m, ok := c.match(sub, x.topicAt)
		if sub.newest() == nil {
			continue
		}
		s.subscriptions++
		if ok {
			x.matched = append(x.matched, m)
		}
		if len(s.filters) < lookedFilters {
			s.filters = append(s.filters, seenFilter{givenFilter(key), sub.filter})
		}
		if len(s.someFilters) < 10 {
			s.someFilters = append(s.someFilters, fmt.Sprintf("%q", givenFilter(key)))
		}
	}
	return !c.ended
}

// qos is with which QoS the client gets the message, and whether it comes through the log.
func (x *explainer) qos() (qos mqtt.QoS, viaStream bool) {
	for i := range x.matched {
		if m := &x.matched[i]; !m.info.OwnMessage {
			qos = max(qos, min(m.info.QoS, x.q.QoS))
			viaStream = viaStream || m.stream || m.info.Kind == "queue"
		}
	}
	return qos, viaStream
}

// delivery looks at what holds a message back on its way through the session and the connection.
func (x *explainer) delivery() {
	qos, viaStream := x.qos()
	s, cfg := &x.seen, &x.b.conf().Session
	if qos < x.q.QoS {
		x.e.add(ExplainStep{Name: "granted_qos", What: "the QoS of the delivery", Why: fmt.Sprintf("%d, as the subscription asked for", qos)})
	}
	if !s.connected {
		x.offline(qos, viaStream)
	}
	if s.full && qos > 0 {
		x.e.add(ExplainStep{Name: "queue_limit", What: "what may wait for the session", Effect: EffectStops, Reason: message.DropQueueFull,
			Why: fmt.Sprintf("as much waits for it as session.queue_max_messages and session.queue_max_bytes allow (%d messages, %d bytes), and session.on_full is reject: publishers get 0x97 until it has taken some.", s.waiting.messages, s.waiting.bytes)})
	}
	if s.connected {
		x.connection(qos)
	}
	x.behind(qos)
	if age := cfg.QueueMaxSeconds; age > 0 && x.e.delayed() {
		x.e.add(ExplainStep{Name: "queue_age", What: "how long a message may wait", Why: fmt.Sprintf("%d seconds (session.queue_max_seconds); what waits longer is dropped (queue_age)", age)})
	}
}

// delayed reports whether the message would wait.
func (e *Explanation) delayed() bool {
	for i := range e.Steps {
		if e.Steps[i].Effect == EffectDelays {
			return true
		}
	}
	return false
}

// offline says what is kept for a client that is away.
func (x *explainer) offline(qos mqtt.QoS, viaStream bool) {
	step := ExplainStep{Name: "offline", What: "messages for a client that is away"}
	switch {
	case qos > 0 || viaStream:
		step.Why = "QoS 1 and 2 are kept for it, and streams anyway"
	case x.b.conf().Session.QueueQoS0 && x.seen.durable:
		step.Why = fmt.Sprintf("session.queue_qos0 keeps QoS 0 too, %d now", x.seen.kept)
	default:
		step.Effect, step.Reason = EffectStops, message.DropOffline
		step.Why = "QoS 0 is not kept for clients that are away (offline): publish and subscribe with QoS 1, or set session.queue_qos0."
	}
	x.e.add(step)
}

// connection looks at what the client takes.
func (x *explainer) connection(qos mqtt.QoS) {
	s := &x.seen
	if n := s.out.MaximumPacket; n > 0 {
		x.e.add(ExplainStep{Name: "packet_size", What: "the client's maximum packet size", Why: fmt.Sprintf("%d bytes, header and topic included; what is larger is dropped for it (too_large)", n)})
	}
	var held []string
	if s.out.Closing {
		held = append(held, "its connection is being closed")
	}
	if s.out.Starved {
		held = append(held, fmt.Sprintf("it does not read: %d bytes wait for its socket, and mqtt.out_buffer_max_bytes is %d", s.out.WaitingBytes, s.out.MaxBytes))
	}
	if s.changing {
		held = append(held, "a SUBSCRIBE or UNSUBSCRIBE of it is being kept")
	}
	if !s.windowOpen && (qos > 0 || s.queued > 0) { // QoS 0 waits behind others only
		held = append(held, fmt.Sprintf("%d messages are sent to it and not acknowledged, and it takes %d at a time (its receive maximum, or session.in_flight_max)", s.sent, s.window))
	}
	if s.replaying {
		held = append(held, "retained messages are sent to it first")
	}
	if s.queued > 0 {
		held = append(held, fmt.Sprintf("%d messages wait before it", s.queued))
	}
	step := ExplainStep{Name: "connection", What: "room in the connection, the window and the queue"}
	switch {
	case len(held) == 0:
		step.Why = fmt.Sprintf("there is room: %d of %d messages are unacknowledged", s.sent, s.window)
	case x.dropsNew(qos):
		step.Effect, step.Reason = EffectStops, message.DropQueueFull
		if qos == mqtt.AtMostOnce {
			step.Reason = message.DropSlowConsumer
		}
		step.Why = strings.Join(held, "; ") + fmt.Sprintf(": its queue is full, and more is dropped (%s).", step.Reason)
	default:
		step.Effect, step.Why = EffectDelays, strings.Join(held, "; ")+"."
	}
	x.e.add(step)
}

// dropsNew reports whether a message that has to wait in memory would be dropped.
func (x *explainer) dropsNew(qos mqtt.QoS) bool {
	s := &x.seen
	return (s.room == 0 || s.tooMuch) && (qos == mqtt.AtMostOnce || !s.durable)
}

// behind looks at what waits in the log and was parked.
func (x *explainer) behind(qos mqtt.QoS) {
	s := &x.seen
	if qos == mqtt.AtMostOnce || !s.durable || s.waiting.isZero() && !s.behind && !s.parked {
		return
	}
	why := fmt.Sprintf("%d messages of %d bytes wait for it, as far as they were counted, and come first", s.waiting.messages, s.waiting.bytes)
	if s.parked {
		why += "; some of them were moved out of the log to its own backlog (parked)"
	}
	if l := x.b.queueLimit(); x.b.conf().Session.OnFull == config.DropOldest && (l.messages > 0 || l.bytes > 0) {
		why += fmt.Sprintf("; past %d messages or %d bytes (0: no limit) the oldest are dropped (queue_full)", l.messages, l.bytes)
	}
	effect := EffectDelays
	if s.connected && s.waiting.isZero() && !s.parked {
		effect, why = EffectNone, "it reads what it missed from the log, and has nothing to wait for that is known"
	}
	x.e.add(ExplainStep{Name: "backlog", What: "what waits for the session", Why: why + map[bool]string{true: "."}[effect == EffectDelays], Effect: effect})
}
