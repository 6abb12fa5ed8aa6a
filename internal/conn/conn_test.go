package conn

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a handler and port that writes down what it gets, and a transport that keeps what is written.
type recorder struct {
	conn    *Conn
	log     []string
	written []byte
	hold    bool // leave CONNECT and SUBSCRIBE suspended
	retry   bool // have PUBLISH handled again once
	closed  int
	take    int // what TryWrite takes at a time; 0: all
	rest    []byte
}

func (r *recorder) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) Aborted(*Conn)   { r.note("aborted") }
func (r *recorder) Closed()         { r.closed++ }
func (r *recorder) Writable(*Batch) { r.note("writable") }
func (r *recorder) Publish(b *Batch, p *mqtt.Publish) (Verdict, error) {
	if r.retry {
		r.retry = false
		r.note("retry %s", p.Topic)
		r.conn.Suspend()
		return Retry, nil
	}
	r.note("PUBLISH %s %s", p.Topic, p.Payload)
	return Done, nil
}
func (r *recorder) Ack(_ *Batch, t mqtt.Type, p *mqtt.Ack) error {
	r.note("%v %d", t, p.PacketID)
	return nil
}
func (r *recorder) Subscribe(_ *Batch, p *mqtt.Subscribe) error {
	r.note("SUBSCRIBE %d", p.PacketID)
	r.conn.Suspend()
	if !r.hold {
		r.conn.ResumeWith(func(b *Batch) { r.note("subscribed") })
	}
	return nil
}
func (r *recorder) Unsubscribe(_ *Batch, p *mqtt.Unsubscribe) error {
	r.note("UNSUBSCRIBE %d", p.PacketID)
	return nil
}
func (r *recorder) Disconnect(p *mqtt.Disconnect) error {
	r.note("DISCONNECT %v", p.Code)
	return nil
}
func (r *recorder) TryWrite(p []byte) (n int, more bool, err error) {
	n = len(p)
	if r.take > 0 {
		n = min(n, r.take)
	}
	r.written = append(r.written, p[:n]...)
	return n, n < len(p), nil
}
func (r *recorder) WriteRest(rest []byte) { r.rest = rest }

// port is the recorder as a Port, whose Authenticate differs from the Handler's.
type port struct{ *recorder }

func (p port) Authenticate(*mqtt.Auth) error { p.note("AUTH"); return nil }

func (h handler) Authenticate(*Conn, *mqtt.Auth) { h.note("AUTH") }

// handler makes the recorder a Handler that accepts with its port.
type handler struct{ *recorder }

func (h handler) Connect(c *Conn, p *mqtt.Connect) {
	h.note("CONNECT %s", p.ClientID)
	if !h.hold {
		c.Accept(port(h), &mqtt.Connack{}, p.KeepAlive)
		c.ResumeWith(func(*Batch) { h.note("ready") })
	}
}

func newRecorded(change func(*Options)) (*Conn, *recorder) {
	o := &Options{MaxPacketBytes: 1 << 20, TopicAliasMaximum: 4, TopicAliasOutMaximum: 4, OutMaxBytes: 1 << 16, Metrics: new(metrics.Metrics)}
	if change != nil {
		change(o)
	}
	r := &recorder{}
	c := New(o, handler{r}, Info{})
	r.conn = c
	c.Drive(r, func() {})
	return c, r
}

// stream encodes packets one after the other.
func stream(t testing.TB, v mqtt.Version, packets ...mqtt.Packet) (data []byte) {
	t.Helper()
	for _, p := range packets {
		var err error
		if data, err = p.AppendTo(data, v); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// feed feeds data and writes what is due.
func feed(c *Conn, data []byte) Status {
	b := NewBatch()
	s := c.Feed(b, data)
	b.Flush(c.opts.Metrics)
	return s
}

// packets decodes what was written.
func packets(t testing.TB, v mqtt.Version, data []byte) (ps []mqtt.Packet) {
	t.Helper()
	for len(data) > 0 {
		h, n, err := mqtt.DecodeHeader(data)
		if err != nil {
			t.Fatal(err)
		}
		p, err := mqtt.Decode(h, data[n:n+int(h.Remaining)], v)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
		data = data[n+int(h.Remaining):]
	}
	return ps
}

var dialogue = []mqtt.Packet{
	&mqtt.Connect{Version: mqtt.V5, ClientID: "c"},
	&mqtt.Publish{Topic: []byte("a/b"), Payload: []byte("one")},
	&mqtt.Subscribe{PacketID: 3, Filters: []mqtt.FilterOptions{{Filter: "x"}}},
	&mqtt.Pingreq{},
	&mqtt.Publish{Topic: []byte("a/c"), Payload: bytes.Repeat([]byte("z"), 300), QoS: 1, PacketID: 9},
	&mqtt.Disconnect{},
}

var dialogueLog = []string{
	"CONNECT c", "ready", "PUBLISH a/b one", "SUBSCRIBE 3", "subscribed", "PUBLISH a/c " + strings.Repeat("z", 300), "DISCONNECT " + mqtt.Success.String() + " (0x00)",
}

func TestPacketsMayBeCutAnywhere(t *testing.T) {
	data := stream(t, mqtt.V5, dialogue...)
	for size := 1; size <= len(data); size++ {
		c, r := newRecorded(nil)
		for rest := data; len(rest) > 0; {
			n := min(size, len(rest))
			for s := feed(c, rest[:n]); s == Suspended; s = feed(c, nil) {
			}
			rest = rest[n:]
		}
		want := slices.Clone(dialogueLog)
		want[len(want)-1] = r.log[len(r.log)-1] // the wording of a code is package mqtt's
		if !slices.Equal(r.log, want) || r.closed != 1 {
			t.Fatalf("in pieces of %d: %q, closed %d times", size, r.log, r.closed)
		}
	}
}

func TestWhatAResumptionBringsRunsBeforeTheNextPacket(t *testing.T) {
	c, r := newRecorded(nil)
	feed(c, stream(t, mqtt.V5, dialogue[:2]...))
	r.hold = true
	if s := feed(c, stream(t, mqtt.V5, dialogue[2], dialogue[1])); s != Suspended {
		t.Fatalf("status %v after a packet that suspends", s)
	}
	c.ResumeWith(func(*Batch) { r.note("event") })
	if s := feed(c, nil); s != Hungry {
		t.Fatalf("status %v after the resumption", s)
	}
	if got := r.log[len(r.log)-3:]; !slices.Equal(got, []string{"SUBSCRIBE 3", "event", "PUBLISH a/b one"}) {
		t.Errorf("%q", got)
	}
}

func TestAResumptionDuringThePacketIsNotLost(t *testing.T) {
	c, r := newRecorded(nil)
	feed(c, stream(t, mqtt.V5, dialogue[:2]...))
	if s := feed(c, stream(t, mqtt.V5, dialogue[2])); s != Hungry {
		t.Fatalf("status %v", s)
	}
	if got := r.log[len(r.log)-1]; got != "subscribed" {
		t.Errorf("the last that happened was %q, and nothing more would come", got)
	}
}

func TestRetryHandlesThePacketAgain(t *testing.T) {
	c, r := newRecorded(nil)
	feed(c, stream(t, mqtt.V5, dialogue[0]))
	r.retry = true
	if s := feed(c, stream(t, mqtt.V5, dialogue[1], &mqtt.Pingreq{})); s != Suspended {
		t.Fatalf("status %v", s)
	}
	c.Resume()
	feed(c, nil)
	if got := r.log[len(r.log)-2:]; !slices.Equal(got, []string{"retry a/b", "PUBLISH a/b one"}) {
		t.Errorf("%q", got)
	}
	if ps := packets(t, mqtt.V5, r.written); len(ps) != 2 || ps[1].Type() != mqtt.PINGRESP {
		t.Errorf("wrote %v", ps)
	}
}

func TestAClaimedLengthCostsNoMemory(t *testing.T) {
	c, _ := newRecorded(func(o *Options) { o.MaxPacketBytes = mqtt.MaxRemaining })
	feed(c, stream(t, mqtt.V5, dialogue[0]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	feed(c, []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, 'x'})
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Errorf("%d bytes were allocated for a claim of 256 MB", n)
	}
}

func TestAPacketBeyondTheMaximumIsRefusedByItsHeader(t *testing.T) {
	c, r := newRecorded(func(o *Options) { o.MaxPacketBytes = 100 })
	feed(c, stream(t, mqtt.V5, dialogue[0]))
	r.written = nil
	if s := feed(c, []byte{0x30, 99}); s != Closed {
		t.Fatalf("status %v", s)
	}
	c.flush(NewBatch())
	ps := packets(t, mqtt.V5, r.written)
	if d, ok := ps[len(ps)-1].(*mqtt.Disconnect); !ok || d.Code != mqtt.PacketTooLarge {
		t.Errorf("wrote %+v", ps)
	}
}

func TestAcknowledgementsLeaveInTheOrderOfTheirPackets(t *testing.T) {
	o := func(o *Options) { o.Flusher = NewFlusher(1, o.Metrics) }
	c, r := newRecorded(o)
	feed(c, stream(t, mqtt.V5, dialogue[0]))
	b := NewBatch()
	first := c.AckLater(mqtt.PUBACK, 1)
	c.AckNow(b, mqtt.PUBREC, 2, 0)
	third := c.AckLater(mqtt.PUBACK, 3)
	c.AckNow(b, mqtt.PUBACK, 4, mqtt.NoMatchingSubscribers)
	c.AckReady(third, mqtt.QuotaExceeded)
	if got := len(c.acks.items); got != 4 {
		t.Fatalf("%d acknowledgements wait, want 4", got)
	}
	c.AckReady(first, 0)
	c.opts.Flusher.Stop()
	c.flush(b)
	var got []string
	for _, p := range packets(t, mqtt.V5, r.written)[1:] {
		switch p := p.(type) {
		case *mqtt.Puback:
			got = append(got, fmt.Sprintf("%d %d", p.PacketID, p.Code))
		case *mqtt.Pubrec:
			got = append(got, fmt.Sprintf("%d rec", p.PacketID))
		}
	}
	if want := []string{"1 0", "2 rec", "3 151", "4 16"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNothingFollowsADisconnect(t *testing.T) {
	c, r := newRecorded(nil)
	feed(c, stream(t, mqtt.V5, dialogue[0]))
	c.Close(mqtt.SessionTakenOver, "why")
	b := NewBatch()
	w := c.Begin(b)
	w.Publish(&session.Delivery{Message: &message.Message{Topic: "t"}}, "t", 0, false)
	w.End()
	c.AckNow(b, mqtt.PUBACK, 1, 0)
	c.Close(mqtt.ServerShuttingDown, "again")
	c.flush(b)
	ps := packets(t, mqtt.V5, r.written)
	if d, ok := ps[len(ps)-1].(*mqtt.Disconnect); !ok || d.Code != mqtt.SessionTakenOver || len(ps) != 2 {
		t.Errorf("wrote %+v", ps)
	}
	if r.closed != 1 {
		t.Errorf("closed %d times", r.closed)
	}
}

// deliveries are encoded by this package on its own, so they are compared with package mqtt's decoding.
func TestDeliveriesAreEncodedForEveryVersion(t *testing.T) {
	user := mqtt.AppendUserProperty(nil, "k", "v")
	props := mqtt.PublishProperties{ContentType: []byte("text"), User: user}
	props.Present.Add(mqtt.PropContentType)
	now := time.Unix(1000, 0)
	m := &message.Message{Topic: "some/topic", Payload: []byte("payload"), Properties: props.AppendForward(nil), ExpiresAt: now.Add(90 * time.Second)}
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for qos := range mqtt.QoS(3) {
			c, _ := newRecorded(nil)
			c.version, c.closed = v, false
			d := &session.Delivery{Message: m, QoS: qos, Retain: true, SubscriptionIDs: []uint32{7, 300}}
			b := &Batch{Now: now}
			w := c.Begin(b)
			ok := w.Publish(d, m.Topic, uint16(qos)*5, qos > 0)
			w.End()
			p, is := packets(t, v, c.buf)[0].(*mqtt.Publish)
			if !ok || !is {
				t.Fatalf("%v QoS %d: %v %T", v, qos, ok, p)
			}
			if string(p.Topic) != m.Topic || string(p.Payload) != "payload" || p.QoS != qos || !p.Retain || p.Dup != (qos > 0) || p.PacketID != uint16(qos)*5 {
				t.Errorf("%v QoS %d: %+v", v, qos, p)
			}
			if v != mqtt.V5 {
				continue
			}
			if p.Properties.MessageExpirySeconds != 90 || !slices.Equal(p.Properties.SubscriptionIDs, []uint32{7, 300}) ||
				string(p.Properties.ContentType) != "text" || !bytes.Equal(p.Properties.User, user) {
				t.Errorf("properties %+v", p.Properties)
			}
		}
	}
}

func TestTopicAliasesOutStayWithinTheClientsMaximum(t *testing.T) {
	c, _ := newRecorded(nil)
	c.aliasMaximum = 2
	var got []string
	for _, topic := range []string{"a", "b", "c", "a", "b", "c"} {
		w := c.Begin(&Batch{Now: time.Unix(1, 0)})
		w.Publish(&session.Delivery{Message: &message.Message{Topic: topic}}, topic, 0, false)
		w.End()
	}
	for _, p := range packets(t, mqtt.V5, c.buf) {
		p := p.(*mqtt.Publish)
		got = append(got, fmt.Sprintf("%s/%d", p.Topic, p.Properties.TopicAlias))
	}
	if want := []string{"a/1", "b/2", "c/0", "/1", "/2", "c/0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAPacketTooLargeForTheClientIsNotSentAndSpoilsNoAlias(t *testing.T) {
	c, _ := newRecorded(nil)
	c.aliasMaximum, c.maxPacket = 2, 20
	w := c.Begin(&Batch{Now: time.Unix(1, 0)})
	defer w.End()
	big := &session.Delivery{Message: &message.Message{Topic: "t", Payload: make([]byte, 30)}}
	if w.Publish(big, "t", 0, false) || len(c.buf) != 0 || len(c.aliasIDs) != 0 {
		t.Errorf("sent %d bytes, %d aliases", len(c.buf), len(c.aliasIDs))
	}
	small := &session.Delivery{Message: &message.Message{Topic: "t", Payload: make([]byte, 3)}}
	if !w.Publish(small, "t", 0, false) {
		t.Error("a packet that fits was not sent")
	}
}

func TestRoomIsLimitedAndItsReturnIsTold(t *testing.T) {
	c, r := newRecorded(func(o *Options) { o.OutMaxBytes = 1000 })
	feed(c, stream(t, mqtt.V5, dialogue[0]))
	r.take = 10
	b := NewBatch()
	w := c.Begin(b)
	n := 0
	for w.Room() {
		w.Publish(&session.Delivery{Message: &message.Message{Topic: "t", Payload: make([]byte, 100)}}, "t", 0, false)
		n++
	}
	w.End()
	if n < 9 || n > 11 {
		t.Errorf("%d messages of 100 bytes were taken into 1000", n)
	}
	b.Flush(c.opts.Metrics)
	if r.rest == nil {
		t.Fatal("what the socket did not take was not handed on")
	}
	c.wrote(b)
	if r.log[len(r.log)-1] != "writable" {
		t.Errorf("%q", r.log)
	}
}

func TestDeliveryAllocatesNothing(t *testing.T) {
	c, r := newRecorded(nil)
	feed(c, stream(t, mqtt.V311, &mqtt.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true}))
	d := &session.Delivery{Message: &message.Message{Topic: "some/topic", Payload: make([]byte, 256)}, QoS: 1}
	b := NewBatch()
	deliver := func() {
		w := c.Begin(b)
		w.Publish(d, d.Message.Topic, 7, false)
		w.End()
		r.written = r.written[:0]
		b.Flush(c.opts.Metrics)
	}
	for range 100 {
		deliver()
	}
	if n := testing.AllocsPerRun(1000, deliver); n > 1 { // giving a buffer back to its pool takes one a flush, not one a delivery
		t.Errorf("%v allocations for a delivery and its flush", n)
	}
}

func BenchmarkDelivery(b *testing.B) {
	c, r := newRecorded(func(o *Options) { o.OutMaxBytes = 1 << 30 })
	feed(c, stream(b, mqtt.V311, &mqtt.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true}))
	d := &session.Delivery{Message: &message.Message{Topic: "some/topic", Payload: make([]byte, 256)}, QoS: 1}
	batch := NewBatch()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w := c.Begin(batch)
		w.Publish(d, d.Message.Topic, 7, false)
		w.End()
		if i%64 == 63 {
			r.written = r.written[:0]
			batch.Flush(c.opts.Metrics)
		}
	}
}

func BenchmarkFeedPublish(b *testing.B) {
	c, _ := newRecorded(nil)
	feed(c, stream(b, mqtt.V311, &mqtt.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true}))
	c.port = silent{c.port}
	var data []byte
	for range 64 {
		data = append(data, stream(b, mqtt.V311, &mqtt.Publish{Topic: []byte("some/topic"), Payload: make([]byte, 256)})...)
	}
	batch := NewBatch()
	b.ReportAllocs()
	for b.Loop() {
		c.Feed(batch, data)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/packet")
}

func BenchmarkFeedOne(b *testing.B) {
	c, _ := newRecorded(nil)
	feed(c, stream(b, mqtt.V311, &mqtt.Connect{Version: mqtt.V311, ClientID: "c", CleanStart: true}))
	c.port = silent{c.port}
	data := stream(b, mqtt.V311, &mqtt.Publish{Topic: []byte("some/topic"), Payload: make([]byte, 256)})
	batch := NewBatch()
	b.ReportAllocs()
	for b.Loop() {
		c.Feed(batch, data)
	}
}

type silent struct{ Port }

func (silent) Publish(*Batch, *mqtt.Publish) (Verdict, error) { return Done, nil }

// hostile streams end their connection with the standard's reason.
func TestWrongPacketsEndTheConnectionWithTheirReason(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		code mqtt.ReasonCode
	}{
		{"a second CONNECT [MQTT-3.1.0-2]", stream(t, mqtt.V5, dialogue[0]), mqtt.ProtocolError},
		{"SUBACK from a client", []byte{0x90, 4, 0, 1, 0, 0}, mqtt.ProtocolError},
		{"an overlong remaining length", []byte{0xC0, 0x80, 0x80, 0x80, 0x80}, mqtt.MalformedPacket},
		{"a reserved type", []byte{0x00, 0}, mqtt.MalformedPacket},
		{"an alias beyond the maximum", []byte{0x30, 7, 0, 1, 't', 3, 0x23, 0, 5}, mqtt.TopicAliasInvalid},
		{"an alias without a topic", []byte{0x30, 6, 0, 0, 3, 0x23, 0, 1}, mqtt.ProtocolError},
		{"AUTH without a method", []byte{0xF0, 0}, mqtt.ProtocolError},
	} {
		k, r := newRecorded(nil)
		feed(k, stream(t, mqtt.V5, dialogue[0]))
		r.written = nil
		feed(k, c.data)
		k.flush(NewBatch())
		ps := packets(t, mqtt.V5, r.written)
		d, ok := ps[len(ps)-1].(*mqtt.Disconnect)
		if !ok || d.Code != c.code {
			t.Errorf("%s: wrote %+v, want DISCONNECT %v", c.name, ps[len(ps)-1], c.code)
		}
	}
}

func TestBeforeConnectNothingIsAnswered(t *testing.T) {
	for _, data := range [][]byte{{0xC0, 0}, {0x30, 3, 0, 1, 't'}, {0x00}, {0xFF, 0xFF}, []byte("GET / HTTP/1.1\r\n")} {
		c, r := newRecorded(nil)
		if s := feed(c, data); s != Closed {
			t.Errorf("% x: status %v", data, s)
		}
		c.flush(NewBatch())
		if len(r.written) > 0 || !slices.Equal(r.log, []string{"aborted"}) {
			t.Errorf("% x: wrote % x, log %q", data, r.written, r.log)
		}
	}
}

var errTest = errors.New("test")

func TestAReasonInsideAnErrorIsTheClients(t *testing.T) {
	c, r := newRecorded(nil)
	feed(c, stream(t, mqtt.V5, dialogue[0]))
	r.written = nil
	c.fail(fmt.Errorf("%w: %w", errTest, mqtt.QuotaExceeded))
	c.flush(NewBatch())
	ps := packets(t, mqtt.V5, r.written)
	if d, ok := ps[len(ps)-1].(*mqtt.Disconnect); !ok || d.Code != mqtt.QuotaExceeded {
		t.Errorf("% x", r.written)
	}
}
