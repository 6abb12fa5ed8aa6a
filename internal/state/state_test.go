package state

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

func kv(op storage.Op) storage.KV { return storage.KV(op) }

var (
	owner = Owner{"client/ü", 77}
	when  = time.Unix(1_700_000_000, 5)
	body  = &message.Message{Topic: "t/x", Payload: []byte("p"), QoS: 2, Retain: true, ClientID: "pub", PublishedAt: when}
)

func samples() []storage.Op {
	versions := session.NewSubscription(mqtt.FilterOptions{Filter: "a/#", QoS: 1, RetainAsPublished: true}, 9, nil).
		Committed(message.Position{Block: 3, Index: 2}).End().Committed(message.Position{Block: 5})
	return []storage.Op{
		PutSession(&Session{ClientID: "c", Incarnation: 4, ExpirySeconds: 60, Unsettled: true}),
		PutSession(&Session{ClientID: "c", LeftAt: when, Will: &Will{Message: body, Expires: true, Expiry: time.Minute, DelaySeconds: 3, ID: 900}, WillDue: when}),
		PutSubscription(owner, &Subscription{Key: "$share/g/a/#", Filter: "a/#", Share: "g", Versions: versions}, message.Position{}),
		PutSnapshot(owner, &Snapshot{
			Next: message.Position{Block: 8, Index: 1}, LastID: 65535,
			Flights: []Flight{
				{ID: 1, QoS: 1, Position: message.Position{Block: 7}, SubscriptionIDs: []uint32{1, 268435455}},
				{ID: 65535, QoS: 2, Released: true, Body: body},
			},
			Kept:    []Flight{{QoS: 2, Retain: true, Body: body}},
			Replays: []Replay{{"a/#", "a/b"}}, ParkedTo: message.Position{Block: 70, Index: 3},
		}),
		PutWillPublished(owner, 1<<63),
		PutInboundID(owner, 512),
		PutRetained(body),
		PutDelayed(&DelayedMessage{Number: 6, Due: when, Message: body}),
		PutGroup(&Group{Name: "g", Filter: "a/#", Next: message.Position{Block: 2}, Returned: []Flight{{QoS: 1, Body: body}}}),
		PutParked(owner, &ParkedMessage{Delivery: Flight{QoS: 1, Retain: true, Position: message.Position{Block: 4, Index: 3}, SubscriptionIDs: []uint32{7}}, Ordinal: 2, Bytes: 99}),
		PutBody(message.Position{Block: 4, Index: 3}, body),
		PutStream(&Stream{Name: "s", Filters: []string{"a/#", "b"}, LastValue: true, Next: message.Position{Block: 9},
			Complete: message.Position{Block: 2}, CompleteSince: when, First: message.Position{Block: 3, Index: 4}, Count: 5, Bytes: 600}),
		PutChunk("s", &Chunk{First: message.Position{Block: 1, Index: 2}, Last: message.Position{Block: 3}, Count: 4, Bytes: 500, Parts: 6, Oldest: when, Newest: when, Stored: when}),
		PutValue("s", StreamRecord{message.Position{Block: 1, Index: 2}, body}, when)[0],
		PutValue("s", StreamRecord{message.Position{Block: 1, Index: 2}, body}, when)[1],
		PutStreamCursor(owner, "$stream/s/a/+", StreamCursor{Next: message.Position{Block: 4}, Since: when}),
		PutGiven(owner, &Given{Key: "m\x00$share/g/a/#", Part: 258, Name: "g", Filter: "m/a/#",
			Flights: []Flight{{ID: 16512, QoS: 2, Released: true, Position: message.Position{Block: 9, Index: 1}}}}),
		Clock.Put(12345),
	}
}

// decodeAny decodes an entry by its space, and encodes it again.
func decodeAny(kv storage.KV) (again storage.Op, err error) {
	if len(kv.Key) == 0 {
		return again, errCut
	}
	switch kv.Key[0] {
	case 's':
		s, err := DecodeSession(kv)
		if err != nil {
			return again, err
		}
		return PutSession(s), nil
	case 'w':
		o, id, err := DecodeWillPublished(kv)
		return PutWillPublished(o, id), err
	case 'u':
		o, s, err := DecodeSubscription(kv)
		if err != nil {
			return again, err
		}
		return PutSubscription(o, s, message.Position{}), nil
	case 'f':
		o, s, err := DecodeSnapshot(kv)
		if err != nil {
			return again, err
		}
		return PutSnapshot(o, s), nil
	case 'i':
		o, id, err := DecodeInboundID(kv)
		return PutInboundID(o, id), err
	case 'r':
		m, err := DecodeRetained(kv)
		if err != nil {
			return again, err
		}
		return PutRetained(m), nil
	case 'd':
		d, err := DecodeDelayed(kv)
		if err != nil {
			return again, err
		}
		return PutDelayed(d), nil
	case 'g':
		g, err := DecodeGroup(kv)
		if err != nil {
			return again, err
		}
		return PutGroup(g), nil
	}
	switch kv.Key[0] {
	case 'p':
		o, p, err := DecodeParked(kv)
		if err != nil {
			return again, err
		}
		return PutParked(o, p), nil
	case 'b':
		pos, m, err := DecodeBody(kv)
		if err != nil {
			return again, err
		}
		return PutBody(pos, m), nil
	case 'h':
		return decodeStreamKey(kv)
	case 'c':
		o, key, c, err := DecodeStreamCursor(kv)
		return PutStreamCursor(o, key, c), err
	}
	if kv.Key[0] == 'a' {
		o, g, err := DecodeGiven(kv)
		if err != nil {
			return again, err
		}
		return PutGiven(o, g), nil
	}
	n, err := Clock.Decode(kv.Value)
	return Clock.Put(n), err
}

func decodeStreamKey(kv storage.KV) (again storage.Op, err error) {
	name, err := StreamName(kv.Key)
	if err != nil {
		return again, err
	}
	switch rest := kv.Key[len(OfStream(name)):]; rest[0] {
	case streamChunk:
		c, err := DecodeChunk(name, kv)
		if err != nil {
			return again, err
		}
		return PutChunk(name, c), nil
	case streamValue:
		r, stored, err := DecodeValue(name, kv)
		if err != nil {
			return again, err
		}
		return PutValue(name, r, stored)[0], nil
	case streamLatest:
		pos, size, err := DecodeLatest(kv.Key, kv.Value)
		w := newWriter()
		w.position(pos)
		w.uint(uint64(size))
		return storage.Op{Key: kv.Key, Value: w.b}, err
	}
	s, err := DecodeStream(kv)
	if err != nil {
		return again, err
	}
	return PutStream(s), nil
}

func TestAChunksRecordsComeBackAndDamageIsSeen(t *testing.T) {
	var b []byte
	for i := range uint32(3) {
		b = AppendChunkRecord(b, message.Position{Block: 7, Index: i}, body)
	}
	all, err := DecodeChunkRecords(nil, b)
	if err != nil || len(all) != 3 || all[2].Position != (message.Position{Block: 7, Index: 2}) || !reflect.DeepEqual(all[1].Message, body) {
		t.Fatalf("%+v, %v", all, err)
	}
	one := len(b) / 3
	for n := range len(b) {
		if _, err := DecodeChunkRecords(nil, b[:n]); (err == nil) != (n%one == 0) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
}

func FuzzDecodeChunkRecords(f *testing.F) {
	f.Add(AppendChunkRecord(AppendChunkRecord(nil, message.Position{Block: 7}, body), message.Position{Block: 8, Index: 1}, body))
	f.Add([]byte{1, 1, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := DecodeChunkRecords(nil, b)
		if err != nil {
			return
		}
		var again []byte
		for _, r := range all {
			again = AppendChunkRecord(again, r.Position, r.Message)
		}
		if back, err := DecodeChunkRecords(nil, again); err != nil || !reflect.DeepEqual(back, all) {
			t.Fatalf("%+v came back as %+v, %v", all, back, err)
		}
	})
}

func TestWhatIsKeptComesBack(t *testing.T) {
	for _, op := range samples() {
		again, err := decodeAny(kv(op))
		if err != nil {
			t.Errorf("%q: %v", op.Key, err)
			continue
		}
		if !bytes.Equal(again.Key, op.Key) || !bytes.Equal(again.Value, op.Value) {
			t.Errorf("%q came back as %q:\n% x\n% x", op.Key, again.Key, op.Value, again.Value)
		}
	}
}

func TestFieldsComeBack(t *testing.T) {
	all := samples()
	_, snap, err := DecodeSnapshot(kv(all[3]))
	if err != nil || snap.LastID != 65535 || !snap.Flights[1].Released ||
		string(snap.Kept[0].Body.Payload) != "p" || snap.Replays[0] != (Replay{"a/#", "a/b"}) {
		t.Errorf("%+v, %v", snap, err)
	}
	o, sub, err := DecodeSubscription(kv(all[2]))
	if err != nil || o != owner || sub.Versions.At(message.Position{Block: 5}) != nil {
		t.Errorf("%+v %+v, %v", o, sub, err)
	}
	if v := sub.Versions.At(message.Position{Block: 4}); v == nil || v.ID != 9 || v.QoS != 1 || !v.RetainAsPublished {
		t.Errorf("the version before the end is %+v", v)
	}
	s, err := DecodeSession(kv(all[1]))
	if err != nil || !s.LeftAt.Equal(when) || !s.WillDue.Equal(when) || s.Will.Expiry != time.Minute || !reflect.DeepEqual(s.Will.Message.Payload, body.Payload) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAPendingVersionIsKeptAtTheLogsEnd(t *testing.T) {
	end := message.Position{Block: 9, Index: 3}
	v := session.NewSubscription(mqtt.FilterOptions{Filter: "f"}, 0, nil)
	_, s, err := DecodeSubscription(kv(PutSubscription(owner, &Subscription{Key: "f", Filter: "f", Versions: v}, end)))
	if err != nil || s.Versions.From != end {
		t.Errorf("%+v, %v", s, err)
	}
}

// These are what the last fields of samples take, which older programs did not write.
const parkedToBytes, willIDBytes = 2, 2

// A snapshot of a program that did not keep where what is parked ends says so.
func TestASnapshotWithoutParkedTo(t *testing.T) {
	for _, op := range samples() {
		if !bytes.HasPrefix(op.Key, Snapshots) {
			continue
		}
		_, s, err := DecodeSnapshot(kv(op))
		if err != nil || s.ParkedTo != (message.Position{Block: 70, Index: 3}) {
			t.Errorf("%+v, %v", s, err)
		}
		op.Value = op.Value[:len(op.Value)-parkedToBytes]
		if _, s, err = DecodeSnapshot(kv(op)); err != nil || s.ParkedTo != message.MaxPosition {
			t.Errorf("%+v, %v, want the last position there is", s, err)
		}
	}
}

func TestDamageIsAnErrorAndNamesItsKey(t *testing.T) {
	for i, op := range samples() {
		for n := range len(op.Value) {
			if bytes.HasPrefix(op.Key, Snapshots) && n == len(op.Value)-parkedToBytes {
				continue // as programs wrote it before there was ParkedTo
			}
			if bytes.HasPrefix(op.Key, Sessions) && n == len(op.Value)-willIDBytes && i == 1 {
				continue // and before wills had numbers
			}
			_, err := decodeAny(storage.KV{Key: op.Key, Value: op.Value[:n]})
			if err == nil {
				t.Errorf("%q: cut after %d of %d bytes, and no error", op.Key, n, len(op.Value))
			} else if !strings.Contains(err.Error(), "key") {
				t.Errorf("%q: %v", op.Key, err)
			}
		}
		newer := append([]byte{version + 1}, op.Value[1:]...)
		if _, err := decodeAny(storage.KV{Key: op.Key, Value: newer}); !errors.Is(err, ErrNewer) {
			t.Errorf("%q of a newer version: %v", op.Key, err)
		}
	}
}

func TestAnEmptyRetainedMessageIsForgotten(t *testing.T) {
	if op := PutRetained(&message.Message{Topic: "t"}); op.Value != nil {
		t.Errorf("%+v", op)
	}
}

func TestASessionsEntriesLieTogetherAndApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringMatching(`[a-c\x01\xff/]{0,4}`)
		a := Owner{id.Draw(t, "a"), rapid.Uint64().Draw(t, "inc a")}
		b := Owner{id.Draw(t, "b"), rapid.Uint64().Draw(t, "inc b")}
		key := PutInboundID(a, 1).Key
		if bytes.HasPrefix(key, Of(InboundIDs, b.ClientID, b.Incarnation)) != (a == b) {
			t.Fatalf("%v and %v share keys", a, b)
		}
		if got, _, err := DecodeInboundID(storage.KV{Key: key, Value: []byte{version}}); err != nil || got != a {
			t.Fatalf("%v came back as %v, %v", a, got, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, op := range samples() {
		f.Add(op.Key, op.Value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		op, err := decodeAny(storage.KV{Key: key, Value: value})
		if err != nil || op.Value == nil {
			return
		}
		again, err := decodeAny(kv(op))
		if err != nil || !bytes.Equal(again.Value, op.Value) {
			t.Fatalf("%q: % x came back as % x, %v", key, op.Value, again.Value, err)
		}
	})
}
