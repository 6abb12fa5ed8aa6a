package mqtt

import (
	"errors"
	"fmt"
	"strings"
)

// ErrIncomplete says that the bytes at hand end within a fixed header: read more and try again.
var ErrIncomplete = errors.New("mqtt: fixed header is incomplete")

// DecodeError says what is wrong with a packet. It unwraps to its Code, so errors.Is(err, MalformedPacket) works.
type DecodeError struct {
	Code      ReasonCode // what to tell the peer, if anything
	Offset    int        // where in the packet's body; in its fixed header if that is what is wrong
	Packet    Type
	Statement string // the statement that is broken, for example "MQTT-3.3.2-2", as the packet's version numbers it; may be ""
	Reason    string // what is wrong, for people
}

// Error implements error, in the form "PUBLISH: topic name holds a wildcard at offset 2 [MQTT-3.3.2-2]".
func (e *DecodeError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s at offset %d", e.Packet, e.Reason, e.Offset)
	if e.Statement != "" {
		fmt.Fprintf(&s, " [%s]", e.Statement)
	}
	return s.String()
}

// Unwrap returns the error's reason code.
func (e *DecodeError) Unwrap() error { return e.Code }

// EncodeError says why a packet has no encoding.
type EncodeError struct {
	Packet Type
	Reason string
}

// Error implements error, in the form "PUBLISH: topic name is empty".
func (e *EncodeError) Error() string { return e.Packet.String() + ": " + e.Reason }

// TopicError says why a string is no topic name or topic filter. It unwraps to its Code, which is TopicNameInvalid or
// TopicFilterInvalid.
type TopicError struct {
	Code      ReasonCode
	Topic     string
	Statement string // as version 5 numbers it
	Reason    string
}

// Error implements error, in the form `topic filter "a#" has a # that is not a level of its own [MQTT-4.7.1-1]`.
func (e *TopicError) Error() string {
	kind := "topic name"
	if e.Code == TopicFilterInvalid {
		kind = "topic filter"
	}
	const shown = 64 // topics come from clients and may be long
	topic := e.Topic
	if len(topic) > shown {
		topic = topic[:shown]
	}
	return fmt.Sprintf("%s %q %s [%s]", kind, topic, e.Reason, e.Statement)
}

// Unwrap returns the error's reason code.
func (e *TopicError) Unwrap() error { return e.Code }
