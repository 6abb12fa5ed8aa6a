package session

import (
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// Enqueue puts a delivery behind all others. DropQueueFull says that the queue is at a limit and d was not taken.
//
// The limit in bytes is reached by the message that passes it, so that a delivery is taken whenever Room is not 0,
// whatever its size. Another copy of the message that was queued last is taken even so, since a limit in bytes should not
// cut between the copies that several subscriptions get of one message.
//
// The session holds what it took until it gives it back: as Send.Delivery that has no packet identifier, or as the result
// of whatever else removes a delivery. Whoever gets it releases it, or leaves it to the garbage collector.
func (s *Session) Enqueue(d Delivery) message.DropReason {
	q := &s.q
	if s.opts.QueueMax > 0 && q.n >= s.opts.QueueMax {
		return message.DropQueueFull
	}
	if q.bytes >= s.opts.QueueMaxBytes && s.opts.QueueMaxBytes > 0 && q.at(q.n-1).Message != d.Message {
		return message.DropQueueFull
	}
	d.Message.Hold()
	q.push(&d)
	return message.NotDropped
}

// EnqueueFront puts deliveries, in their order, before all others in the queue. They were accepted once, so no limit
// applies.
func (s *Session) EnqueueFront(ds []Delivery) {
	for i := len(ds) - 1; i >= 0; i-- {
		s.q.pushFront(&ds[i])
	}
}

// Room returns how many messages the queue can take before QueueMax, and 0 when it is at QueueMaxBytes. Without a
// QueueMax it is math.MaxInt.
func (s *Session) Room() int {
	if s.opts.QueueMaxBytes > 0 && s.q.bytes >= s.opts.QueueMaxBytes {
		return 0
	}
	if s.opts.QueueMax <= 0 {
		return math.MaxInt
	}
	return max(0, s.opts.QueueMax-s.q.n)
}

// Queued returns how many messages wait to be sent for the first time.
func (s *Session) Queued() int { return s.q.n }

// QueuedBytes returns their size as QueueMaxBytes counts it.
func (s *Session) QueuedBytes() int64 { return s.q.bytes }

// Next returns what to do next for the connection, and false when that is nothing for now. What is due again comes
// first, then the queue. Call it until it returns false, as long as the connection takes what it gives.
//
// The client's receive maximum and InFlightMax, whichever is less, bound the QoS 1 messages without PUBACK and the QoS 2
// messages without PUBCOMP [MQTT-3.3.4-7]. At the bound the queue stands still, also for QoS 0 messages behind
// a QoS 1 or 2 message: one order for all of a session's messages is what subscribers expect, and a message overtaken
// by every later one would be hard to explain. The standard allows either [MQTT-4.9.0-2].
//
// Messages in the queue expire [MQTT-3.3.2-5]; those in flight never do [MQTT-4.3.3-7].
func (s *Session) Next(now time.Time) (send Send, ok bool) {
	if !s.attached {
		return send, false
	}
	if s.out.due > 0 {
		return s.resend()
	}
	if len(s.out.fresh) > 0 {
		return s.sendReady(), true
	}
	if s.q.n == 0 {
		return send, false
	}
	head := s.q.at(0)
	switch m := head.Message; {
	case m != nil && m.Expired(now):
		send.Kind, send.Reason = Dropped, message.DropExpired
		s.q.pop(&send.Delivery)
	case head.QoS == mqtt.AtMostOnce:
		s.q.pop(&send.Delivery)
	case s.room():
		s.q.pop(&send.Delivery)
		send.PacketID = s.out.nextID(s.opts.GroupIDs)
		s.out.add(send.PacketID, &send.Delivery)
	default:
		return send, false
	}
	return send, true
}

// Sends reports whether there is anything that Next may return, now or when there is room.
func (s *Session) Sends() bool {
	return s.attached && (s.out.due > 0 || len(s.out.fresh) > 0 || s.q.n > 0)
}

// room reports whether one more QoS 1 or 2 message may be on its way.
func (s *Session) room() bool {
	return s.out.outstanding() < s.window && (s.opts.InFlightMaxBytes <= 0 || s.out.bytes < s.opts.InFlightMaxBytes || s.out.due > 0)
}

func (s *Session) resend() (send Send, ok bool) {
	e := s.out.nextDue(s.room())
	if e == nil {
		return send, false
	}
	s.out.sent(e)
	send.PacketID, send.Delivery = e.id, e.Delivery
	if e.released {
		send.Kind = SendPubrel
	} else {
		send.Dup = true
	}
	return send, true
}

// Pass is Enqueue and Next in one, for a delivery that has not expired and a session that has nothing to send before
// it and room for it: d is to be sent now, with that packet identifier. If ok is false nothing has changed, and
// d belongs into the queue.
func (s *Session) Pass(d *Delivery) (id uint16, ok bool) {
	switch {
	case !s.attached || s.q.n > 0 || s.out.due > 0:
		return 0, false
	case d.QoS == mqtt.AtMostOnce:
		return 0, true
	case !s.room():
		return 0, false
	}
	id = s.out.nextID(s.opts.GroupIDs)
	d.Message.Hold()
	s.out.add(id, d)
	return id, true
}

// Discard says that the PUBLISH packet that Next just returned is longer than the client's maximum packet size. It counts
// as delivered, and its identifier is free [MQTT-3.1.2-25]. For QoS 0, with identifier 0, there is nothing to do.
func (s *Session) Discard(id uint16) {
	if e := s.out.get(id); e != nil && !e.released {
		d := s.out.remove(id)
		d.Message.Release()
	}
}

// ReceivePuback ends a QoS 1 delivery, whatever the code says [MQTT-4.4.0-2]. ok is false when the session has no
// QoS 1 delivery with that identifier, or had it taken away by TakeGroup.
func (s *Session) ReceivePuback(id uint16, _ mqtt.ReasonCode) (d Delivery, ok bool) {
	e := s.out.known(id)
	if e == nil || e.QoS != mqtt.AtLeastOnce {
		return Delivery{}, false
	}
	if e.taken {
		s.out.remove(id)
		return Delivery{}, false
	}
	return s.out.remove(id), true
}

// PubrecResult says what a PUBREC packet meant.
type PubrecResult struct {
	Known    bool // it belongs to a QoS 2 delivery; if not, answer PUBREL, with 0x92 for version 5
	Release  bool // answer PUBREL, once the release is kept
	Finished bool // the client refused the message: the delivery is over and its identifier free
	Delivery Delivery
}

// ReceivePubrec takes the client's receipt for a QoS 2 delivery. From then on its PUBLISH is not sent again
// [MQTT-4.3.3-6]. A second PUBREC gets a second PUBREL, whatever its code: only PUBCOMP ends what PUBREL has begun
// [MQTT-4.3.3-5].
func (s *Session) ReceivePubrec(id uint16, code mqtt.ReasonCode) PubrecResult {
	e := s.out.known(id)
	if e == nil || e.QoS != mqtt.ExactlyOnce {
		return PubrecResult{}
	}
	if code.Failed() && !e.released {
		return PubrecResult{Known: true, Finished: true, Delivery: s.out.remove(id)}
	}
	s.out.sent(e) // the PUBREL that goes out now is the one that may have been due
	e.released = true
	return PubrecResult{Known: true, Release: true, Delivery: e.Delivery}
}

// ReceivePubcomp ends a QoS 2 delivery, whatever the code says. ok is false, and nothing changed, when no QoS 2 delivery
// with that identifier has had its PUBREC.
//
// The identifier can be assigned again from now on. For a session that survives a crash, call it when the identifier's
// removal is kept.
func (s *Session) ReceivePubcomp(id uint16, _ mqtt.ReasonCode) (d Delivery, ok bool) {
	e := s.out.known(id)
	if e == nil || !e.released {
		return Delivery{}, false
	}
	return s.out.remove(id), true
}

// Outstanding reports whether a delivery has that packet identifier.
func (s *Session) Outstanding(id uint16) bool { return s.out.known(id) != nil }

// InFlightBytes returns the size of what is in flight, counted as QueuedBytes is.
func (s *Session) InFlightBytes() int64 { return s.out.bytes }

// InFlight returns how many deliveries have an identifier and are not finished.
func (s *Session) InFlight() int { return s.out.n - int(s.out.taken) }

// LastID returns the packet identifier that was assigned last; 0: none yet.
func (s *Session) LastID() uint16 { return s.out.lastID }

// InFlightDeliveries lists what is in flight, in the order of its first transmission. Nothing may be changed meanwhile.
func (s *Session) InFlightDeliveries() iter.Seq[InFlight] {
	return func(yield func(InFlight) bool) {
		if s.out.n == 0 {
			return
		}
		for i := s.out.first; i != none; i = s.out.slots[i].next {
			e := &s.out.slots[i]
			if !e.taken && !yield(InFlight{PacketID: e.id, Released: e.released, Delivery: e.Delivery}) {
				return
			}
		}
	}
}

// Restore makes what InFlightDeliveries and LastID returned once the state of a session without a connection. On an
// error nothing has changed.
func (s *Session) Restore(lastID uint16, flights []InFlight) error {
	out := inFlight{lastID: lastID}
	for _, f := range flights {
		switch d := f.Delivery; {
		case f.PacketID == 0, out.get(f.PacketID) != nil:
			return fmt.Errorf("session: restore: packet identifier %d is zero or there twice", f.PacketID)
		case d.QoS != mqtt.ExactlyOnce && (d.QoS != mqtt.AtLeastOnce || f.Released):
			return fmt.Errorf("session: restore: packet identifier %d has QoS %d, released %t", f.PacketID, d.QoS, f.Released)
		}
		out.add(f.PacketID, &f.Delivery).released = f.Released
	}
	s.out = out
	return nil
}

// TakeGroup removes and returns, in order, the deliveries that a shared group assigned and that match: the QoS 1
// deliveries in flight, and what waits in the queue. They go to other members. QoS 2 deliveries in flight stay
// with the session [MQTT-4.8.2-4] [MQTT-4.8.2-5]. What was assigned and not sent is for TakeUnsent.
//
// It is for a member that leaves for good or whose connection ends, before or after Detach. A member that merely
// unsubscribes is to get what was begun [MQTT-3.10.4-3]. If its connection goes on all the same, the client answers
// what it was sent, and counts it against its receive maximum until then; so does the session.
func (s *Session) TakeGroup(match func(Delivery) bool) []Delivery {
	var taken []Delivery
	if s.out.n > 0 {
		for i := s.out.first; i != none; {
			e := &s.out.slots[i]
			i = e.next
			if e.QoS != mqtt.AtLeastOnce || e.Group == nil || e.taken || e.unsent || !match(e.Delivery) {
				continue
			}
			taken = append(taken, e.Delivery)
			s.out.take(e, s.attached && !e.due)
		}
	}
	return append(taken, s.q.take(func(d Delivery) bool { return d.Group != nil && match(d) })...)
}
