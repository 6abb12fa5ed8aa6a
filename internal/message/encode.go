package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/barid-mqtt/barid/mqtt"
)

// EncodingVersion is the version of the encoding that AppendEncoded writes. Decode knows every version up to it.
const EncodingVersion = 1

// ErrEncoding says that bytes are no message as AppendEncoded writes it.
var ErrEncoding = errors.New("message: not a valid encoding")

// The flags of version 1. The low two bits are the QoS.
const (
	encodedQoS       = 0x03
	encodedRetain    = 0x04
	encodedPublished = 0x08 // there is a time of publishing
	encodedExpires   = 0x10 // there is a time of expiry
	encodedFlags     = 0x1F
)

// AppendEncoded appends a message and its publisher's packet identifier, for storage. Numbers are varints of package
// encoding/binary, and a field of bytes has its length before it:
//
//	version (1 byte), flags (1 byte), packet identifier
//	time of publishing, time of expiry: nanoseconds since 1970, signed; each only with its flag
//	topic, client identifier, username, properties, payload
func AppendEncoded(dst []byte, m *Message, packetID uint16) []byte {
	flags := byte(m.QoS) & encodedQoS
	if m.Retain {
		flags |= encodedRetain
	}
	if !m.PublishedAt.IsZero() {
		flags |= encodedPublished
	}
	if !m.ExpiresAt.IsZero() {
		flags |= encodedExpires
	}
	dst = append(dst, EncodingVersion, flags)
	dst = binary.AppendUvarint(dst, uint64(packetID))
	if flags&encodedPublished != 0 {
		dst = binary.AppendVarint(dst, m.PublishedAt.UnixNano())
	}
	if flags&encodedExpires != 0 {
		dst = binary.AppendVarint(dst, m.ExpiresAt.UnixNano())
	}
	dst = appendField(dst, m.Topic)
	dst = appendField(dst, m.ClientID)
	dst = appendField(dst, m.Username)
	dst = appendField(dst, m.Properties)
	return appendField(dst, m.Payload)
}

func appendField[B []byte | string](dst []byte, b B) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// EncodedBound is at least as many bytes as AppendEncoded appends for the message.
func EncodedBound(m *Message) int {
	const fixed = 2 + 3 + 2*binary.MaxVarintLen64 + 5*binary.MaxVarintLen32
	return fixed + len(m.Topic) + len(m.ClientID) + len(m.Username) + len(m.Properties) + len(m.Payload)
}

// Decode reads what AppendEncoded wrote and nothing else. The message becomes the owner of b: all its strings and
// slices point into b, which must not change any more, and keep all of b alive. It allocates the message only.
func Decode(b []byte) (m *Message, packetID uint16, err error) {
	if len(b) < 2 {
		return nil, 0, fmt.Errorf("%w: it is cut off", ErrEncoding)
	}
	version, flags := b[0], b[1]
	if version != EncodingVersion {
		return nil, 0, fmt.Errorf("%w: version %d, this program knows %d", ErrEncoding, version, EncodingVersion)
	}
	m = &Message{QoS: mqtt.QoS(flags & encodedQoS), Retain: flags&encodedRetain != 0}
	d := fieldDecoder{rest: b[2:]}
	id := d.uvarint()
	if flags&encodedPublished != 0 {
		m.PublishedAt = time.Unix(0, d.varint())
	}
	if flags&encodedExpires != 0 {
		m.ExpiresAt = time.Unix(0, d.varint())
	}
	m.Topic, m.ClientID, m.Username = d.string(), d.string(), d.string()
	m.Properties, m.Payload = d.bytes(), d.bytes()
	if d.failed || len(d.rest) > 0 || id > 0xFFFF || m.QoS > mqtt.ExactlyOnce || flags&^encodedFlags != 0 {
		return nil, 0, ErrEncoding
	}
	return m, uint16(id), nil
}

// EncodedTopic returns the topic of an encoded message, which points into b.
func EncodedTopic(b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != EncodingVersion {
		return nil, ErrEncoding
	}
	flags := b[1]
	d := fieldDecoder{rest: b[2:]}
	d.uvarint()
	if flags&encodedPublished != 0 {
		d.varint()
	}
	if flags&encodedExpires != 0 {
		d.varint()
	}
	topic := d.bytes()
	if d.failed {
		return nil, ErrEncoding
	}
	return topic, nil
}

// fieldDecoder takes fields off the front of rest. After the first that is not there, all are zero.
type fieldDecoder struct {
	rest   []byte
	failed bool
}

func (d *fieldDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if !d.skip(n) {
		return 0
	}
	return v
}

func (d *fieldDecoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if !d.skip(n) {
		return 0
	}
	return v
}

func (d *fieldDecoder) skip(n int) bool {
	if n <= 0 || d.failed {
		d.failed, d.rest = true, nil
		return false
	}
	d.rest = d.rest[n:]
	return true
}

// bytes returns a part of the input, nil if it is empty. Appending to it does not write over what follows.
func (d *fieldDecoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.failed, d.rest = true, nil
	}
	if d.failed || n == 0 {
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *fieldDecoder) string() string {
	b := d.bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}
