// Package state says under which keys, and in which bytes, the broker keeps what outlives its process besides the log.
//
// The first byte of a key is its space. Client identifiers and topics hold no NUL [MQTT-1.5.4-2], so NUL ends them, and
// what belongs to one session lies together. inc is the session's incarnation, 8 bytes, most significant first: a
// session that ended takes its incarnation with it, so nothing of it is ever read for the next one.
//
//	s client                      a session: expiry, times, will
//	u client NUL inc key          a subscription, with all versions that a reader may still need
//	f client NUL inc              a snapshot: the place in the log, what is in flight, and what is under way besides
//	i client NUL inc id           an identifier of a QoS 2 message that the client has not released
//	a client NUL inc key NUL n    part n of what a shared group has given the client for its subscription key
//	r topic                       a retained message
//	d number                      a message that waits for its delay
//	g name NUL filter             a shared group: its place in the log, and what came back
//	p client NUL inc place n      a message that was parked for a session: its delivery
//	q name NUL filter NUL place   a message that was parked for a shared group
//	b place                       the body of parked messages, once for all sessions and groups
//	h name NUL kind …             a declared stream: what it is, its chunks or its topics' last messages (stream.go)
//	c client NUL inc key          where a session's subscription reads a stream
//	m name                        numbers of the broker: clock, wall, incarnation, delayed
//	x kind NUL name               a document of the HTTP API: JSON
//
// A value begins with the version of its format, 1. Numbers are varints of package encoding/binary, strings and bytes have
// their length before them, times are nanoseconds since 1970. Decoding trusts nothing: a wrong value is an error that
// names the key.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// Spaces of keys, to be scanned.
var (
	Sessions       = []byte{'s'}
	WillsPublished = []byte{'w'}
	Subscriptions  = []byte{'u'}
	Snapshots      = []byte{'f'}
	InboundIDs     = []byte{'i'}
	Retained       = []byte{'r'}
	Delayed        = []byte{'d'}
	Groups         = []byte{'g'}
	Assigned       = []byte{'a'}
	Parked         = []byte{'p'}
	GroupParked    = []byte{'q'}
	Bodies         = []byte{'b'}
	Streams        = []byte{'h'}
	StreamCursors  = []byte{'c'}
)

// version is the format of the values that are written.
const version = 1

// ErrNewer says that a value was written by a later version of the program.
var ErrNewer = errors.New("state: written by a newer version of Barid")

// errCut says that a value ends early or holds what it must not.
var errCut = errors.New("state: damaged value")

// owned is the key of something of a session.
func owned(space byte, clientID string, inc uint64, rest string) []byte {
	key := make([]byte, 0, 1+len(clientID)+1+8+len(rest))
	key = append(append(append(key, space), clientID...), 0)
	return append(binary.BigEndian.AppendUint64(key, inc), rest...)
}

// Of is the prefix of all that the space holds of one session.
func Of(space []byte, clientID string, inc uint64) []byte { return owned(space[0], clientID, inc, "") }

// Owner is the session that a key belongs to.
type Owner struct {
	ClientID    string
	Incarnation uint64
}

// parseOwned takes such a key apart.
func parseOwned(key []byte) (o Owner, rest []byte, err error) {
	for i := 1; i < len(key); i++ {
		if key[i] != 0 {
			continue
		}
		if len(key) < i+9 {
			break
		}
		return Owner{string(key[1:i]), binary.BigEndian.Uint64(key[i+1:])}, key[i+9:], nil
	}
	return o, nil, fmt.Errorf("%w: key %q", errCut, key)
}

// Delete is the removal of a key.
func Delete(key []byte) storage.Op { return storage.Op{Key: key} }

// writer appends fields to a value.
type writer struct{ b []byte }

func newWriter() *writer { return &writer{b: []byte{version}} }

func (w *writer) uint(n uint64)   { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) string(s string) { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) bool(v bool) {
	if v {
		w.uint(1)
	} else {
		w.uint(0)
	}
}

// time writes a time; the zero time is 0.
func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.uint(0)
		return
	}
	w.uint(uint64(t.UnixNano()))
}

func (w *writer) position(p message.Position) { w.uint(p.Block); w.uint(uint64(p.Index)) }

// message writes a message; nil is empty.
func (w *writer) message(m *message.Message) {
	if m == nil {
		w.uint(0)
		return
	}
	enc := message.AppendEncoded(nil, m, 0)
	w.uint(uint64(len(enc)))
	w.b = append(w.b, enc...)
}

// reader takes fields from a value. The first error stays, and every field after it is zero.
type reader struct {
	b   []byte
	err error
}

func newReader(value []byte) *reader {
	r := &reader{b: value}
	switch {
	case len(value) == 0:
		r.err = errCut
	case value[0] > version:
		r.err = ErrNewer
	case value[0] < 1:
		r.err = errCut
	default:
		r.b = value[1:]
	}
	return r
}

func (r *reader) fail() { r.err, r.b = errors.Join(r.err, errCut), nil }

func (r *reader) uint() uint64 {
	if r.err != nil {
		return 0
	}
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// below reads a number that has to be less than limit.
func (r *reader) below(limit uint64) uint64 {
	n := r.uint()
	if n >= limit {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) bool() bool { return r.below(2) == 1 }

func (r *reader) bytes() []byte {
	n := r.uint()
	if r.err != nil || n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) time() time.Time {
	if n := r.uint(); n != 0 {
		return time.Unix(0, int64(n))
	}
	return time.Time{}
}

func (r *reader) position() message.Position {
	return message.Position{Block: r.uint(), Index: uint32(r.below(1 << 32))}
}

// message reads a message, with bytes of its own.
func (r *reader) message() *message.Message {
	enc := r.bytes()
	if r.err != nil || len(enc) == 0 {
		return nil
	}
	m, _, err := message.Decode(append([]byte(nil), enc...))
	if err != nil {
		r.err = errors.Join(r.err, err)
		return nil
	}
	return m
}

// list reads a count, and calls item so often, but not after an error: a claimed count costs nothing.
func (r *reader) list(item func()) {
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		item()
	}
}

// done returns the error of the value under key, if there is one, or if something is left over.
func (r *reader) done(key []byte) error {
	if r.err == nil && len(r.b) > 0 {
		r.err = errCut
	}
	if r.err != nil {
		return fmt.Errorf("key %q: %w", key, r.err)
	}
	return nil
}
