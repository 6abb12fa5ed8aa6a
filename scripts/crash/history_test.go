//go:build e2e

package crash

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/barid-mqtt/barid/mqtt"
)

// topicsEach is how many topics a publisher publishes to in turn.
const topicsEach = 4

// history is what publishers and subscribers saw. It is checked while it is made, so that a long run fits in memory.
type history struct {
	sources []*source // of messages; the index is the publisher

	delivered, repeated, twiceInGroup atomic.Int64

	mu     sync.Mutex
	broken []string       // promises, the first of each kind
	kinds  map[string]int // how many there are of each
	count  int
}

// source is one publisher's messages, numbered from 0.
type source struct {
	n      int
	qos    mqtt.QoS
	retain bool
	later  laterKind    // published by the broker after a time, so that no order is promised
	void   sync.Map     // numbers of which nobody knows whether the broker took them
	sent   atomic.Int64 // those below may have been sent
	acked  atomic.Int64 // those below were acknowledged, all of them
}

// fail notes a broken promise.
func (h *history) fail(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kinds == nil {
		h.kinds = make(map[string]int)
	}
	h.count++
	if h.kinds[format]++; h.kinds[format] <= 5 {
		h.broken = append(h.broken, fmt.Sprintf(format, args...))
	}
}

func (h *history) violations() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// acked counts what was acknowledged.
func (h *history) acked() (n int64) {
	for _, s := range h.sources {
		n += s.acked.Load()
	}
	return n
}

// topic is the topic of a message.
func (s *source) topic(seq int) []byte {
	kind := [...]string{"t", "delayed", "will"}[s.later]
	if s.retain {
		kind = "r"
	}
	return fmt.Appendf(nil, "%s/%d/%d", kind, s.n, seq%topicsEach)
}

// payload is what a message carries: who sent it and as what, and some more that follows from that. One in five
// retained messages carries nothing, which removes the one before it.
func (s *source) payload(seq int) []byte {
	if s.clears(seq) {
		return nil
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(s.n))
	b = binary.BigEndian.AppendUint32(b, uint32(seq))
	more := (seq*2654435761 + s.n) >> 3 % 300
	if seq%100 == 99 {
		more += 6000
	}
	return append(b, bytes.Repeat([]byte{byte(seq)}, more)...)
}

func (s *source) clears(seq int) bool { return s.retain && seq/topicsEach%5 == 4 }

// identify says which message a PUBLISH carries, and fails if it is not as it was sent.
func (h *history) identify(pk *mqtt.Publish) (s *source, seq int, ok bool) {
	if len(pk.Payload) >= 8 {
		n, seq := binary.BigEndian.Uint32(pk.Payload), int(binary.BigEndian.Uint32(pk.Payload[4:]))
		if int(n) < len(h.sources) {
			s := h.sources[n]
			if int64(seq) < s.sent.Load() && bytes.Equal(pk.Payload, s.payload(seq)) && bytes.Equal(pk.Topic, s.topic(seq)) {
				return s, seq, true
			}
		}
	}
	h.fail("a message on %q that nobody sent: %.16x (%d bytes)", pk.Topic, pk.Payload, len(pk.Payload))
	return nil, 0, false
}

// view is what one subscriber got, or one group. A subscription is the promise of all messages that are sent after its
// SUBACK, as long as it is kept.
type view struct {
	name    string
	qos     mqtt.QoS
	topic   int  // of each publisher; -1: all
	group   bool // order is not kept among its members, and what one had with QoS 1 another may get
	later   bool // of wills and delayed messages, and of nothing else
	history *history

	mu     sync.Mutex
	tracks []track // by source
}

type track struct {
	got    []uint64        // a bit a message
	newest [topicsEach]int // by topic, of the subscription that holds; -1: none
	open   int             // first message of the subscription that holds; -1: none does
	whole  int             // of the promised ones, those below are known to have come
}

func (h *history) newView(name string, qos mqtt.QoS) *view {
	v := &view{name: name, qos: qos, topic: -1, history: h, tracks: make([]track, len(h.sources))}
	for i := range v.tracks {
		v.tracks[i].open = -1
	}
	return v
}

// begin notes that a subscription was acknowledged.
func (v *view) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.tracks {
		if t := &v.tracks[i]; t.open < 0 {
			t.open = int(v.history.sources[i].sent.Load())
			t.newest = [topicsEach]int{-1, -1, -1, -1}
		}
	}
}

// end notes that the subscription, or the session, is about to be given up: what waits in it may come or not.
func (v *view) end() {
	if v.group { // others have it still
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.tracks {
		v.tracks[i].open = -1
	}
}

// receive takes a message that came, but not one of QoS 2 that the subscriber knows it had.
func (v *view) receive(pk *mqtt.Publish) {
	h := v.history
	h.delivered.Add(1)
	s, seq, ok := h.identify(pk)
	if !ok {
		return
	}
	if want := min(s.qos, v.qos); pk.QoS != want {
		h.fail("%s got message %d of publisher %d with QoS %d instead of %d", v.name, seq, s.n, pk.QoS, want)
	}
	if v.topic >= 0 && seq%topicsEach != v.topic {
		h.fail("%s got message %d of publisher %d, which it did not subscribe to", v.name, seq, s.n)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	t := &v.tracks[s.n]
	if t.has(seq) {
		v.again(s, seq, pk)
		return
	}
	t.add(seq)
	if t.open < 0 || seq < t.open || v.group || v.later {
		return // it may be one that its publisher sent twice, once before the subscription
	}
	newest := &t.newest[seq%topicsEach]
	if seq < *newest {
		h.fail("%s got message %d of publisher %d for the first time after %d of the same topic", v.name, seq, s.n, *newest)
	}
	*newest = seq
}

// again judges a message that came before.
func (v *view) again(s *source, seq int, pk *mqtt.Publish) {
	h := v.history
	switch {
	case v.group && pk.QoS < mqtt.ExactlyOnce:
		h.twiceInGroup.Add(1)
	case pk.QoS == mqtt.ExactlyOnce:
		h.fail("%s got message %d of publisher %d twice with QoS 2", v.name, seq, s.n)
	case s.qos == mqtt.ExactlyOnce && !pk.Dup: // published once, so that it is the broker that repeats it
		h.fail("%s got message %d of publisher %d again without DUP", v.name, seq, s.n)
	default:
		h.repeated.Add(1)
	}
}

func (t *track) has(seq int) bool { return seq/64 < len(t.got) && t.got[seq/64]>>(seq%64)&1 != 0 }

func (t *track) add(seq int) {
	for seq/64 >= len(t.got) {
		t.got = append(t.got, 0)
	}
	t.got[seq/64] |= 1 << (seq % 64)
}

// missing lists the first few of the acknowledged messages that should have come and did not; n is how many there are.
func (v *view) missing() (n int, first string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.tracks {
		t, s := &v.tracks[i], v.history.sources[i]
		if s.retain || v.later != (s.later != atOnce) {
			continue
		}
		for seq := t.whole; seq < int(s.acked.Load()); seq++ {
			_, void := s.void.Load(seq)
			if void || t.has(seq) || v.topic >= 0 && seq%topicsEach != v.topic || t.open < 0 || seq < t.open {
				if t.whole == seq { // no later subscription will promise it
					t.whole++
				}
				continue
			}
			if n++; n <= 8 {
				first += fmt.Sprintf(" %d/%d", i, seq)
			}
		}
	}
	return n, first
}
