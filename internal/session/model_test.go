package session

import (
	"flag"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
	"pgregory.net/rapid"
)

// model is a session said as plainly as possible, with slices, a map and linear searches.
type model struct {
	opts     Options
	conn     Connection
	attached bool
	flights  []modelFlight
	lastID   uint16
	queue    []Delivery
	in       map[uint16]modelInbound
	qos1     int
}

type modelFlight struct {
	InFlight
	due   bool
	taken bool
}

type modelInbound struct {
	state   InboundState
	counted bool
}

func (m *model) find(id uint16) int {
	return slices.IndexFunc(m.flights, func(f modelFlight) bool { return f.PacketID == id })
}

func (m *model) forgetTaken() {
	m.flights = slices.DeleteFunc(m.flights, func(f modelFlight) bool { return f.taken })
}

func (m *model) remove(i int) Delivery {
	d := m.flights[i].Delivery
	m.flights = slices.Delete(m.flights, i, i+1)
	return d
}

func (m *model) next(now time.Time) (Send, bool) {
	due, unacknowledged := 0, 0
	for _, f := range m.flights {
		if f.due {
			due++
		} else {
			unacknowledged++
		}
	}
	room := unacknowledged < min(m.conn.ReceiveMaximum, m.opts.InFlightMax)
	for i, f := range m.flights {
		if !m.attached || !f.due || !f.Released && !room {
			continue
		}
		m.flights[i].due = false
		if f.Released {
			return Send{Kind: SendPubrel, PacketID: f.PacketID, Delivery: f.Delivery}, true
		}
		return Send{Kind: SendPublish, PacketID: f.PacketID, Dup: true, Delivery: f.Delivery}, true
	}
	if !m.attached || due > 0 || len(m.queue) == 0 {
		return Send{}, false
	}
	d := m.queue[0]
	switch {
	case d.Message.Expired(now):
		m.queue = m.queue[1:]
		return Send{Kind: Dropped, Delivery: d, Reason: message.DropExpired}, true
	case d.QoS > 0 && !room:
		return Send{}, false
	}
	m.queue = m.queue[1:]
	if d.QoS == 0 {
		return Send{Kind: SendPublish, Delivery: d}, true
	}
	for ok := true; ok; ok = m.lastID == 0 || m.find(m.lastID) >= 0 {
		m.lastID++
	}
	m.flights = append(m.flights, modelFlight{InFlight: InFlight{PacketID: m.lastID, Delivery: d}})
	return Send{Kind: SendPublish, PacketID: m.lastID, Delivery: d}, true
}

func (m *model) counted() (n int) {
	for _, e := range m.in {
		if e.counted {
			n++
		}
	}
	return n
}

func (m *model) receivePublish(id uint16, qos mqtt.QoS) Inbound {
	v5, rm := m.conn.Version == mqtt.V5, m.opts.ReceiveMaximum
	switch qos {
	case 0:
		return Process
	case 1:
		if v5 && m.counted() >= rm {
			return QuotaExceeded
		}
		m.qos1++
		return Process
	}
	e, held := m.in[id]
	if v5 && !e.counted && m.counted()+m.qos1 >= rm {
		return QuotaExceeded
	}
	m.in[id] = modelInbound{e.state, true}
	switch {
	case !held:
		return Process
	case e.state == InboundPending:
		return Wait
	}
	return Answer
}

func (m *model) publishDone(id uint16, qos mqtt.QoS, code mqtt.ReasonCode) bool {
	switch {
	case qos == 1 && m.qos1 > 0:
		m.qos1--
		return m.attached
	case qos != 2:
		return false
	}
	e, held := m.in[id]
	if !held || e.state != InboundPending {
		return false
	}
	m.in[id] = modelInbound{InboundReceived, e.counted}
	if code.Failed() {
		delete(m.in, id)
	}
	return m.attached && e.counted
}

func (m *model) paused() bool {
	pending := 0
	for _, e := range m.in {
		if e.state == InboundPending {
			pending++
		}
	}
	if m.conn.Version == mqtt.V5 {
		return m.qos1 > 0 && m.qos1+m.counted() >= m.opts.ReceiveMaximum
	}
	return m.qos1+pending >= m.opts.ReceiveMaximum
}

// machine runs a session beside its model. Every method is an action that rapid calls at random.
type machine struct {
	s   *Session
	m   *model
	now time.Time
	n   int
}

func TestSessionIsLikeItsModel(t *testing.T) {
	if err := flag.Set("rapid.steps", "150"); err != nil { // an action a step: 30 do not get far
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		x := &machine{now: time.Unix(1_800_000_000, 0)}
		o := Options{
			ReceiveMaximum: rapid.IntRange(1, 5).Draw(t, "receive maximum"),
			InFlightMax:    rapid.IntRange(1, 20).Draw(t, "in-flight max"),
			QueueMax:       rapid.IntRange(0, 12).Draw(t, "queue max"),
			QueueMaxBytes:  int64(rapid.SampledFrom([]int{0, 400, 1500}).Draw(t, "queue max bytes")),
		}
		lastID := rapid.SampledFrom([]uint16{0, 100, 65_530}).Draw(t, "last id")
		x.s, x.m = New(o), &model{opts: o, in: map[uint16]modelInbound{}, lastID: lastID}
		if err := x.s.Restore(lastID, nil); err != nil {
			t.Fatal(err)
		}
		t.Repeat(rapid.StateMachineActions(x))
	})
}

func (x *machine) Check(t *rapid.T) {
	var flights []InFlight
	for _, f := range x.m.flights {
		if !f.taken {
			flights = append(flights, f.InFlight)
		}
	}
	equal(t, "in flight", slices.Collect(x.s.InFlightDeliveries()), flights)
	equal(t, "InFlight", x.s.InFlight(), len(flights))
	equal(t, "LastID", x.s.LastID(), x.m.lastID)
	equal(t, "Queued", x.s.Queued(), len(x.m.queue))
	equal(t, "QueuedBytes", x.s.QueuedBytes(), x.queueBytes())
	equal(t, "Attached", x.s.Attached(), x.m.attached)
	equal(t, "InboundPaused", x.s.InboundPaused(), x.m.paused())
	wantOldest := map[any]message.Position{} // by group; nil is none
	for _, d := range x.m.queue {
		if old, ok := wantOldest[d.Group]; !ok || d.Position.Less(old) {
			wantOldest[d.Group] = d.Position
		}
	}
	for group, want := range wantOldest {
		oldest, ok := x.s.OldestOf(group)
		equal(t, "OldestOf", oldest, want)
		equal(t, "OldestOf", ok, true)
	}
	oldest, ok := x.s.OldestQueued()
	equal(t, "OldestQueued", oldest, wantOldest[nil])
	equal(t, "OldestQueued", ok, !wantOldest[nil].IsZero())
	states := map[uint16]InboundState{}
	for id, e := range x.m.in {
		states[id] = e.state
	}
	equal(t, "inbound", maps.Collect(x.s.InboundIDs()), states)
}

func (x *machine) queueBytes() (n int64) {
	for _, d := range x.m.queue {
		n += 128 + int64(len(d.Message.Payload)) // the topic is empty
	}
	return n
}

func equal[T any](t *rapid.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

// id draws an identifier that is in flight, or any small one.
func (x *machine) id(t *rapid.T) uint16 {
	ids := []uint16{0, 1, 2, 101, 65_535}
	for _, f := range x.m.flights {
		ids = append(ids, f.PacketID)
	}
	return rapid.SampledFrom(ids).Draw(t, "id")
}

func drawInboundID(t *rapid.T) uint16 { return rapid.Uint16Range(1, 6).Draw(t, "id") }
func drawQoS(t *rapid.T) mqtt.QoS     { return mqtt.QoS(rapid.IntRange(0, 2).Draw(t, "qos")) }

func drawCode(t *rapid.T) mqtt.ReasonCode {
	return rapid.SampledFrom([]mqtt.ReasonCode{0, 0, 0, mqtt.NoMatchingSubscribers, mqtt.QuotaExceeded}).Draw(t, "code")
}

func (x *machine) Attach(t *rapid.T) {
	c := Connection{
		Version:        rapid.SampledFrom([]mqtt.Version{mqtt.V311, mqtt.V5, mqtt.V5}).Draw(t, "version"),
		ReceiveMaximum: rapid.SampledFrom([]int{1, 2, 10, 65_535}).Draw(t, "client's receive maximum"),
	}
	x.s.Attach(c)
	x.m.conn, x.m.attached, x.m.qos1 = c, true, 0
	x.m.forgetTaken()
	for i := range x.m.flights {
		x.m.flights[i].due = true
	}
	for id, e := range x.m.in {
		x.m.in[id] = modelInbound{e.state, false}
	}
}

func (x *machine) Detach(t *rapid.T) {
	equal(t, "unsent", x.s.Detach(), slices.Clip(x.m.queue[:len(x.m.queue):len(x.m.queue)]))
	x.m.queue, x.m.attached = nil, false
	x.m.forgetTaken()
}

func (x *machine) Trim(*rapid.T)    { x.s.Trim() }
func (x *machine) Advance(*rapid.T) { x.now = x.now.Add(time.Second) }

func (x *machine) Enqueue(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "how many") {
		x.enqueue(t)
	}
}

func (x *machine) enqueue(t *rapid.T) {
	x.n++
	m := &message.Message{Payload: make([]byte, rapid.SampledFrom([]int{0, 10, 1000}).Draw(t, "bytes"))}
	if rapid.IntRange(0, 4).Draw(t, "expires") == 0 {
		m.ExpiresAt = x.now.Add(2 * time.Second)
	}
	o, n, bytes := x.m.opts, len(x.m.queue), x.queueBytes()
	if n > 0 && rapid.IntRange(0, 3).Draw(t, "another copy") == 0 {
		m = x.m.queue[n-1].Message
	}
	d := Delivery{Message: m, QoS: drawQoS(t), Position: message.Position{Block: uint64(x.n)}}
	if rapid.Bool().Draw(t, "shared") {
		d.Group = rapid.IntRange(0, 1).Draw(t, "group")
	}
	fullBytes := o.QueueMaxBytes > 0 && bytes >= o.QueueMaxBytes
	room, want := math.MaxInt, message.NotDropped
	if o.QueueMax > 0 {
		room = o.QueueMax - n
	}
	if room == 0 || fullBytes && m != x.m.queue[n-1].Message {
		want = message.DropQueueFull
	} else {
		x.m.queue = append(x.m.queue, d)
	}
	if fullBytes {
		room = 0
	}
	equal(t, "Room", x.s.Room(), room)
	equal(t, "Enqueue", x.s.Enqueue(d), want)
}

// Pass is what Enqueue and Next would do.
func (x *machine) Pass(t *rapid.T) {
	x.n++
	d := Delivery{Message: &message.Message{}, QoS: drawQoS(t), Position: message.Position{Block: uint64(x.n)}}
	var want Send
	idle, wantOK := len(x.m.queue) == 0 && !slices.ContainsFunc(x.m.flights, func(f modelFlight) bool { return f.due }), false
	if idle {
		x.m.queue = append(x.m.queue, d)
		want, wantOK = x.m.next(x.now)
		x.m.queue = nil
	}
	id, ok := x.s.Pass(&d)
	equal(t, "passed", ok, wantOK)
	equal(t, "identifier", id, want.PacketID)
}

// EnqueueFront puts what Detach returned back to where it was.
func (x *machine) EnqueueFront(t *rapid.T) {
	queue := slices.Clone(x.m.queue)
	x.Detach(t)
	x.s.EnqueueFront(queue)
	x.m.queue = queue
	if len(queue) == 0 {
		x.m.queue = nil
	}
	x.Attach(t)
}

func (x *machine) Next(t *rapid.T) {
	for range rapid.IntRange(1, 5).Draw(t, "how many") {
		sends := x.s.Sends()
		got, gotOK := x.s.Next(x.now)
		if gotOK && !sends {
			t.Fatalf("Next returned %+v where Sends says that there is nothing", got)
		}
		want, wantOK := x.m.next(x.now)
		equal(t, "Next", gotOK, wantOK)
		equal(t, "Next", got, want)
	}
	if len(x.m.queue) == 0 {
		x.m.queue = nil
	}
}

func (x *machine) Discard(t *rapid.T) {
	id := x.id(t)
	x.s.Discard(id)
	if i := x.m.find(id); i >= 0 && !x.m.flights[i].Released {
		x.m.remove(i)
	}
}

func (x *machine) ReceivePuback(t *rapid.T) {
	id, want, wantOK := x.id(t), Delivery{}, false
	if i := x.m.find(id); i >= 0 && x.m.flights[i].Delivery.QoS == 1 {
		taken := x.m.flights[i].taken
		want, wantOK = x.m.remove(i), !taken
		if taken {
			want = Delivery{}
		}
	}
	got, ok := x.s.ReceivePuback(id, drawCode(t))
	equal(t, "known", ok, wantOK)
	equal(t, "delivery", got, want)
}

func (x *machine) ReceivePubrec(t *rapid.T) {
	id, code, want := x.id(t), drawCode(t), PubrecResult{}
	if i := x.m.find(id); i >= 0 && x.m.flights[i].Delivery.QoS == 2 {
		f := &x.m.flights[i]
		want = PubrecResult{Known: true, Delivery: f.Delivery}
		if code.Failed() && !f.Released {
			want.Finished = true
			x.m.remove(i)
		} else {
			want.Release, f.Released, f.due = true, true, false
		}
	}
	equal(t, "result", x.s.ReceivePubrec(id, code), want)
}

func (x *machine) ReceivePubcomp(t *rapid.T) {
	id, want, wantOK := x.id(t), Delivery{}, false
	if i := x.m.find(id); i >= 0 && x.m.flights[i].Released {
		want, wantOK = x.m.remove(i), true
	}
	got, ok := x.s.ReceivePubcomp(id, drawCode(t))
	equal(t, "known", ok, wantOK)
	equal(t, "delivery", got, want)
}

func (x *machine) TakeGroup(t *rapid.T) {
	group := rapid.IntRange(0, 1).Draw(t, "group")
	match := func(d Delivery) bool { return d.Group == group }
	var want []Delivery
	for i := 0; i < len(x.m.flights); {
		f := &x.m.flights[i]
		if f.Delivery.QoS != 1 || f.taken || !match(f.Delivery) {
			i++
			continue
		}
		want = append(want, f.Delivery)
		if x.m.attached && !f.due {
			f.taken = true
			i++
		} else {
			x.m.remove(i)
		}
	}
	var left []Delivery
	for _, d := range x.m.queue {
		if match(d) {
			want = append(want, d)
		} else {
			left = append(left, d)
		}
	}
	x.m.queue = left
	equal(t, "taken", x.s.TakeGroup(match), want)
}

func (x *machine) ReceivePublish(t *rapid.T) {
	id, qos := drawInboundID(t), drawQoS(t)
	equal(t, "verdict", x.s.ReceivePublish(id, qos), x.m.receivePublish(id, qos))
}

func (x *machine) PublishDone(t *rapid.T) {
	id, qos, code := drawInboundID(t), drawQoS(t), drawCode(t)
	equal(t, "answer", x.s.PublishDone(id, qos, code), x.m.publishDone(id, qos, code))
}

func (x *machine) ReceivePubrel(t *rapid.T) {
	id := drawInboundID(t)
	e, known := x.m.in[id]
	if known = known && e.state != InboundPending; known {
		x.m.in[id] = modelInbound{InboundReleasing, e.counted}
	}
	equal(t, "known", x.s.ReceivePubrel(id), known)
}

func (x *machine) PubrelDone(t *rapid.T) {
	id := drawInboundID(t)
	x.s.PubrelDone(id)
	if e, ok := x.m.in[id]; ok && e.state == InboundReleasing {
		delete(x.m.in, id)
	}
}
