package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// What is kept of a declared stream lies under its name: h name NUL kind.
const (
	streamHead   = 's' // what the stream is, and how far it has got
	streamChunk  = 'm' // place of a chunk's first message: what is in the chunk
	streamPart   = 'c' // place, number of the part: a part of a chunk's bytes
	streamValue  = 'w' // place: a message that is the last of its topic
	streamLatest = 'v' // topic: the place of that message
)

// Stream is what a declared stream is, and how far it has got.
type Stream struct {
	Name      string
	Filters   []string
	LastValue bool
	Next      message.Position // what matches before it is in the stream's own store
	Complete  message.Position // nothing that matched from here on was missed
	// CompleteSince is a time from which on nothing was missed or let go of.
	CompleteSince time.Time
	First         message.Position // what was before it was let go
	Count         uint64           // with LastValue: its messages
	Bytes         int64            // and their size
}

func streamKey(name string, kind byte) []byte { return append([]byte("h"+name+"\x00"), kind) }

// OfStream is the prefix of all that is kept of a stream.
func OfStream(name string) []byte { return []byte("h" + name + "\x00") }

// PutStream keeps what a stream is.
func PutStream(s *Stream) storage.Op {
	w := newWriter()
	w.uint(uint64(len(s.Filters)))
	for _, f := range s.Filters {
		w.string(f)
	}
	w.bool(s.LastValue)
	w.position(s.Next)
	w.position(s.Complete)
	w.time(s.CompleteSince)
	w.position(s.First)
	w.uint(s.Count)
	w.uint(uint64(s.Bytes))
	return storage.Op{Key: streamKey(s.Name, streamHead), Value: w.b}
}

// StreamName returns the name of the stream that a key of Streams belongs to.
func StreamName(key []byte) (string, error) {
	name, rest, ok := bytes.Cut(key[1:], []byte{0})
	if !ok || len(rest) == 0 {
		return "", fmt.Errorf("%w: key %q", errCut, key)
	}
	return string(name), nil
}

// DecodeStream reads what is under a StreamHead.
func DecodeStream(kv storage.KV) (*Stream, error) {
	name, err := StreamName(kv.Key)
	if err != nil {
		return nil, err
	}
	r := newReader(kv.Value)
	s := &Stream{Name: name}
	r.list(func() { s.Filters = append(s.Filters, r.string()) })
	s.LastValue, s.Next, s.Complete, s.CompleteSince, s.First = r.bool(), r.position(), r.position(), r.time(), r.position()
	s.Count, s.Bytes = r.uint(), int64(r.below(1<<62))
	return s, r.done(kv.Key)
}

// StreamHead is the key of what a stream is.
func StreamHead(name string) []byte { return streamKey(name, streamHead) }

// AfterStream is the first key that is after all of a stream's.
func AfterStream(name string) []byte { return []byte("h" + name + "\x01") }

// StreamRecord is a message with its place.
type StreamRecord struct {
	Position message.Position
	Message  *message.Message
}

// Chunk says what is in a run of a stream's messages that are kept together.
type Chunk struct {
	First, Last message.Position
	Count       uint64
	Bytes       int64 // encoded
	Parts       int
	Oldest      time.Time // the first message's time of publishing
	Newest      time.Time // the latest of all messages up to here
	Stored      time.Time // when it was written, by the broker's own clock
}

// AppendChunkRecord appends a message to the bytes of a chunk.
func AppendChunkRecord(dst []byte, pos message.Position, m *message.Message) []byte {
	w := writer{b: dst}
	w.position(pos)
	at := len(w.b)
	w.b = message.AppendEncoded(append(w.b, 0, 0, 0, 0), m, 0)
	binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at-4))
	return w.b
}

// DecodeChunkRecords reads the bytes of a chunk. The messages have memory of their own.
func DecodeChunkRecords(key, b []byte) (all []StreamRecord, err error) {
	r := &reader{b: b}
	for len(r.b) > 0 && r.err == nil {
		pos := r.position()
		if len(r.b) < 4 || uint64(binary.BigEndian.Uint32(r.b)) > uint64(len(r.b)-4) {
			r.fail()
			break
		}
		n := 4 + binary.BigEndian.Uint32(r.b)
		m, _, err := message.Decode(bytes.Clone(r.b[4:n]))
		if err != nil {
			r.err = err
			break
		}
		all = append(all, StreamRecord{pos, m})
		r.b = r.b[n:]
	}
	return all, r.done(key)
}

// Chunks is the prefix of what is said of a stream's chunks.
func Chunks(name string) []byte { return streamKey(name, streamChunk) }

// PutChunk keeps what a chunk is.
func PutChunk(name string, c *Chunk) storage.Op {
	w := newWriter()
	w.position(c.Last)
	w.uint(c.Count)
	w.uint(uint64(c.Bytes))
	w.uint(uint64(c.Parts))
	w.time(c.Oldest)
	w.time(c.Newest)
	w.time(c.Stored)
	return storage.Op{Key: appendPlace(Chunks(name), c.First), Value: w.b}
}

// DecodeChunk reads an entry of Chunks.
func DecodeChunk(name string, kv storage.KV) (*Chunk, error) {
	first, err := placeAfter(Chunks(name), kv.Key)
	if err != nil {
		return nil, err
	}
	r := newReader(kv.Value)
	c := &Chunk{First: first, Last: r.position(), Count: r.uint(), Bytes: int64(r.below(1 << 62)), Parts: int(r.below(1 << 16))}
	c.Oldest, c.Newest, c.Stored = r.time(), r.time(), r.time()
	return c, r.done(kv.Key)
}

// placeAfter reads the position that a key has after a prefix.
func placeAfter(prefix, key []byte) (pos message.Position, err error) {
	place, ok := bytes.CutPrefix(key, prefix)
	if !ok || len(place) != 12 {
		return pos, fmt.Errorf("%w: key %q", errCut, key)
	}
	return parsePlace(place), nil
}

// ChunkPart is the key of a part of a chunk's bytes.
func ChunkPart(name string, first message.Position, part int) []byte {
	return binary.BigEndian.AppendUint16(appendPlace(streamKey(name, streamPart), first), uint16(part))
}

// DeleteChunk forgets a chunk.
func DeleteChunk(name string, c *Chunk) []storage.Op {
	ops := []storage.Op{Delete(appendPlace(Chunks(name), c.First))}
	for i := range c.Parts {
		ops = append(ops, Delete(ChunkPart(name, c.First, i)))
	}
	return ops
}

// Values is the prefix of a stream's last messages, which are in the order of the log.
func Values(name string) []byte { return streamKey(name, streamValue) }

// ValueKey is the key of the last message of a topic, by its place.
func ValueKey(name string, pos message.Position) []byte { return appendPlace(Values(name), pos) }

// PutValue keeps the last message of a topic with the time by the broker's own clock, and where it is.
func PutValue(name string, r StreamRecord, stored time.Time) []storage.Op {
	w := newWriter()
	w.time(stored)
	w.message(r.Message)
	at := newWriter()
	at.position(r.Position)
	at.uint(uint64(len(w.b)))
	return []storage.Op{{Key: ValueKey(name, r.Position), Value: w.b}, {Key: LatestKey(name, r.Message.Topic), Value: at.b}}
}

// DecodeValue reads an entry of Values.
func DecodeValue(name string, kv storage.KV) (r StreamRecord, stored time.Time, err error) {
	pos, err := placeAfter(Values(name), kv.Key)
	if err != nil {
		return r, stored, err
	}
	v := newReader(kv.Value)
	stored = v.time()
	r = StreamRecord{pos, v.message()}
	if r.Message == nil {
		v.fail()
	}
	return r, stored, v.done(kv.Key)
}

// LatestKey is the key under which the place of a topic's last message is.
func LatestKey(name, topic string) []byte { return append(streamKey(name, streamLatest), topic...) }

// DecodeLatest reads what is under a LatestKey: the place of the message, and how many bytes are kept of it.
func DecodeLatest(key, value []byte) (pos message.Position, size int64, err error) {
	r := newReader(value)
	pos, size = r.position(), int64(r.below(1<<62))
	return pos, size, r.done(key)
}

// StreamCursor is where a session reads a stream.
type StreamCursor struct {
	Next  message.Position
	Since time.Time // not zero: it begins with the first message that was published then, at or after Next
}

// PutStreamCursor keeps where a session's subscription, by its key, reads a stream.
func PutStreamCursor(o Owner, key string, c StreamCursor) storage.Op {
	w := newWriter()
	w.position(c.Next)
	w.time(c.Since)
	return storage.Op{Key: owned('c', o.ClientID, o.Incarnation, key), Value: w.b}
}

// DeleteStreamCursor forgets it.
func DeleteStreamCursor(o Owner, key string) storage.Op {
	return Delete(owned('c', o.ClientID, o.Incarnation, key))
}

// DecodeStreamCursor reads an entry of StreamCursors.
func DecodeStreamCursor(kv storage.KV) (o Owner, key string, c StreamCursor, err error) {
	o, rest, err := parseOwned(kv.Key)
	if err != nil {
		return o, "", c, err
	}
	r := newReader(kv.Value)
	c = StreamCursor{Next: r.position(), Since: r.time()}
	return o, string(rest), c, r.done(kv.Key)
}
