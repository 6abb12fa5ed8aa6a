package state

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// Session is what is kept of a session besides what has keys of its own.
type Session struct {
	ClientID      string
	Incarnation   uint64
	ExpirySeconds uint32
	Unsettled     bool      // more may have been sent to it than its snapshot says
	LeftAt        time.Time // when it lost its last connection; zero: it has one, which it loses at the next start at the latest
	Will          *Will     // nil: none
	WillDue       time.Time // of a will that waits for its delay
}

// Will is a will that is not published yet.
type Will struct {
	Message      *message.Message
	Expires      bool
	Expiry       time.Duration // of the message, from when it is published
	DelaySeconds uint32
	ID           uint64 // no other will of the session has it
}

func sessionKey(clientID string) []byte { return append([]byte{'s'}, clientID...) }

// PutSession keeps a session.
func PutSession(s *Session) storage.Op {
	w := newWriter()
	w.uint(s.Incarnation)
	w.uint(uint64(s.ExpirySeconds))
	w.bool(s.Unsettled)
	w.time(s.LeftAt)
	w.bool(s.Will != nil)
	if s.Will != nil {
		w.message(s.Will.Message)
		w.bool(s.Will.Expires)
		w.uint(uint64(s.Will.Expiry))
		w.uint(uint64(s.Will.DelaySeconds))
		w.time(s.WillDue)
		w.uint(s.Will.ID)
	}
	return storage.Op{Key: sessionKey(s.ClientID), Value: w.b}
}

// DeleteSession forgets a session.
func DeleteSession(clientID string) storage.Op { return Delete(sessionKey(clientID)) }

// DecodeSession reads an entry of Sessions.
func DecodeSession(kv storage.KV) (*Session, error) {
	r := newReader(kv.Value)
	s := &Session{ClientID: string(kv.Key[1:]), Incarnation: r.uint(), ExpirySeconds: uint32(r.below(1 << 32)), Unsettled: r.bool(), LeftAt: r.time()}
	if r.bool() {
		s.Will = &Will{Message: r.message(), Expires: r.bool(), Expiry: time.Duration(r.uint()), DelaySeconds: uint32(r.below(1 << 32))}
		if s.WillDue = r.time(); len(r.b) > 0 { // else a program kept this whose wills had none
			s.Will.ID = r.uint()
		}
		if s.Will.Message == nil {
			r.fail()
		}
	}
	return s, r.done(kv.Key)
}

// PutWillPublished keeps that a session's will was published, whatever is kept of the session itself: the will may have
// waited, for its delay or for a disk that was full, and the session may have a connection again, with another will.
func PutWillPublished(o Owner, id uint64) storage.Op {
	w := newWriter()
	w.uint(id)
	return storage.Op{Key: owned('w', o.ClientID, o.Incarnation, ""), Value: w.b}
}

// DeleteWillPublished forgets that.
func DeleteWillPublished(o Owner) storage.Op {
	return Delete(owned('w', o.ClientID, o.Incarnation, ""))
}

// DecodeWillPublished reads an entry of WillsPublished.
func DecodeWillPublished(kv storage.KV) (o Owner, id uint64, err error) {
	o, rest, err := parseOwned(kv.Key)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	if err != nil {
		return o, 0, err
	}
	r := newReader(kv.Value)
	id = r.uint()
	return o, id, r.done(kv.Key)
}

// Subscription is a subscription with its versions, the newest first.
type Subscription struct {
	Key       string // what the session knows it by
	Filter    string // what is matched
	Share     string // name of its group; "": none
	Exclusive bool
	Versions  *session.Subscription
}

// PutSubscription keeps a subscription. Where the commit of a version is pending, which this op is to be part of, end
// stands for its place: the log's end by now, which is not after it.
func PutSubscription(o Owner, s *Subscription, end message.Position) storage.Op {
	w := newWriter()
	w.string(s.Filter)
	w.string(s.Share)
	w.bool(s.Exclusive)
	n := uint64(0)
	for v := s.Versions; v != nil; v = v.Prev {
		n++
	}
	w.uint(n)
	for v := s.Versions; v != nil; v = v.Prev {
		from := v.From
		if from == message.MaxPosition {
			from = end
		}
		w.position(from)
		w.bool(v.Ended)
		w.uint(uint64(v.ID))
		w.uint(uint64(v.QoS))
		w.bool(v.NoLocal)
		w.bool(v.RetainAsPublished)
		w.uint(uint64(v.RetainHandling))
	}
	return storage.Op{Key: owned('u', o.ClientID, o.Incarnation, s.Key), Value: w.b}
}

// DeleteSubscription forgets a subscription.
func DeleteSubscription(o Owner, key string) storage.Op {
	return Delete(owned('u', o.ClientID, o.Incarnation, key))
}

// DecodeSubscription reads an entry of Subscriptions.
func DecodeSubscription(kv storage.KV) (o Owner, s *Subscription, err error) {
	o, rest, err := parseOwned(kv.Key)
	if err != nil {
		return o, nil, err
	}
	r := newReader(kv.Value)
	s = &Subscription{Key: string(rest), Filter: r.string(), Share: r.string(), Exclusive: r.bool()}
	var versions []*session.Subscription // newest first
	r.list(func() {
		from, ended, id := r.position(), r.bool(), uint32(r.below(1<<28))
		f := mqtt.FilterOptions{Filter: s.Filter, QoS: mqtt.QoS(r.below(3)), NoLocal: r.bool(), RetainAsPublished: r.bool(),
			RetainHandling: mqtt.RetainHandling(r.below(3))}
		v := session.NewSubscription(f, id, nil)
		v.From, v.Ended = from, ended
		versions = append(versions, v)
	})
	for i := range len(versions) - 1 {
		versions[i].Prev = versions[i+1]
	}
	if len(versions) > 0 {
		s.Versions = versions[0]
	} else {
		r.fail()
	}
	return o, s, r.done(kv.Key)
}

// Flight is a delivery that is under way to a client.
type Flight struct {
	ID              uint16
	Released        bool // PUBREC has come: PUBREL is what is to be sent
	QoS             mqtt.QoS
	Retain          bool
	SubscriptionIDs []uint32
	Position        message.Position // where the log has its message; zero: Body is it
	Body            *message.Message
	Lease           *Lease // of a consumer of the HTTP API; nil: it is none of that
}

// Lease says of what a consumer was given how often that was so, and until when nobody else gets it. Its Position stays
// known though there is a Body.
type Lease struct {
	Deliveries uint32
	Until      time.Time
}

// Replay is a subscription whose retained messages are under way.
type Replay struct{ Key, After string }

// Snapshot is a session's place in the log, with what is under way from before it.
type Snapshot struct {
	Next    message.Position
	LastID  uint16
	Flights []Flight // in flight, in the order in which they were sent
	Kept    []Flight // not sent yet, and not to be read from the log
	Replays []Replay
	// ParkedTo is before which what the session still gets, from Next on, was parked. MaxPosition: a program kept this that did not
	// tell, and before whose Next nothing is parked but what the session still gets.
	ParkedTo message.Position
}

// PutSnapshot keeps a snapshot.
func PutSnapshot(o Owner, s *Snapshot) storage.Op {
	w := newWriter()
	w.position(s.Next)
	w.uint(uint64(s.LastID))
	w.flights(s.Flights)
	w.flights(s.Kept)
	w.uint(uint64(len(s.Replays)))
	for _, p := range s.Replays {
		w.string(p.Key)
		w.string(p.After)
	}
	w.position(s.ParkedTo)
	return storage.Op{Key: owned('f', o.ClientID, o.Incarnation, ""), Value: w.b}
}

// DecodeSnapshot reads an entry of Snapshots.
func DecodeSnapshot(kv storage.KV) (o Owner, s *Snapshot, err error) {
	o, rest, err := parseOwned(kv.Key)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	if err != nil {
		return o, nil, err
	}
	r := newReader(kv.Value)
	s = &Snapshot{Next: r.position(), LastID: uint16(r.below(1 << 16)), Flights: r.flights(), Kept: r.flights()}
	r.list(func() { s.Replays = append(s.Replays, Replay{r.string(), r.string()}) })
	if s.ParkedTo = message.MaxPosition; len(r.b) > 0 {
		s.ParkedTo = r.position()
	}
	return o, s, r.done(kv.Key)
}

func (w *writer) flights(fs []Flight) {
	w.uint(uint64(len(fs)))
	for i := range fs {
		f := &fs[i]
		w.uint(uint64(f.ID))
		flags := uint64(f.QoS)
		for i, set := range []bool{f.Released, f.Retain, f.Lease != nil, f.Body != nil, len(f.SubscriptionIDs) > 0} {
			if set {
				flags |= 4 << i
			}
		}
		w.uint(flags)
		if f.Body != nil {
			w.message(f.Body)
		} else {
			w.position(f.Position)
		}
		if len(f.SubscriptionIDs) > 0 {
			w.uint(uint64(len(f.SubscriptionIDs)))
			for _, id := range f.SubscriptionIDs {
				w.uint(uint64(id))
			}
		}
		if f.Lease != nil {
			w.uint(uint64(f.Lease.Deliveries))
			w.time(f.Lease.Until)
			w.position(f.Position)
		}
	}
}

func (r *reader) flights() (fs []Flight) {
	r.list(func() {
		f := Flight{ID: uint16(r.below(1 << 16))}
		flags := r.below(4 << 5)
		f.QoS, f.Released, f.Retain = mqtt.QoS(flags&3), flags&4 != 0, flags&8 != 0
		if f.QoS > mqtt.ExactlyOnce {
			r.fail()
		}
		if flags&32 != 0 {
			if f.Body = r.message(); f.Body == nil {
				r.fail()
			}
		} else {
			f.Position = r.position()
		}
		if flags&64 != 0 {
			r.list(func() { f.SubscriptionIDs = append(f.SubscriptionIDs, uint32(r.below(1<<28))) })
		}
		if flags&16 != 0 {
			f.Lease = &Lease{Deliveries: uint32(r.below(1 << 32)), Until: r.time()}
			f.Position = r.position()
		}
		fs = append(fs, f)
	})
	return fs
}

// PutInboundID keeps an identifier of a client's QoS 2 message.
func PutInboundID(o Owner, id uint16) storage.Op {
	return storage.Op{Key: inboundKey(o, id), Value: []byte{version}}
}

// DeleteInboundID forgets it.
func DeleteInboundID(o Owner, id uint16) storage.Op { return Delete(inboundKey(o, id)) }

func inboundKey(o Owner, id uint16) []byte {
	return binary.BigEndian.AppendUint16(owned('i', o.ClientID, o.Incarnation, ""), id)
}

// DecodeInboundID reads an entry of InboundIDs.
func DecodeInboundID(kv storage.KV) (o Owner, id uint16, err error) {
	o, rest, err := parseOwned(kv.Key)
	if err == nil && len(rest) != 2 {
		err = fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	if err != nil {
		return o, 0, err
	}
	return o, binary.BigEndian.Uint16(rest), newReader(kv.Value).done(kv.Key)
}
