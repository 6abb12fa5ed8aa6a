package mqtt

import "fmt"

// Version is the protocol level of a CONNECT packet.
type Version uint8

// The protocol levels that this package speaks.
const (
	V31  Version = 3 // MQTT 3.1, protocol name "MQIsdp"
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

// String returns the version as people write it: "3.1", "3.1.1" or "5.0".
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return fmt.Sprintf("level %d", uint8(v))
}

// Type is the kind of a control packet: the high four bits of its first byte.
type Type uint8

// The control packet types.
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

var typeNames = [16]string{
	"RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String returns the packet's name in the standard, for example "PUBLISH".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// QoS is a quality of service level: 0, 1 or 2.
type QoS uint8

// The quality of service levels.
const (
	AtMostOnce  QoS = 0
	AtLeastOnce QoS = 1
	ExactlyOnce QoS = 2
)

// Header is a packet's fixed header.
type Header struct {
	Type      Type
	Flags     uint8  // the low four bits of the first byte
	Remaining uint32 // the length that the packet claims to have after its header, at most MaxRemaining
}

// MaxRemaining is the largest Remaining Length that four bytes can say.
const MaxRemaining = 268_435_455

// Packet is one control packet.
//
// Every packet of this package is a struct whose pointer implements Packet, with two more methods:
//
//	Decode(h Header, body []byte, v Version) error
//
// which overwrites the struct with the packet that body holds. Byte slices of the result, and for PUBLISH all of its
// fields, lie in body and are valid as long as body is: nothing is copied.
type Packet interface {
	// Type is the packet's type.
	Type() Type
	// AppendTo appends the packet's encoding for version v to dst and returns the longer slice. It fails, with dst as
	// it was, for a packet that cannot be said in that version, or not at all.
	AppendTo(dst []byte, v Version) ([]byte, error)
}

// Connect is a CONNECT packet. Fields that its version does not have are zero.
type Connect struct {
	Version    Version
	ClientID   string
	CleanStart bool   // "clean session" before 5
	KeepAlive  uint16 // seconds; 0: none

	Username    string
	HasUsername bool
	Password    []byte
	HasPassword bool

	Will *Will // nil: none

	// Properties of version 5.
	SessionExpirySeconds       uint32 // 0: ends with the connection; NeverExpires: never
	ReceiveMaximum             uint16 // 0: not said, which means 65,535
	MaximumPacketSize          uint32 // 0: not said, which means no limit
	TopicAliasMaximum          uint16
	RequestResponseInformation bool
	OmitProblemInformation     bool   // Request Problem Information was 0
	AuthMethod                 string // "" with HasAuthMethod false: none
	HasAuthMethod              bool
	AuthData                   []byte
	User                       UserProperties
}

// NeverExpires is the session expiry interval of a session that does not expire.
const NeverExpires = 0xFFFF_FFFF

// Will is the will message of a CONNECT packet.
type Will struct {
	Topic        string
	Payload      []byte
	QoS          QoS
	Retain       bool
	DelaySeconds uint32
	Properties   PublishProperties // those that a PUBLISH may carry; TopicAlias and SubscriptionIDs never
}

// Connack is a CONNACK packet. For versions before 5, Code is turned into one of their return codes.
type Connack struct {
	SessionPresent bool
	Code           ReasonCode

	SessionExpirySeconds *uint32
	ReceiveMaximum       uint16 // 0: not said
	MaximumQoS           *QoS
	RetainAvailable      *bool
	MaximumPacketSize    uint32 // 0: not said
	AssignedClientID     string
	TopicAliasMaximum    uint16
	ReasonString         string
	User                 UserProperties
	WildcardAvailable    *bool
	SubscriptionIDs      *bool // Subscription Identifiers Available
	SharedAvailable      *bool
	ServerKeepAlive      *uint16
	ResponseInformation  string
	ServerReference      string
	AuthMethod           string
	HasAuthMethod        bool
	AuthData             []byte
}

// Publish is a PUBLISH packet. Decode leaves all slices in the decoded body.
type Publish struct {
	Dup        bool
	QoS        QoS
	Retain     bool
	Topic      []byte // valid as a topic name; empty only with a topic alias
	PacketID   uint16 // 0 with QoS 0
	Properties PublishProperties
	Payload    []byte
}

// PropertySet says which properties are there: bit n is the property with identifier n.
type PropertySet uint64

// Has reports whether the set holds id.
func (s PropertySet) Has(id PropertyID) bool { return s&(1<<id) != 0 }

// PublishProperties are the properties of a PUBLISH packet or a will. A value counts only if Present has its identifier.
type PublishProperties struct {
	Present              PropertySet // all but PropUser and PropSubscriptionID, whose values say it themselves
	PayloadFormat        uint8
	MessageExpirySeconds uint32
	TopicAlias           uint16
	ResponseTopic        []byte
	CorrelationData      []byte
	ContentType          []byte
	User                 UserProperties
	SubscriptionIDs      []uint32 // server to client only
}

// Puback, Pubrec, Pubrel and Pubcomp are the acknowledgements of QoS 1 and 2.
type (
	Puback  struct{ Ack }
	Pubrec  struct{ Ack }
	Pubrel  struct{ Ack }
	Pubcomp struct{ Ack }
)

// Ack is what the four acknowledgements have in common. Code and properties are left out before version 5.
type Ack struct {
	PacketID     uint16
	Code         ReasonCode
	ReasonString string
	User         UserProperties
}

// Subscribe is a SUBSCRIBE packet.
type Subscribe struct {
	PacketID       uint16
	SubscriptionID uint32 // 0: none
	User           UserProperties
	Filters        []FilterOptions
}

// FilterOptions is one topic filter of a SUBSCRIBE packet, with its options.
type FilterOptions struct {
	Filter            string
	QoS               QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    RetainHandling
}

// RetainHandling says when a subscription gets retained messages.
type RetainHandling uint8

// The ways of retain handling.
const (
	SendRetained      RetainHandling = 0
	SendRetainedIfNew RetainHandling = 1
	NoRetained        RetainHandling = 2
)

// Suback is a SUBACK packet. Codes holds a granted QoS or an error for each filter asked for.
type Suback struct {
	PacketID     uint16
	ReasonString string
	User         UserProperties
	Codes        []ReasonCode
}

// Unsubscribe is an UNSUBSCRIBE packet.
type Unsubscribe struct {
	PacketID uint16
	User     UserProperties
	Filters  []string
}

// Unsuback is an UNSUBACK packet. Codes are left out before version 5.
type Unsuback struct {
	PacketID     uint16
	ReasonString string
	User         UserProperties
	Codes        []ReasonCode
}

// Pingreq is a PINGREQ packet.
type Pingreq struct{}

// Pingresp is a PINGRESP packet.
type Pingresp struct{}

// Disconnect is a DISCONNECT packet. Before version 5 it is empty.
type Disconnect struct {
	Code                 ReasonCode
	SessionExpirySeconds *uint32
	ReasonString         string
	User                 UserProperties
	ServerReference      string
}

// Auth is an AUTH packet, of version 5 only.
type Auth struct {
	Code          ReasonCode
	AuthMethod    string
	HasAuthMethod bool
	AuthData      []byte
	ReasonString  string
	User          UserProperties
}

// UserProperties are user properties as they are on the wire, one after the other and in order, each with its
// identifier byte. Decoding leaves them in the packet's body where they lie together there, and copies them otherwise.
type UserProperties []byte
