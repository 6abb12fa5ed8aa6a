package memory

import (
	"encoding/binary"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// A record's flags in a snapshot. The low two bits are the QoS.
const (
	flagQoS       = 0x03
	flagRetain    = 0x04
	flagPublished = 0x08 // there is a time of publishing
	flagExpires   = 0x10 // there is a time of expiry
)

// minRecordBytes is what the smallest record takes: no count may claim more records than its body has room for.
const minRecordBytes = 7

func appendRecords(dst []byte, records []storage.Record) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(records)))
	for _, r := range records {
		dst = appendRecord(dst, r)
	}
	return dst
}

func appendRecord(dst []byte, r storage.Record) []byte {
	m := r.Message
	flags := byte(m.QoS) & flagQoS
	if m.Retain {
		flags |= flagRetain
	}
	if !m.PublishedAt.IsZero() {
		flags |= flagPublished
	}
	if !m.ExpiresAt.IsZero() {
		flags |= flagExpires
	}
	dst = binary.AppendUvarint(dst, uint64(r.PacketID))
	dst = append(dst, flags)
	if flags&flagPublished != 0 {
		dst = binary.AppendVarint(dst, m.PublishedAt.UnixNano())
	}
	if flags&flagExpires != 0 {
		dst = binary.AppendVarint(dst, m.ExpiresAt.UnixNano())
	}
	dst = appendBytes(dst, m.Topic)
	dst = appendBytes(dst, m.Payload)
	dst = appendBytes(dst, m.Properties)
	dst = appendBytes(dst, m.ClientID)
	return appendBytes(dst, m.Username)
}

func appendBytes[B []byte | string](dst []byte, b B) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// decoder takes values off the front of rest. At the first that is not there, rest becomes nil, everything after it is
// zero, and whole is false.
type decoder struct{ rest []byte }

// whole reports whether all values were there and nothing is left.
func (d *decoder) whole() bool { return d.rest != nil && len(d.rest) == 0 }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	return v * d.skip(n)
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	return v * int64(d.skip(n))
}

// skip moves over n bytes and returns 1, or, if n says that there was no value, empties the decoder and returns 0.
func (d *decoder) skip(n int) uint64 {
	if n <= 0 {
		d.rest = nil
		return 0
	}
	d.rest = d.rest[n:]
	return 1
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.rest = nil
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

// bytes returns a part of the body, nil if it is empty.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.rest = nil
	}
	if d.rest == nil || n == 0 {
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) string() string { return string(d.bytes()) }

func (d *decoder) copied() []byte { return append([]byte(nil), d.bytes()...) }

func (d *decoder) records() []storage.Record {
	n := d.uvarint()
	if n > uint64(len(d.rest))/minRecordBytes {
		d.rest = nil
		return nil
	}
	records := make([]storage.Record, 0, n)
	for range n {
		records = append(records, d.record())
		if d.rest == nil {
			return nil
		}
	}
	return records
}

func (d *decoder) record() storage.Record {
	id := d.uvarint()
	flags := d.byte()
	m := &message.Message{QoS: mqtt.QoS(flags & flagQoS), Retain: flags&flagRetain != 0}
	if flags&flagPublished != 0 {
		m.PublishedAt = time.Unix(0, d.varint())
	}
	if flags&flagExpires != 0 {
		m.ExpiresAt = time.Unix(0, d.varint())
	}
	m.Topic, m.Payload, m.Properties = d.string(), d.copied(), d.copied()
	m.ClientID, m.Username = d.string(), d.string()
	if id > 0xFFFF || m.QoS > mqtt.ExactlyOnce || flags >= flagExpires<<1 {
		d.rest = nil
	}
	return storage.Record{Message: m, PacketID: uint16(id)}
}
