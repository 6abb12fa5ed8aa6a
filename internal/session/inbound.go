package session

import (
	"fmt"
	"iter"

	"github.com/barid-mqtt/barid/mqtt"
)

// inbound is what the client has under way to us.
type inbound struct {
	ids     idTable // QoS 2 identifiers → inboundEntry
	pending int     // identifiers in state InboundPending
	quota   int     // identifiers whose PUBLISH came on this connection: they hold a place until PUBCOMP
	qos1    int     // QoS 1 PUBLISH packets of this connection without a PUBACK
}

// InboundState says how far a QoS 2 message from the client has come.
type InboundState uint8

// The states of a QoS 2 identifier of the client.
const (
	InboundPending   InboundState = iota // PUBLISH has come; its message is not ours yet
	InboundReceived                      // the message is ours: PUBREC
	InboundReleasing                     // PUBREL has come; the identifier's removal is not kept yet
)

// String returns the state's name.
func (s InboundState) String() string {
	switch s {
	case InboundPending:
		return "pending"
	case InboundReceived:
		return "received"
	case InboundReleasing:
		return "releasing"
	}
	return fmt.Sprintf("InboundState(%d)", uint8(s))
}

// inboundCounted marks an identifier that holds a place in the quota of this connection. A PUBREL that is repeated on a
// new connection holds none: only PUBLISH packets count.
const inboundCounted = 1 << 8

func inboundStateOf(value uint16) InboundState { return InboundState(value & 0xFF) }

// restartQuota begins the accounting of a new connection.
func (in *inbound) restartQuota() {
	in.qos1, in.quota = 0, 0
	for i := range in.ids.slots {
		in.ids.slots[i].value &^= inboundCounted
	}
}

// forget removes an identifier that is held with value.
func (in *inbound) forget(id, value uint16) {
	if value&inboundCounted != 0 {
		in.quota--
	}
	in.ids.remove(id)
}

// ReceivePublish says what to do with a PUBLISH packet. After Process, and only then, PublishDone must follow.
//
// Ask InboundPaused before every PUBLISH packet: it keeps a client that sends QoS 1 faster than we can own it waiting,
// where the packet alone would have to be judged a violation of the receive maximum or be let through.
func (s *Session) ReceivePublish(id uint16, qos mqtt.QoS) Inbound {
	in, v5 := &s.in, s.version >= mqtt.V5
	switch qos {
	case mqtt.AtMostOnce:
		return Process
	case mqtt.AtLeastOnce:
		// Waiting does not help when QoS 2 alone has used the quota up: only the client can free it.
		if v5 && in.quota >= s.opts.ReceiveMaximum {
			return QuotaExceeded
		}
		in.qos1++
		return Process
	}
	value, held := in.ids.get(id)
	if value&inboundCounted == 0 {
		if v5 && in.qos1+in.quota >= s.opts.ReceiveMaximum {
			return QuotaExceeded
		}
		in.quota++
		in.ids.set(id, value|inboundCounted) // the zero state is InboundPending
	}
	switch {
	case !held:
		in.pending++
		return Process
	case inboundStateOf(value) == InboundPending:
		return Wait
	}
	return Answer
}

// PublishDone says that the message of a PUBLISH packet is owned, or refused with a code of 0x80 or more. After it the
// client may be answered: QoS 1 leaves the quota; QoS 2 has its identifier held from now on or, refused, forgotten, so
// that the identifier's next PUBLISH is a new message [MQTT-4.3.3-9].
//
// answer reports whether the client waits for PUBACK or PUBREC on the connection that the session has now. For QoS 2 it
// is false if the packet is of an earlier connection and has not come again on this one, and true if it has: its
// repetition was told to Wait. QoS 1 has no state beyond its connection: do not call PublishDone for a QoS 1 packet of an
// earlier one, and do not answer it. The client repeats it, perhaps has its identifier acknowledged and assigned
// anew, and would take a second PUBACK for that of another message.
func (s *Session) PublishDone(id uint16, qos mqtt.QoS, code mqtt.ReasonCode) (answer bool) {
	in := &s.in
	switch qos {
	case mqtt.AtMostOnce:
		return false
	case mqtt.AtLeastOnce:
		if in.qos1 == 0 {
			return false
		}
		in.qos1--
		return s.attached
	}
	value, held := in.ids.get(id)
	if !held || inboundStateOf(value) != InboundPending {
		return false
	}
	in.pending--
	if code.Failed() {
		in.forget(id, value)
	} else {
		in.ids.set(id, value&inboundCounted|uint16(InboundReceived))
	}
	return s.attached && value&inboundCounted != 0
}

// ReceivePubrel begins the release of a QoS 2 identifier; PubrelDone ends it. An identifier that is not held is not
// known: it gets PUBCOMP at once, with 0x92 for version 5. So is one whose message is not owned yet, since no PUBREC
// has gone out that a PUBREL could answer.
func (s *Session) ReceivePubrel(id uint16) (known bool) {
	value, held := s.in.ids.get(id)
	if !held || inboundStateOf(value) == InboundPending {
		return false
	}
	s.in.ids.set(id, value&inboundCounted|uint16(InboundReleasing))
	return true
}

// PubrelDone says that a QoS 2 identifier's removal is kept: it is forgotten, its place in the quota is free, and PUBCOMP
// may go out. One that is not being released is left alone, so that the second of two equal PUBREL packets does not
// forget a message that has come under the same identifier in between.
func (s *Session) PubrelDone(id uint16) {
	if value, held := s.in.ids.get(id); held && inboundStateOf(value) == InboundReleasing {
		s.in.forget(id, value)
	}
}

// InboundPaused reports whether the next PUBLISH packet must wait because as many as the receive maximum are without an
// answer, and it is for us to make room. Other packets need not wait, and must not [MQTT-4.9.0-3].
//
// In version 5 all that is unacknowledged counts, but only QoS 1 makes the client wait: room below QoS 2 identifiers is
// made by its PUBREL, which might stand behind the PUBLISH that we do not read. Before version 5 the protocol knows no
// receive maximum, and what counts is what we have not owned yet, at either level.
func (s *Session) InboundPaused() bool {
	in := &s.in
	if s.version >= mqtt.V5 {
		return in.qos1 > 0 && in.qos1+in.quota >= s.opts.ReceiveMaximum
	}
	return in.qos1+in.pending >= s.opts.ReceiveMaximum
}

// InboundIDs lists the client's QoS 2 identifiers with their states, in no particular order. Nothing may be changed
// meanwhile.
//
// What a snapshot must hold depends on what was committed before it: without anything under way, all of them are
// InboundReceived.
func (s *Session) InboundIDs() iter.Seq2[uint16, InboundState] {
	return func(yield func(uint16, InboundState) bool) {
		for _, slot := range s.in.ids.slots {
			if slot.id != 0 && !yield(slot.id, inboundStateOf(slot.value)) {
				return
			}
		}
	}
}

// RestoreInbound makes ids the QoS 2 identifiers whose messages are ours and which the client has not released.
func (s *Session) RestoreInbound(ids []uint16) {
	s.in = inbound{}
	for _, id := range ids {
		if id != 0 {
			s.in.ids.set(id, uint16(InboundReceived))
		}
	}
}
