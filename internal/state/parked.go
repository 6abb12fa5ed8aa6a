package state

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// ParkedMessage is a message that left the log before its session read it. Its body is kept once, under its place.
type ParkedMessage struct {
	Delivery Flight // with Position; without Body
	Ordinal  uint8  // of several deliveries of one message to one session
	Bytes    int64  // of its body
}

func appendPlace(key []byte, pos message.Position) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(key, pos.Block), pos.Index)
}

func parsePlace(b []byte) message.Position {
	return message.Position{Block: binary.BigEndian.Uint64(b), Index: binary.BigEndian.Uint32(b[8:])}
}

// PutParked keeps a parked message.
func PutParked(o Owner, p *ParkedMessage) storage.Op {
	w := newWriter()
	w.uint(uint64(p.Bytes))
	w.flights([]Flight{p.Delivery})
	return storage.Op{Key: append(ParkedKey(o, p.Delivery.Position), p.Ordinal), Value: w.b}
}

// ParkedKey is where what is parked for a session from a place on begins.
func ParkedKey(o Owner, pos message.Position) []byte {
	return appendPlace(owned('p', o.ClientID, o.Incarnation, ""), pos)
}

// DecodeParked reads an entry of Parked.
func DecodeParked(kv storage.KV) (o Owner, p *ParkedMessage, err error) {
	o, rest, err := parseOwned(kv.Key)
	if err == nil && len(rest) != 13 {
		err = fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	if err != nil {
		return o, nil, err
	}
	r := newReader(kv.Value)
	p = &ParkedMessage{Ordinal: rest[12], Bytes: int64(r.below(1 << 62))}
	if fs := r.flights(); len(fs) == 1 && fs[0].Body == nil && fs[0].Position == parsePlace(rest) {
		p.Delivery = fs[0]
	} else {
		r.fail()
	}
	return o, p, r.done(kv.Key)
}

// ParkedAt returns whose an entry of Parked is, and its place, by its key; ok is false if it is none.
func ParkedAt(key []byte) (o Owner, pos message.Position, ok bool) {
	o, rest, err := parseOwned(key)
	if err != nil || len(rest) != 13 {
		return o, pos, false
	}
	return o, parsePlace(rest), true
}

// BodyAt returns the place of an entry of Bodies, by its key; ok is false if it is none.
func BodyAt(key []byte) (pos message.Position, ok bool) {
	if len(key) != 13 {
		return pos, false
	}
	return parsePlace(key[1:]), true
}

// GroupParkedOf is the prefix of all that was parked for a group.
func GroupParkedOf(name, filter string) []byte { return []byte("q" + name + "\x00" + filter + "\x00") }

// GroupParkedKey is the key of a message that was parked for a group.
func GroupParkedKey(name, filter string, pos message.Position) []byte {
	return appendPlace(GroupParkedOf(name, filter), pos)
}

// PutGroupParked keeps a message that was parked for a group. bytes are those of its body.
func PutGroupParked(name, filter string, pos message.Position, bytes int64) storage.Op {
	w := newWriter()
	w.uint(uint64(bytes))
	return storage.Op{Key: GroupParkedKey(name, filter, pos), Value: w.b}
}

// DecodeGroupParked reads an entry of GroupParked.
func DecodeGroupParked(kv storage.KV) (name, filter string, pos message.Position, bytes int64, err error) {
	end := len(kv.Key) - 13
	if end < 1 || kv.Key[end] != 0 {
		return "", "", pos, 0, fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	name, filter, ok := strings.Cut(string(kv.Key[1:end]), "\x00")
	r := newReader(kv.Value)
	if bytes = int64(r.below(1 << 62)); !ok {
		r.fail()
	}
	return name, filter, parsePlace(kv.Key[end+1:]), bytes, r.done(kv.Key)
}

// BodyKey is the key of a parked message's body.
func BodyKey(pos message.Position) []byte { return appendPlace([]byte{'b'}, pos) }

// PutBody keeps the body of a parked message.
func PutBody(pos message.Position, m *message.Message) storage.Op {
	w := newWriter()
	w.message(m)
	return storage.Op{Key: BodyKey(pos), Value: w.b}
}

// DecodeBody reads an entry of Bodies.
func DecodeBody(kv storage.KV) (pos message.Position, m *message.Message, err error) {
	if len(kv.Key) != 13 {
		return pos, nil, fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	r := newReader(kv.Value)
	if m = r.message(); m == nil {
		r.fail()
	}
	return parsePlace(kv.Key[1:]), m, r.done(kv.Key)
}
