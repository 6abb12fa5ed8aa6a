package session

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// publisher is a client that publishes, with the broker's end of its connection.
type publisher struct {
	*sim
	n int
	link
	version mqtt.Version
	session *Session // the broker's

	// The client's own state.
	seq     int
	lastID  uint16
	flights []*publishing // in order
	used    int           // of the broker's receive maximum, on this connection
}

type publishing struct {
	id       uint16
	note     *note
	released bool
	counted  bool // took a place in the quota of this connection
}

// commit is something that the broker wrote and waits for.
type commit struct {
	p     *publisher
	epoch int
	frame frame
}

func newPublisher(s *sim, n int) *publisher {
	version := []mqtt.Version{mqtt.V311, mqtt.V5}[s.r.IntN(2)]
	return &publisher{sim: s, n: n, version: version, session: New(Options{ReceiveMaximum: 1 + s.r.IntN(6)})}
}

func (p *publisher) connect() {
	if p.up {
		return
	}
	p.up, p.epoch, p.used = true, p.epoch+1, 0
	p.session.Attach(Connection{Version: p.version, ReceiveMaximum: 65535})
	for _, f := range p.flights {
		f.counted = false
		if f.released {
			p.toBroker = append(p.toBroker, frame{typ: mqtt.PUBREL, id: f.id})
		} else {
			p.send(f, true)
		}
	}
}

func (p *publisher) disconnect() {
	if p.up {
		p.breakDown()
		p.session.Detach()
	}
}

func (p *publisher) idle() bool {
	return p.up && len(p.flights) == 0 && len(p.toBroker)+len(p.toClient) == 0
}

// publish sends a new message, if the quota allows it. Before version 5 there is none, so some clients take liberties.
func (p *publisher) publish() {
	n := &note{publisher: p.n, qos: mqtt.QoS(p.r.IntN(3)), shared: p.chance(20), big: p.chance(5)}
	full := p.used >= p.session.opts.ReceiveMaximum && n.qos > 0
	if p.calm || !p.up || full && (p.version == mqtt.V5 || len(p.flights) > 20) {
		return
	}
	p.seq++
	n.seq, n.message = p.seq, &message.Message{QoS: n.qos, ClientID: "publisher"}
	if p.chance(20) {
		n.message.ExpiresAt = p.now.Add(rand.N(time.Hour))
	}
	p.notes = append(p.notes, n)
	p.byMessage[n.message] = n
	f := &publishing{note: n}
	if n.qos > 0 {
		f.id = p.freeID()
		p.flights = append(p.flights, f)
	}
	p.send(f, false)
}

func (p *publisher) freeID() uint16 {
	for {
		p.lastID++
		if p.chance(10) {
			p.lastID = uint16(p.r.Uint32())
		}
		if p.lastID != 0 && p.flight(p.lastID) == nil {
			return p.lastID
		}
	}
}

func (p *publisher) flight(id uint16) *publishing {
	i := slices.IndexFunc(p.flights, func(f *publishing) bool { return f.id == id })
	if i < 0 {
		return nil
	}
	return p.flights[i]
}

func (p *publisher) send(f *publishing, dup bool) {
	if f.note.qos > 0 {
		p.used++
		f.counted = true
	}
	p.toBroker = append(p.toBroker, frame{typ: mqtt.PUBLISH, id: f.id, qos: f.note.qos, dup: dup, note: f.note})
}

// brokerReceives takes one packet from the link, unless it is a PUBLISH that must wait.
func (p *publisher) brokerReceives() {
	if !p.up || len(p.toBroker) == 0 {
		return
	}
	f := p.toBroker[0]
	if f.typ == mqtt.PUBLISH && p.session.InboundPaused() {
		return
	}
	p.toBroker = p.toBroker[1:]
	switch {
	case f.typ == mqtt.PUBLISH:
		p.brokerPublish(f)
	case p.session.ReceivePubrel(f.id):
		p.commits = append(p.commits, commit{p, p.epoch, f})
	default:
		p.toClient = append(p.toClient, frame{typ: mqtt.PUBCOMP, id: f.id, code: mqtt.PacketIDNotFound})
	}
}

func (p *publisher) brokerPublish(f frame) {
	switch v := p.session.ReceivePublish(f.id, f.qos); v {
	case Process:
		if f.qos == mqtt.AtMostOnce {
			p.route(f.note)
			return
		}
		p.commits = append(p.commits, commit{p, p.epoch, f})
	case Answer:
		p.toClient = append(p.toClient, frame{typ: mqtt.PUBREC, id: f.id})
	case Wait:
	default:
		p.errorf("publisher %d keeps to the receive maximum and gets verdict %d", p.n, v)
	}
}

// commit ends the oldest write.
func (s *sim) commit() {
	if len(s.commits) == 0 {
		return
	}
	c := s.commits[0]
	s.commits = s.commits[1:]
	p, f := c.p, c.frame
	if f.typ == mqtt.PUBREL {
		p.session.PubrelDone(f.id)
		if p.up && p.epoch == c.epoch {
			p.toClient = append(p.toClient, frame{typ: mqtt.PUBCOMP, id: f.id})
		}
		return
	}
	code := mqtt.Success
	if p.version == mqtt.V5 && s.chance(3) {
		code, f.note.refused = mqtt.NotAuthorized, true
	} else {
		s.route(f.note)
	}
	// QoS 1 has no state beyond its connection, and is not told of packets of earlier ones. QoS 2 is.
	if f.qos == mqtt.AtLeastOnce && p.epoch != c.epoch || !p.session.PublishDone(f.id, f.qos, code) {
		return
	}
	typ := mqtt.PUBACK
	if f.qos == mqtt.ExactlyOnce {
		typ = mqtt.PUBREC
	}
	p.toClient = append(p.toClient, frame{typ: typ, id: f.id, code: code})
}

// route makes one copy of a message for every subscriber, or for the group.
func (s *sim) route(n *note) {
	n.routed++
	s.copies++
	d := Delivery{Message: n.message, QoS: n.qos, Position: message.Position{Block: 1, Index: s.copies}}
	if n.shared {
		d.Group = "group"
		s.shared = append(s.shared, d)
		return
	}
	for _, c := range s.subs {
		d.QoS = min(n.qos, c.granted)
		c.backlog = append(c.backlog, d)
	}
}

// clientReceives takes one acknowledgement from the link.
func (p *publisher) clientReceives() {
	if !p.up || len(p.toClient) == 0 {
		return
	}
	a := p.toClient[0]
	p.toClient = p.toClient[1:]
	f := p.flight(a.id)
	switch {
	case f == nil:
		if a.typ == mqtt.PUBREC {
			p.toBroker = append(p.toBroker, frame{typ: mqtt.PUBREL, id: a.id, code: mqtt.PacketIDNotFound})
		}
		return
	case a.typ == mqtt.PUBREC && !a.code.Failed():
		f.released = true
		p.toBroker = append(p.toBroker, frame{typ: mqtt.PUBREL, id: a.id})
		return
	}
	f.note.accepted = a.typ == mqtt.PUBCOMP || !a.code.Failed()
	if f.counted {
		p.used--
	}
	p.flights = slices.DeleteFunc(p.flights, func(g *publishing) bool { return g == f })
}
