package session

import (
	"slices"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// subscriber is a client that receives, with the broker's end of its connection.
type subscriber struct {
	*sim
	n int
	link
	granted mqtt.QoS

	// The broker's.
	session *Session
	backlog []Delivery        // routed, and not given to the session
	sentAs  map[uint32]uint16 // copies that were sent → their packet identifiers
	left    bool              // the group, on this connection
	dropped map[*note]bool    // at least one copy expired, was too large, or the client refused it

	// The client's own state.
	receiveMaximum int
	unordered      bool            // it answers in any order
	got            []*note         // what its application got, in order
	held           map[uint16]bool // QoS 2 identifiers between PUBREC and PUBREL
	open           map[uint16]bool // received on this connection, and neither PUBACK nor PUBCOMP sent
	answers        []frame         // not sent yet
	received       map[uint32]bool // copies that came
	latest         uint32          // of them, the last that came for the first time
}

func newSubscriber(s *sim, n int) *subscriber {
	return &subscriber{
		sim: s, n: n, granted: mqtt.QoS(s.r.IntN(3)), unordered: s.r.IntN(2) == 0,
		session: New(Options{InFlightMax: 1 + s.r.IntN(10), QueueMax: 1 + s.r.IntN(10)}),
		sentAs:  map[uint32]uint16{}, dropped: map[*note]bool{}, held: map[uint16]bool{},
		received: map[uint32]bool{},
	}
}

func (c *subscriber) connect() {
	if c.up {
		return
	}
	c.up, c.epoch, c.left = true, c.epoch+1, false
	c.receiveMaximum = 1 + c.r.IntN(6)
	c.open, c.answers = map[uint16]bool{}, nil
	c.session.Attach(Connection{Version: mqtt.V5, ReceiveMaximum: c.receiveMaximum})
}

// disconnect takes back what the session did not send, and what the group can give to others. A broker may do either
// first.
func (c *subscriber) disconnect() {
	if !c.up {
		return
	}
	c.breakDown()
	c.counts.broken++
	if c.chance(50) {
		c.leave()
	}
	var own, group []Delivery
	for _, d := range c.session.Detach() {
		if d.Group != nil {
			group = append(group, d)
		} else {
			own = append(own, d)
		}
	}
	c.backlog = append(own, c.backlog...)
	c.shared = append(group, c.shared...)
	c.leave()
}

// leave gives the group what it may give to others, and perhaps while the connection goes on.
func (c *subscriber) leave() {
	c.left = true
	group := c.session.TakeGroup(func(Delivery) bool { return true })
	c.counts.regrouped += len(group)
	c.shared = append(group, c.shared...)
}

func (c *subscriber) idle() bool {
	return c.up && len(c.backlog)+len(c.answers)+len(c.toBroker)+len(c.toClient) == 0 &&
		c.session.Queued()+c.session.InFlight() == 0
}

// assign gives the group's next message to a member that has room.
func (s *sim) assign() {
	c := s.subs[s.r.IntN(len(s.subs))]
	if len(s.shared) == 0 || !c.up || c.session.Room() == 0 {
		return
	}
	d := s.shared[0]
	d.QoS = min(s.byMessage[d.Message].qos, c.granted)
	s.shared = s.shared[1:]
	if reason := c.session.Enqueue(d); reason != message.NotDropped {
		s.errorf("a queue with room answers %s", reason)
	}
}

// feed moves the backlog into the session's queue as far as there is room.
func (c *subscriber) feed() {
	for c.up && len(c.backlog) > 0 && c.session.Room() > 0 {
		if reason := c.session.Enqueue(c.backlog[0]); reason != message.NotDropped {
			c.errorf("a queue with room answers %s", reason)
		}
		c.backlog = c.backlog[1:]
	}
}

// pump writes what the session has to say, as far as the connection takes it.
func (c *subscriber) pump(most int) {
	for range most {
		send, ok := c.session.Next(c.now)
		if !ok {
			return
		}
		limit := min(c.receiveMaximum, c.session.opts.InFlightMax)
		if send.Kind == SendPublish && send.PacketID != 0 && c.session.out.outstanding() > limit {
			c.errorf("subscriber %d: %d outstanding of %d", c.n, c.session.out.outstanding(), limit)
		}
		c.write(send)
	}
}

func (c *subscriber) write(send Send) {
	d := send.Delivery
	n, number := c.byMessage[d.Message], d.Position.Index
	id, before := c.sentAs[number]
	switch send.Kind {
	case SendPubrel:
		if !before || id != send.PacketID {
			c.errorf("PUBREL %d for copy %d that was sent as %d", send.PacketID, number, id)
		}
		c.toClient = append(c.toClient, frame{typ: mqtt.PUBREL, id: send.PacketID})
		c.counts.released++
		return
	case Dropped:
		if !n.message.Expired(c.now) || send.Reason != message.DropExpired {
			c.errorf("copy %d dropped: %s", number, send.Reason)
		}
		c.dropped[n] = true
		c.counts.expired++
		return
	}
	if send.Dup {
		c.counts.repeated++
	}
	switch { // a shared message that came back is new to the member that gets it again
	case send.Dup != before && d.Group == nil:
		c.errorf("copy %d: DUP %t, sent before: %t", number, send.Dup, before)
	case send.Dup && id != send.PacketID:
		c.errorf("copy %d was sent as %d and is now %d", number, id, send.PacketID)
	case (send.PacketID == 0) != (d.QoS == 0):
		c.errorf("QoS %d with identifier %d", d.QoS, send.PacketID)
	}
	if d.QoS > 0 {
		c.sentAs[number] = send.PacketID
	}
	if n.big {
		c.dropped[n] = true
		c.session.Discard(send.PacketID)
		return
	}
	c.toClient = append(c.toClient, frame{typ: mqtt.PUBLISH, id: send.PacketID, qos: d.QoS, dup: send.Dup, note: n, copy: number})
}

// clientReceives takes one packet from the link.
func (c *subscriber) clientReceives() {
	if !c.up || len(c.toClient) == 0 {
		return
	}
	f := c.toClient[0]
	c.toClient = c.toClient[1:]
	c.order(f)
	c.counts.received++
	switch {
	case f.typ == mqtt.PUBREL:
		delete(c.held, f.id)
		c.answers = append(c.answers, frame{typ: mqtt.PUBCOMP, id: f.id})
		return
	case f.qos == mqtt.AtMostOnce:
		c.got = append(c.got, f.note)
		return
	case c.open[f.id]:
		c.errorf("subscriber %d: identifier %d again on the same connection, DUP %t", c.n, f.id, f.dup)
	case c.held[f.id] && !f.dup:
		c.errorf("subscriber %d: identifier %d for a new message while it is in use", c.n, f.id)
	}
	c.open[f.id] = true
	if len(c.open) > c.receiveMaximum {
		c.errorf("subscriber %d: %d packets of a receive maximum of %d", c.n, len(c.open), c.receiveMaximum)
	}
	a := frame{typ: mqtt.PUBACK, id: f.id}
	if f.qos == mqtt.ExactlyOnce {
		a.typ = mqtt.PUBREC
	}
	switch {
	case c.held[f.id]: // the application has it
	case c.chance(3):
		a.code = mqtt.ImplementationSpecificError
		c.dropped[f.note] = true
	default:
		c.got = append(c.got, f.note)
		if f.qos == mqtt.ExactlyOnce {
			c.held[f.id] = true
		}
	}
	c.answers = append(c.answers, a)
}

// order checks that copies come for the first time in the order in which they were routed, at whatever QoS.
func (c *subscriber) order(f frame) {
	if f.typ != mqtt.PUBLISH || f.note.shared || c.received[f.copy] {
		return
	}
	if f.copy < c.latest {
		c.errorf("subscriber %d: copy %d comes after %d", c.n, f.copy, c.latest)
	}
	c.latest, c.received[f.copy] = f.copy, true
}

// answer sends one acknowledgement, the oldest or any.
func (c *subscriber) answer() {
	if !c.up || len(c.answers) == 0 {
		return
	}
	i := 0
	if c.unordered {
		i = c.r.IntN(len(c.answers))
	}
	a := c.answers[i]
	c.answers = slices.Delete(c.answers, i, i+1)
	if a.typ != mqtt.PUBREC || a.code.Failed() {
		delete(c.open, a.id)
	}
	c.toBroker = append(c.toBroker, a)
}

// brokerReceives takes one acknowledgement from the link.
func (c *subscriber) brokerReceives() {
	if !c.up || len(c.toBroker) == 0 {
		return
	}
	a := c.toBroker[0]
	c.toBroker = c.toBroker[1:]
	known := true
	switch a.typ {
	case mqtt.PUBACK:
		_, known = c.session.ReceivePuback(a.id, a.code)
		known = known || c.left // and so it may have been taken away
	case mqtt.PUBCOMP:
		_, known = c.session.ReceivePubcomp(a.id, a.code)
	case mqtt.PUBREC:
		r := c.session.ReceivePubrec(a.id, a.code)
		known = r.Known
		if r.Release {
			c.toClient = append(c.toClient, frame{typ: mqtt.PUBREL, id: a.id})
		}
	}
	if !known {
		c.errorf("subscriber %d: %s for identifier %d is unknown", c.n, a.typ, a.id)
	}
}
