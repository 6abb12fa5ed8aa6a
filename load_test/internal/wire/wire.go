// Package wire makes the packets of the load: PUBLISH packets that are encoded once and then only copied and patched,
// with a stamp in the payload that says which message it is and when it was due.
package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/barid-mqtt/barid/mqtt"
)

// StampBytes is the length of a Stamp, and so of the shortest payload.
const StampBytes = 16

// Stamp begins every payload.
type Stamp struct {
	Publisher uint32
	Seq       uint32 // counts a publisher's messages from 0
	At        int64  // when it was due, on the generator's clock, in nanoseconds
}

// ReadStamp reads the stamp of a payload; ok is false if it is too short for one.
func ReadStamp(payload []byte) (s Stamp, ok bool) {
	if len(payload) < StampBytes {
		return Stamp{}, false
	}
	return Stamp{
		Publisher: binary.BigEndian.Uint32(payload),
		Seq:       binary.BigEndian.Uint32(payload[4:]),
		At:        int64(binary.BigEndian.Uint64(payload[8:])),
	}, true
}

// Template is an encoded PUBLISH packet.
type Template struct {
	packet  []byte
	idAt    int // where the packet identifier is; 0: there is none
	stampAt int // 0: there is none
	digitAt int // where the last digit of the topic is; 0: all messages have one topic
}

// Message says what a Template publishes.
type Message struct {
	Topic        string
	QoS          mqtt.QoS
	Retain       bool
	PayloadBytes int  // at least StampBytes; 0: no payload, which clears what was retained
	Numbered     bool // each message has a topic of its own: Topic, a slash and eight digits of its number
}

// NewTemplate encodes m once.
func NewTemplate(m Message, v mqtt.Version) (*Template, error) {
	if m.PayloadBytes < StampBytes && m.PayloadBytes != 0 {
		return nil, fmt.Errorf("a payload of %d bytes has no room for its stamp of %d", m.PayloadBytes, StampBytes)
	}
	if m.Numbered {
		m.Topic += "/00000000"
	}
	p := mqtt.Publish{QoS: m.QoS, Retain: m.Retain, Topic: []byte(m.Topic), Payload: make([]byte, m.PayloadBytes)}
	if m.QoS > mqtt.AtMostOnce {
		p.PacketID = 1
	}
	b, err := p.AppendTo(nil, v)
	if err != nil {
		return nil, fmt.Errorf("encoding a message for %q: %w", m.Topic, err)
	}
	t := &Template{packet: b}
	if m.PayloadBytes > 0 {
		t.stampAt = len(b) - m.PayloadBytes
	}
	_, header, err := mqtt.DecodeHeader(b)
	if err != nil {
		return nil, fmt.Errorf("encoding a message for %q: %w", m.Topic, err)
	}
	end := header + 2 + len(m.Topic)
	if m.QoS > mqtt.AtMostOnce {
		t.idAt = end
	}
	if m.Numbered {
		t.digitAt = end - 1
	}
	return t, nil
}

// Append appends one message. id counts only above QoS 0.
func (t *Template) Append(dst []byte, id uint16, s Stamp) []byte {
	start := len(dst)
	dst = append(dst, t.packet...)
	b := dst[start:]
	if t.idAt > 0 {
		binary.BigEndian.PutUint16(b[t.idAt:], id)
	}
	if t.digitAt > 0 {
		for i, n := 0, s.Seq; i < 8; i, n = i+1, n/10 {
			b[t.digitAt-i] = byte('0' + n%10)
		}
	}
	if t.stampAt == 0 {
		return dst
	}
	b = b[t.stampAt:]
	binary.BigEndian.PutUint32(b, s.Publisher)
	binary.BigEndian.PutUint32(b[4:], s.Seq)
	binary.BigEndian.PutUint64(b[8:], uint64(s.At))
	return dst
}

// Len returns how long one message is.
func (t *Template) Len() int { return len(t.packet) }

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP that says success.
func AppendAck(dst []byte, t mqtt.Type, id uint16) []byte {
	first := byte(t) << 4
	if t == mqtt.PUBREL {
		first |= 2
	}
	return append(dst, first, 2, byte(id>>8), byte(id))
}

// Ack reads the packet identifier and the reason code of an acknowledgement's body; a body of two bytes says success.
func Ack(body []byte) (id uint16, code mqtt.ReasonCode, ok bool) {
	if len(body) < 2 {
		return 0, 0, false
	}
	if len(body) > 2 {
		code = mqtt.ReasonCode(body[2])
	}
	return binary.BigEndian.Uint16(body), code, true
}
