package memory

import (
	"encoding/binary"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
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

// appendRecord writes a record as package message encodes it, with the length before it.
func appendRecord(dst []byte, r storage.Record) []byte {
	enc := message.AppendEncoded(nil, r.Message, r.PacketID)
	dst = binary.AppendUvarint(dst, uint64(len(enc)))
	return append(dst, enc...)
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

// skip moves over n bytes and returns 1, or, if n says that there was no value, empties the decoder and returns 0.
func (d *decoder) skip(n int) uint64 {
	if n <= 0 {
		d.rest = nil
		return 0
	}
	d.rest = d.rest[n:]
	return 1
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
	m, id, err := message.Decode(d.copied())
	if err != nil {
		d.rest = nil
		return storage.Record{Message: new(message.Message)}
	}
	return storage.Record{Message: m, PacketID: id}
}
