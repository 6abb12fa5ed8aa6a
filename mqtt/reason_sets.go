package mqtt

import "slices"

var (
	receivedCodes = []ReasonCode{Success, NoMatchingSubscribers, UnspecifiedError, ImplementationSpecificError,
		NotAuthorized, TopicNameInvalid, PacketIDInUse, QuotaExceeded, PayloadFormatInvalid}
	releasedCodes = []ReasonCode{Success, PacketIDNotFound}
)

// typeCodes are the reason codes that each packet type may have. DISCONNECT has BadAuthenticationMethod too, which only
// section 2.4 of the standard lists.
var typeCodes = [16][]ReasonCode{
	CONNACK: {Success, UnspecifiedError, MalformedPacket, ProtocolError, ImplementationSpecificError,
		UnsupportedProtocolVersion, ClientIDNotValid, BadUserNameOrPassword, NotAuthorized, ServerUnavailable, ServerBusy,
		Banned, BadAuthenticationMethod, TopicNameInvalid, PacketTooLarge, QuotaExceeded, PayloadFormatInvalid,
		RetainNotSupported, QoSNotSupported, UseAnotherServer, ServerMoved, ConnectionRateExceeded},
	PUBACK:  receivedCodes,
	PUBREC:  receivedCodes,
	PUBREL:  releasedCodes,
	PUBCOMP: releasedCodes,
	SUBACK: {GrantedQoS0, GrantedQoS1, GrantedQoS2, UnspecifiedError, ImplementationSpecificError, NotAuthorized,
		TopicFilterInvalid, PacketIDInUse, QuotaExceeded, SharedNotSupported, SubscriptionIDsNotSupported,
		WildcardsNotSupported},
	UNSUBACK: {Success, NoSubscriptionExisted, UnspecifiedError, ImplementationSpecificError, NotAuthorized,
		TopicFilterInvalid, PacketIDInUse},
	DISCONNECT: {NormalDisconnection, DisconnectWithWill, UnspecifiedError, MalformedPacket, ProtocolError,
		ImplementationSpecificError, NotAuthorized, ServerBusy, ServerShuttingDown, BadAuthenticationMethod,
		KeepAliveTimeout, SessionTakenOver, TopicFilterInvalid, TopicNameInvalid, ReceiveMaximumExceeded,
		TopicAliasInvalid, PacketTooLarge, MessageRateTooHigh, QuotaExceeded, AdministrativeAction, PayloadFormatInvalid,
		RetainNotSupported, QoSNotSupported, UseAnotherServer, ServerMoved, SharedNotSupported, ConnectionRateExceeded,
		MaximumConnectTime, SubscriptionIDsNotSupported, WildcardsNotSupported},
	AUTH: {Success, ContinueAuthentication, ReAuthenticate},
}

// typeCodeRules say that a packet's reason code must be one of its own.
var typeCodeRules = [16]*rule{
	CONNACK:    {ProtocolError, "MQTT-3.2.2-8", "", illegalCode},
	PUBACK:     {ProtocolError, "MQTT-3.4.2-1", "", illegalCode},
	PUBREC:     {ProtocolError, "MQTT-3.5.2-1", "", illegalCode},
	PUBREL:     {ProtocolError, "MQTT-3.6.2-1", "", illegalCode},
	PUBCOMP:    {ProtocolError, "MQTT-3.7.2-1", "", illegalCode},
	SUBACK:     {ProtocolError, "MQTT-3.9.3-2", "MQTT-3.9.3-2", illegalCode},
	UNSUBACK:   {ProtocolError, "MQTT-3.11.3-2", "", illegalCode},
	DISCONNECT: {ProtocolError, "MQTT-3.14.2-1", "", illegalCode},
	AUTH:       {ProtocolError, "MQTT-3.15.2-1", "", illegalCode},
}

const illegalCode = "reason code is not one of this packet"

// legalFor reports whether packets of type t may have code c in version 5.
func (c ReasonCode) legalFor(t Type) bool { return c == Success || slices.Contains(typeCodes[t], c) }

// reasonCode reads a reason code of version 5.
func (r *reader) reasonCode() ReasonCode {
	c := ReasonCode(r.uint8("reason code"))
	if !c.legalFor(r.pkt) {
		r.fail(typeCodeRules[r.pkt], r.pos-1, "")
	}
	return c
}

func (w *writer) reasonCode(c ReasonCode) {
	if !c.legalFor(w.pkt) {
		w.fail(illegalCode)
	}
	w.uint8(uint8(c))
}

// ReturnCode returns the return code that a CONNACK before version 5 has for c. ok is false if none fits: then the
// standard wants the connection closed without a CONNACK.
func (c ReasonCode) ReturnCode() (code uint8, ok bool) {
	switch c {
	case Success:
		return 0, true
	case UnsupportedProtocolVersion:
		return 1, true
	case ClientIDNotValid:
		return 2, true
	case UnspecifiedError, ImplementationSpecificError, ServerUnavailable, ServerBusy, QuotaExceeded, UseAnotherServer,
		ServerMoved, ConnectionRateExceeded:
		return 3, true
	case BadUserNameOrPassword:
		return 4, true
	case NotAuthorized, Banned, BadAuthenticationMethod, TopicNameInvalid, RetainNotSupported, QoSNotSupported:
		return 5, true
	}
	return 0, false
}

// returnCodes are the return codes before version 5, as reason codes.
var returnCodes = [...]ReasonCode{Success, UnsupportedProtocolVersion, ClientIDNotValid, ServerUnavailable,
	BadUserNameOrPassword, NotAuthorized}
