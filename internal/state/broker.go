package state

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// PutRetained keeps a topic's retained message, and forgets it if the payload is empty.
func PutRetained(m *message.Message) storage.Op {
	key := append([]byte{'r'}, m.Topic...)
	if len(m.Payload) == 0 {
		return Delete(key)
	}
	w := newWriter()
	w.message(m)
	return storage.Op{Key: key, Value: w.b}
}

// DecodeRetained reads an entry of Retained.
func DecodeRetained(kv storage.KV) (*message.Message, error) {
	r := newReader(kv.Value)
	m := r.message()
	if m == nil {
		r.fail()
	}
	return m, r.done(kv.Key)
}

// DelayedMessage is a message that is published later.
type DelayedMessage struct {
	Number  uint64
	Due     time.Time
	Message *message.Message
}

func delayedKey(number uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'d'}, number) }

// PutDelayed keeps a message until it is due.
func PutDelayed(d *DelayedMessage) storage.Op {
	w := newWriter()
	w.time(d.Due)
	w.message(d.Message)
	return storage.Op{Key: delayedKey(d.Number), Value: w.b}
}

// DeleteDelayed forgets it.
func DeleteDelayed(number uint64) storage.Op { return Delete(delayedKey(number)) }

// DecodeDelayed reads an entry of Delayed.
func DecodeDelayed(kv storage.KV) (*DelayedMessage, error) {
	if len(kv.Key) != 9 {
		return nil, fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	r := newReader(kv.Value)
	d := &DelayedMessage{Number: binary.BigEndian.Uint64(kv.Key[1:]), Due: r.time(), Message: r.message()}
	if d.Message == nil {
		r.fail()
	}
	return d, r.done(kv.Key)
}

// Group is a shared group's place in the log, and what came back from members.
type Group struct {
	Name, Filter string
	Next         message.Position
	Returned     []Flight
	ParkedTo     message.Position // before it, what the group still gets was parked; zero: nothing was, and it is not written
}

func groupKey(name, filter string) []byte { return []byte("g" + name + "\x00" + filter) }

// PutGroup keeps a group.
func PutGroup(g *Group) storage.Op {
	w := newWriter()
	w.position(g.Next)
	w.flights(g.Returned)
	if !g.ParkedTo.IsZero() {
		w.position(g.ParkedTo)
	}
	return storage.Op{Key: groupKey(g.Name, g.Filter), Value: w.b}
}

// DeleteGroup forgets a group.
func DeleteGroup(name, filter string) storage.Op { return Delete(groupKey(name, filter)) }

// DecodeGroup reads an entry of Groups.
func DecodeGroup(kv storage.KV) (*Group, error) {
	name, filter, ok := strings.Cut(string(kv.Key[1:]), "\x00")
	if !ok {
		return nil, fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	r := newReader(kv.Value)
	g := &Group{Name: name, Filter: filter, Next: r.position(), Returned: r.flights()}
	if len(r.b) > 0 {
		g.ParkedTo = r.position()
	}
	return g, r.done(kv.Key)
}

// Number is a number of the broker's own.
type Number string

// The numbers.
const (
	Clock       Number = "clock"       // high-water mark of the clock that things expire by, nanoseconds since 1970
	Wall        Number = "wall"        // the machine's clock at that moment, the same
	Incarnation Number = "incarnation" // of sessions: none so high was given out
	DelayedNext Number = "delayed"     // of delayed messages: none so high was given out
)

// Key is the key of the number.
func (n Number) Key() []byte { return []byte("m" + string(n)) }

// Put keeps a value of the number.
func (n Number) Put(value uint64) storage.Op {
	w := newWriter()
	w.uint(value)
	return storage.Op{Key: n.Key(), Value: w.b}
}

// Decode reads the number's value.
func (n Number) Decode(value []byte) (uint64, error) {
	r := newReader(value)
	v := r.uint()
	return v, r.done(n.Key())
}
