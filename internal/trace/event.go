package trace

import (
	"encoding/hex"
	"encoding/json"
	"iter"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// Kind says what happened.
type Kind uint8

// The kinds of events.
const (
	Connected      Kind = iota // a CONNECT was accepted
	ConnectRefused             // a CONNECT was not
	Disconnected               // a connection ended
	Received                   // a PUBLISH was taken from its publisher
	Refused                    // a PUBLISH was not
	Routed                     // who gets the message was found
	Stored                     // it is in the log
	Queued                     // a subscriber's copy waits
	Sent                       // a copy was sent
	Acknowledged               // the subscriber has it
	Dropped                    // the message, or a copy, goes no further
	PacketIn                   // a packet came
	PacketOut                  // a packet goes out
	kinds
)

var kindNames = [kinds]string{
	"connected", "connect_refused", "disconnected", "received", "refused", "routed", "stored", "queued", "sent", "acknowledged",
	"dropped", "packet_in", "packet_out",
}

// String returns the kind's name, for example "dropped".
func (k Kind) String() string { return kindNames[k] }

// Kinds lists all kinds.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// About is the message that an event is about.
type About struct {
	ID, Topic, ClientID, Username string // of the publisher
	QoS                           mqtt.QoS
	Retain                        bool
	Bytes                         int // of the payload
	PublishedAt                   time.Time
}

// AboutMessage takes down what is worth remembering of a message; nil: nothing.
func AboutMessage(m *message.Message) About {
	if m == nil {
		return About{}
	}
	return About{m.ID(), m.Topic, m.ClientID, m.Username, m.QoS, m.Retain, len(m.Payload), m.PublishedAt}
}

// Event is one thing that happened. It holds nothing that is used again elsewhere, and nobody changes it.
type Event struct {
	At       time.Time
	Kind     Kind
	ClientID string   // whose connection or copy it is about; empty: the message as a whole
	Username string   // of that client, where it is known
	Remote   net.Addr // of its connection, where it has one
	Message  About    // zero: no message
	Topic    string   // of a packet without a message
	Reason   message.DropReason
	Code     mqtt.ReasonCode
	HasCode  bool
	Packet   mqtt.Type
	PacketID uint16
	Bytes    int // of the packet
	QoS      mqtt.QoS
	Retain   bool
	Dup      bool
	Count    int64    // of what the event stands for, where that is not one
	List     []string // subscribers of Routed, the first few; filters of SUBSCRIBE
	Text     string   // why, and what else there is to say
}

// Fields lists what there is to say of an event, in the order in which lines say it. Names and values are the same in
// traces, logs and the API.
func (e *Event) Fields() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		m := &e.Message
		about := m.ID != ""
		for _, f := range [...]struct {
			name  string
			value any
			said  bool
		}{
			{"clientid", e.ClientID, e.ClientID != ""},
			{"username", e.Username, e.Username != ""},
			{"peer", peer(e.Remote), e.Remote != nil},
			{"reason", e.Reason.String(), e.Reason != message.NotDropped},
			{"reason_code", int(e.Code), e.HasCode},
			{"reason_name", e.Code.String(), e.HasCode},
			{"packet", e.Packet.String(), e.Packet != 0},
			{"packet_id", int(e.PacketID), e.PacketID != 0},
			{"bytes", e.Bytes, e.Bytes != 0},
			{"id", m.ID, about},
			{"topic", e.topic(), e.topic() != ""},
			{"qos", int(e.qos()), about || e.Packet == mqtt.PUBLISH},
			{"retain", e.Retain || m.Retain, e.Retain || m.Retain},
			{"dup", e.Dup, e.Dup},
			{"from_clientid", m.ClientID, about},
			{"from_username", m.Username, m.Username != ""},
			{"payload_bytes", m.Bytes, about},
			{"publish_at", m.PublishedAt.UTC().Format(stampFormat), about},
			{"count", e.Count, e.Count != 0},
			{"list", e.List, len(e.List) > 0},
			{"why", e.why(), e.why() != ""},
		} {
			if f.said && !yield(f.name, f.value) {
				return
			}
		}
	}
}

const stampFormat = "2006-01-02T15:04:05.000000Z07:00"

func peer(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func (e *Event) topic() string {
	if e.Topic != "" {
		return e.Topic
	}
	return e.Message.Topic
}

// qos is that of the copy or packet, or else of the message.
func (e *Event) qos() mqtt.QoS {
	switch e.Kind {
	case Received, Refused, Routed, Stored, Dropped:
		return e.Message.QoS
	}
	return e.QoS
}

// why is what the event says in words.
func (e *Event) why() string {
	if e.Reason == message.NotDropped {
		return e.Text
	}
	if why := Why(e.Reason); e.Text == "" {
		return why
	}
	return Why(e.Reason) + ": " + e.Text
}

// MarshalJSON implements json.Marshaler: an object of at, event and Fields.
func (e *Event) MarshalJSON() ([]byte, error) { return e.appendJSON(nil, nil, Hidden), nil }

// appendJSON appends the event as a JSON object, with a payload as encoding says; nil: none.
func (e *Event) appendJSON(dst, payload []byte, encoding Payload) []byte {
	dst = append(dst, `{"at":"`...)
	dst = e.At.UTC().AppendFormat(dst, stampFormat)
	dst = append(dst, `","event":"`...)
	dst = append(dst, e.Kind.String()...)
	dst = append(dst, '"')
	for name, value := range e.withPayload(payload, encoding) {
		dst = append(dst, ',', '"')
		dst = append(append(dst, name...), '"', ':')
		text, _ := json.Marshal(value) // strings, numbers, booleans and lists of strings
		dst = append(dst, text...)
	}
	return append(dst, '}')
}

// appendText appends the event as name=value pairs.
func (e *Event) appendText(dst, payload []byte, encoding Payload) []byte {
	dst = e.At.UTC().AppendFormat(dst, stampFormat)
	dst = append(dst, ' ')
	dst = append(dst, e.Kind.String()...)
	for name, value := range e.withPayload(payload, encoding) {
		dst = append(append(append(dst, ' '), name...), '=')
		switch v := value.(type) {
		case string:
			dst = appendWord(dst, v)
		case int:
			dst = strconv.AppendInt(dst, int64(v), 10)
		case int64:
			dst = strconv.AppendInt(dst, v, 10)
		case bool:
			dst = strconv.AppendBool(dst, v)
		case []string:
			dst = appendWord(dst, strings.Join(v, ","))
		}
	}
	return dst
}

// appendWord quotes a value where it would not be one word.
func appendWord(dst []byte, v string) []byte {
	if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == utf8.RuneError || r == 0x7F }) {
		return strconv.AppendQuote(dst, v)
	}
	return append(dst, v...)
}

func (e *Event) withPayload(payload []byte, encoding Payload) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for name, value := range e.Fields() {
			if !yield(name, value) {
				return
			}
		}
		if payload == nil || encoding == Hidden {
			return
		}
		text := hex.EncodeToString(payload)
		if encoding == Text {
			text = strings.ToValidUTF8(string(payload), "\uFFFD")
		}
		yield("payload", text)
	}
}
