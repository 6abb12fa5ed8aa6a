package mqtt

// rule is something that packets must obey: how a breach is answered, which statement it breaks and what to call it.
type rule struct {
	code   ReasonCode
	v5, v3 string // the statement's number in version 5 and in 3.1.1; "": it has none
	reason string // follows the field's name, where the rule is about any field
}

// at makes the error for a breach of the rule. what names the field, or is "".
func (r *rule) at(pkt Type, v Version, offset int, what string) *DecodeError {
	e := &DecodeError{Code: r.code, Offset: offset, Packet: pkt, Statement: r.v5, Reason: r.reason}
	if v != 0 && v < V5 {
		e.Statement = r.v3
	}
	if what != "" {
		e.Reason = what + " " + r.reason
	}
	return e
}

// Rules for the primitives.
var (
	ruleShort      = &rule{MalformedPacket, "", "", "is cut short"}
	ruleTrailing   = &rule{MalformedPacket, "", "", "bytes follow the end of the packet"}
	ruleOverlong   = &rule{MalformedPacket, "MQTT-1.5.5-1", "", "is not in its shortest form"}
	ruleLongVarint = &rule{MalformedPacket, "MQTT-1.5.5-1", "", "has more than four bytes"}
	ruleUTF8       = &rule{MalformedPacket, "MQTT-1.5.4-1", "MQTT-1.4.0-1", "is not well-formed UTF-8"}
	ruleNUL        = &rule{MalformedPacket, "MQTT-1.5.4-2", "MQTT-1.4.0-2", "holds U+0000"}
)

// Rules for fixed headers.
var (
	ruleType = &rule{MalformedPacket, "", "", "packet type 0 is reserved"}
	ruleAuth = &rule{ProtocolError, "", "", "the packet does not exist before version 5"}

	// Each packet type may have a flag rule of its own; where it has none it is this.
	ruleFlags = &rule{MalformedPacket, "MQTT-2.1.3-1", "MQTT-2.2.2-2", "reserved flags of the fixed header are wrong"}

	typeFlagRules = [16]*rule{
		PUBREL:      {MalformedPacket, "MQTT-3.6.1-1", "MQTT-3.6.1-1", ruleFlags.reason},
		SUBSCRIBE:   {MalformedPacket, "MQTT-3.8.1-1", "MQTT-3.8.1-1", ruleFlags.reason},
		UNSUBSCRIBE: {MalformedPacket, "MQTT-3.10.1-1", "MQTT-3.10.1-1", ruleFlags.reason},
		DISCONNECT:  {MalformedPacket, "MQTT-3.14.1-1", "MQTT-3.14.1-1", ruleFlags.reason},
		AUTH:        {MalformedPacket, "MQTT-3.15.1-1", "", ruleFlags.reason},
	}
)

// Rules for properties.
var (
	rulePropertyLength    = &rule{MalformedPacket, "MQTT-2.2.2-1", "", "property length is missing"}
	rulePropertyRoom      = &rule{MalformedPacket, "", "", "property length goes beyond the packet"}
	ruleUnknownProperty   = &rule{MalformedPacket, "", "", "property identifier is not known"}
	ruleMisplacedProperty = &rule{MalformedPacket, "", "", "is not a property of this packet"}
	ruleDuplicateProperty = &rule{ProtocolError, "", "", "is there twice"}
	ruleNotBoolean        = &rule{ProtocolError, "", "", "is neither 0 nor 1"}
	ruleZero              = &rule{ProtocolError, "", "", "is 0"}
	ruleZeroAlias         = &rule{TopicAliasInvalid, "MQTT-3.3.2-8", "", "topic alias is 0"}
	ruleResponseTopic     = &rule{ProtocolError, "MQTT-3.3.2-14", "", "response topic holds a wildcard"}
	ruleNoResponseTopic   = &rule{ProtocolError, "MQTT-4.7.3-1", "", "response topic is empty"}
	ruleNotForwarded      = &rule{ProtocolError, "", "", "there are properties that are not forwarded unaltered"}
	ruleAuthData          = &rule{ProtocolError, "", "", "authentication data comes without an authentication method"}
	ruleAuthMethod        = &rule{ProtocolError, "", "", "authentication method is missing"}
)

// Rules for CONNECT and CONNACK.
var (
	ruleProtocolName   = &rule{ProtocolError, "MQTT-3.1.2-1", "MQTT-3.1.2-1", "protocol name is unknown"}
	ruleProtocolLevel  = &rule{UnsupportedProtocolVersion, "MQTT-3.1.2-2", "MQTT-3.1.2-2", "protocol level is not supported"}
	ruleConnectFlag    = &rule{MalformedPacket, "MQTT-3.1.2-3", "MQTT-3.1.2-3", "reserved connect flag is set"}
	ruleNoWillQoS      = &rule{MalformedPacket, "MQTT-3.1.2-11", "MQTT-3.1.2-13", "will QoS is set without a will"}
	ruleWillQoS        = &rule{MalformedPacket, "MQTT-3.1.2-12", "MQTT-3.1.2-14", "will QoS is 3"}
	ruleNoWillRetain   = &rule{MalformedPacket, "MQTT-3.1.2-13", "MQTT-3.1.2-15", "will retain is set without a will"}
	rulePassword       = &rule{MalformedPacket, "", "MQTT-3.1.2-22", "password comes without a user name"}
	ruleWillWildcard   = &rule{MalformedPacket, "MQTT-4.7.0-1", "MQTT-4.7.1-1", "will topic holds a wildcard"}
	ruleNoWillTopic    = &rule{MalformedPacket, "MQTT-4.7.3-1", "MQTT-4.7.3-1", "will topic is empty"}
	ruleConnackFlags   = &rule{MalformedPacket, "MQTT-3.2.2-1", "", "reserved acknowledge flags are set"}
	ruleReturnCode     = &rule{ProtocolError, "", "", "return code is reserved"}
	ruleSessionPresent = &rule{ProtocolError, "MQTT-3.2.2-6", "MQTT-3.2.2-4", "session present is set with an error"}
)

// Rules for PUBLISH.
var (
	ruleQoS            = &rule{MalformedPacket, "MQTT-3.3.1-4", "MQTT-3.3.1-4", "QoS is 3"}
	ruleDup            = &rule{MalformedPacket, "MQTT-3.3.1-2", "MQTT-3.3.1-2", "DUP is set with QoS 0"}
	ruleTopicWildcard  = &rule{MalformedPacket, "MQTT-3.3.2-2", "MQTT-3.3.2-2", "topic name holds a wildcard"}
	ruleNoTopic        = &rule{MalformedPacket, "MQTT-4.7.3-1", "MQTT-4.7.3-1", "topic name is empty"}
	ruleNoTopicOrAlias = &rule{ProtocolError, "MQTT-4.7.3-1", "", "topic name is empty and there is no topic alias"}
)

// Rules for subscribing.
var (
	ruleNoFilters     = &rule{ProtocolError, "MQTT-3.8.3-2", "MQTT-3.8.3-3", "there is no topic filter"}
	ruleNothingToStop = &rule{ProtocolError, "MQTT-3.10.3-2", "MQTT-3.10.3-2", "there is no topic filter"}
	ruleEmptyFilter   = &rule{MalformedPacket, "MQTT-4.7.3-1", "MQTT-4.7.3-1", "topic filter is empty"}
	ruleOptionBits    = &rule{MalformedPacket, "MQTT-3.8.3-5", "MQTT-3.8.3-4", "reserved subscription option bits are set"}
	ruleOptionQoS     = &rule{ProtocolError, "", "MQTT-3.8.3-4", "requested QoS is 3"}
	ruleOptionRetain  = &rule{ProtocolError, "", "", "retain handling is 3"}
	ruleNoLocalShared = &rule{ProtocolError, "MQTT-3.8.3-4", "", "no local is set on a shared subscription"}
	ruleNoCodes       = &rule{ProtocolError, "MQTT-3.9.3-1", "MQTT-3.9.3-1", "there is no reason code"}
	ruleNoUnsubCodes  = &rule{ProtocolError, "MQTT-3.11.3-1", "", "there is no reason code"}
)

// Rules for packet identifiers: who sends one picks it, who answers repeats it.
var (
	ruleNewPacketID   = &rule{ProtocolError, "MQTT-2.2.1-3", "MQTT-2.3.1-1", "packet identifier is 0"}
	ruleAckPacketID   = &rule{ProtocolError, "MQTT-2.2.1-5", "MQTT-2.3.1-6", "packet identifier is 0"}
	ruleSubackID      = &rule{ProtocolError, "MQTT-2.2.1-6", "MQTT-2.3.1-7", "packet identifier is 0"}
	typePacketIDRules = [16]*rule{
		PUBLISH: ruleNewPacketID, SUBSCRIBE: ruleNewPacketID, UNSUBSCRIBE: ruleNewPacketID,
		PUBACK: ruleAckPacketID, PUBREC: ruleAckPacketID, PUBREL: ruleAckPacketID, PUBCOMP: ruleAckPacketID,
		SUBACK: ruleSubackID, UNSUBACK: ruleSubackID,
	}
)
