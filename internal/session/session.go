// Package session is the protocol state of one client that survives its connections: what is in flight in either
// direction, packet identifiers, and the bounded queue of what is to be sent next.
//
// It is pure: packets and the time go in, effects come out. It has no goroutine, no lock, no clock and no I/O; whoever
// owns a Session serialises the calls.
package session

import (
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// Options are a session's limits, fixed for its life.
type Options struct {
	ReceiveMaximum int   // unacknowledged QoS 1 and 2 PUBLISH packets that the client may have under way to us
	InFlightMax    int   // the same towards the client, where its own receive maximum does not say less
	QueueMax       int   // messages waiting to be sent
	QueueMaxBytes  int64 // their payloads, topics and properties
}

// Connection is what a session must know of the connection that it is attached to.
type Connection struct {
	Version        mqtt.Version
	ReceiveMaximum int // the client's, 65,535 where it said nothing
}

// Delivery is one message on its way to one session.
type Delivery struct {
	Message         *message.Message
	QoS             mqtt.QoS // the lower of the message's and the subscription's
	Retain          bool     // the RETAIN flag to send
	SubscriptionIDs []uint32
	Position        message.Position // where it stands in the log; zero: not from the log
	Group           any              // the shared group that assigned it; nil: none
}

// Inbound is what to do with a PUBLISH packet that arrived.
type Inbound uint8

// The verdicts on an incoming PUBLISH packet.
const (
	// Process: route it, then call PublishDone.
	Process Inbound = iota
	// Answer: its QoS 2 identifier is known and its message owned already: send PUBREC again, route nothing [MQTT-4.3.3-10].
	Answer
	// Wait: the first PUBLISH with this QoS 2 identifier is still under way, and its own PUBREC will answer both.
	Wait
	// QuotaExceeded: a version 5 client passed the receive maximum: DISCONNECT 0x93 [MQTT-3.3.4-8].
	QuotaExceeded
)

// Kind says what Next returned.
type Kind uint8

// What there is to send.
const (
	SendPublish Kind = iota // a PUBLISH packet: the delivery, with PacketID (0 for QoS 0) and Dup
	SendPubrel              // a PUBREL packet with PacketID
	Dropped                 // nothing to send: the delivery was dropped for Reason
)

// Send is the next thing for the connection.
type Send struct {
	Kind     Kind
	PacketID uint16
	Dup      bool
	Delivery Delivery
	Reason   message.DropReason
}
