package session

import (
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

var start = time.Unix(1_800_000_000, 0)

// attached returns a session with a connection that sets no limits.
func attached(o Options) *Session {
	s := New(o)
	s.Attach(Connection{Version: mqtt.V5, ReceiveMaximum: maxPacketID})
	return s
}

func mustSend(t testing.TB, s *Session, d Delivery) uint16 {
	t.Helper()
	if reason := s.Enqueue(d); reason != message.NotDropped {
		t.Fatalf("Enqueue: %s", reason)
	}
	send, ok := s.Next(start)
	if !ok || send.Kind != SendPublish {
		t.Fatalf("Next: %+v, %t", send, ok)
	}
	return send.PacketID
}

// TestIdentifiersWrap [MQTT-2.2.1-4]: from 65,535 to 1, past those in use, and the order of resending stays that of
// sending.
func TestIdentifiersWrap(t *testing.T) {
	s := attached(Options{})
	d := Delivery{Message: &message.Message{}, QoS: mqtt.AtLeastOnce}
	for want := uint16(1); want <= 5; want++ {
		if id := mustSend(t, s, d); id != want {
			t.Fatalf("identifier %d, want %d", id, want)
		}
	}
	for range maxPacketID - 6 {
		if _, ok := s.ReceivePuback(mustSend(t, s, d), mqtt.Success); !ok {
			t.Fatal("PUBACK is unknown")
		}
	}
	s.ReceivePuback(2, mqtt.Success)
	order := []uint16{1, 3, 4, 5, 65_535, 2, 6}
	for _, want := range order[4:] {
		if id := mustSend(t, s, d); id != want {
			t.Fatalf("identifier %d, want %d", id, want)
		}
	}
	s.Detach()
	s.Attach(Connection{Version: mqtt.V5, ReceiveMaximum: maxPacketID})
	for _, want := range order {
		if send, ok := s.Next(start); !ok || send.PacketID != want || !send.Dup {
			t.Fatalf("resent %+v, %t, want identifier %d", send, ok, want)
		}
	}
}

// TestAllIdentifiersInFlight: with 65,535 deliveries in flight the window is full, whatever the limits say.
func TestAllIdentifiersInFlight(t *testing.T) {
	s := attached(Options{InFlightMax: math.MaxInt})
	d := Delivery{Message: &message.Message{}, QoS: mqtt.ExactlyOnce}
	for range maxPacketID {
		mustSend(t, s, d)
	}
	s.Enqueue(d)
	if send, ok := s.Next(start); ok {
		t.Fatalf("sent %+v", send)
	}
	s.ReceivePubrec(40_000, mqtt.Success)
	s.ReceivePubcomp(40_000, mqtt.Success)
	if send, ok := s.Next(start); !ok || send.PacketID != 40_000 {
		t.Fatalf("sent %+v, %t, want the only free identifier", send, ok)
	}
}

func TestRestoreRefusesWhatNoSessionSays(t *testing.T) {
	m := &message.Message{}
	for name, flights := range map[string][]InFlight{
		"identifier 0":       {{Delivery: Delivery{Message: m, QoS: 1}}},
		"the same one twice": {{PacketID: 3, Delivery: Delivery{Message: m, QoS: 1}}, {PacketID: 3, Delivery: Delivery{Message: m, QoS: 2}}},
		"QoS 0":              {{PacketID: 3, Delivery: Delivery{Message: m}}},
		"QoS 1 released":     {{PacketID: 3, Released: true, Delivery: Delivery{Message: m, QoS: 1}}},
		"QoS 3":              {{PacketID: 3, Delivery: Delivery{Message: m, QoS: 3}}},
	} {
		s := New(Options{})
		if err := s.Restore(0, []InFlight{{PacketID: 9, Delivery: Delivery{Message: m, QoS: 2}}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Restore(0, flights); err == nil {
			t.Errorf("%s was taken", name)
		}
		if s.InFlight() != 1 {
			t.Errorf("%s: a failed Restore changed the session", name)
		}
	}
}

// TestLimitsOutOfRange: no limit, or a senseless one, means as many as there are identifiers.
func TestLimitsOutOfRange(t *testing.T) {
	for _, n := range []int{-1, 0, maxPacketID + 1} {
		s := New(Options{ReceiveMaximum: n, InFlightMax: n})
		s.Attach(Connection{ReceiveMaximum: n})
		if s.opts.ReceiveMaximum != maxPacketID || s.window != maxPacketID {
			t.Errorf("%d: receive maximum %d, window %d", n, s.opts.ReceiveMaximum, s.window)
		}
	}
}

// TestSteadyStateAllocatesNothing: the life of a message in either direction at each QoS.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	s := attached(Options{QueueMax: 100})
	m := &message.Message{Topic: "t", Payload: []byte("payload")}
	for range 40 { // a window that others share
		mustSend(t, s, Delivery{Message: m, QoS: mqtt.AtLeastOnce})
	}
	id := uint16(0)
	for name, live := range map[string]func(){
		"QoS 0 out": func() { mustSend(t, s, Delivery{Message: m}) },
		"QoS 1 out": func() {
			if _, ok := s.ReceivePuback(mustSend(t, s, Delivery{Message: m, QoS: 1}), mqtt.Success); !ok {
				t.Fatal("PUBACK is unknown")
			}
		},
		"QoS 2 out": func() {
			out := mustSend(t, s, Delivery{Message: m, QoS: 2})
			if _, ok := s.ReceivePubcomp(out, mqtt.Success); ok || !s.ReceivePubrec(out, mqtt.Success).Release {
				t.Fatal("PUBREC does not release")
			}
			s.ReceivePubcomp(out, mqtt.Success)
		},
		"QoS 1 passed": func() {
			d := Delivery{Message: m, QoS: 1}
			passed, ok := s.Pass(&d)
			if _, known := s.ReceivePuback(passed, mqtt.Success); !ok || !known {
				t.Fatal("not passed")
			}
		},
		"QoS 2 in": func() {
			id = max(1, id+1)
			if s.ReceivePublish(id, 2) != Process || !s.PublishDone(id, 2, mqtt.Success) || !s.ReceivePubrel(id) {
				t.Fatal("not received")
			}
			s.PubrelDone(id)
		},
	} {
		live()
		if n := testing.AllocsPerRun(5000, live); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestMemoryIsGivenBack: what grew in a burst is gone once the session is quiet, and what is in use stays usable.
func TestMemoryIsGivenBack(t *testing.T) {
	s := attached(Options{})
	d := Delivery{Message: &message.Message{}, QoS: mqtt.AtLeastOnce}
	for range 5000 {
		s.Enqueue(d)
	}
	for i := range uint16(5000) {
		s.Next(start)
		s.ReceivePublish(i+1, mqtt.ExactlyOnce)
	}
	if len(s.q.ring) > queueKeepSlots {
		t.Errorf("an empty queue keeps %d slots", len(s.q.ring))
	}
	for _, left := range s.q.ring {
		if left.Message != nil {
			t.Fatal("a sent message is still referred to")
		}
	}
	for id := uint16(2); id <= 5000; id++ {
		s.ReceivePuback(id, mqtt.Success)
		s.PublishDone(id, mqtt.ExactlyOnce, mqtt.NotAuthorized)
	}
	s.Trim()
	if n := cap(s.out.slots) + len(s.out.ids.slots) + len(s.in.ids.slots) + len(s.q.ring); n > 20 {
		t.Errorf("%d slots are left for one message in each direction", n)
	}
	if id := mustSend(t, s, d); id != 5001 {
		t.Errorf("identifier %d after Trim", id)
	}
	s.ReceivePuback(1, mqtt.Success)
	s.ReceivePuback(5001, mqtt.Success)
	s.PublishDone(1, mqtt.ExactlyOnce, mqtt.NotAuthorized)
	s.Trim()
	if s.out.slots != nil || s.out.ids.slots != nil || s.in.ids.slots != nil || s.q.ring != nil {
		t.Error("an idle session keeps memory")
	}
	d.Group = "group"
	mustSend(t, s, d)
	s.TakeGroup(func(Delivery) bool { return true })
	if s.Detach(); s.out.slots != nil {
		t.Error("without a connection, what was taken away keeps memory")
	}
	if size := unsafe.Sizeof(*s); size > 320 {
		t.Errorf("a session has %d bytes", size)
	}
}

// BenchmarkOut is the life of one delivery, behind others that wait for their acknowledgement.
func BenchmarkOut(b *testing.B) {
	for _, c := range []struct {
		name   string
		qos    mqtt.QoS
		window int
	}{{"qos0", 0, 1}, {"qos1", 1, 1}, {"qos1-window64", 1, 64}, {"qos1-window1024", 1, 1024}, {"qos2-window64", 2, 64}} {
		b.Run(c.name, func(b *testing.B) {
			s := attached(Options{})
			d := Delivery{Message: &message.Message{Topic: "t"}, QoS: c.qos}
			for range c.window - 1 {
				mustSend(b, s, d)
			}
			id := uint16(0)
			b.ReportAllocs()
			for b.Loop() {
				s.Enqueue(d)
				s.Next(start)
				id = max(1, id+1)
				switch c.qos {
				case mqtt.AtLeastOnce:
					s.ReceivePuback(id, mqtt.Success)
				case mqtt.ExactlyOnce:
					s.ReceivePubrec(id, mqtt.Success)
					s.ReceivePubcomp(id, mqtt.Success)
				}
			}
			if s.InFlight() != c.window-1 {
				b.Fatalf("%d in flight", s.InFlight())
			}
		})
	}
}

// BenchmarkPass is the same for a session that keeps up.
func BenchmarkPass(b *testing.B) {
	for _, qos := range []mqtt.QoS{0, 1} {
		b.Run([]string{"qos0", "qos1"}[qos], func(b *testing.B) {
			s := attached(Options{})
			d := Delivery{Message: &message.Message{Topic: "t"}, QoS: qos}
			b.ReportAllocs()
			for b.Loop() {
				id, ok := s.Pass(&d)
				if !ok {
					b.Fatal("does not pass")
				}
				s.ReceivePuback(id, mqtt.Success)
			}
		})
	}
}

// BenchmarkIn is the life of one message from the client.
func BenchmarkIn(b *testing.B) {
	b.Run("qos1", func(b *testing.B) {
		s := attached(Options{})
		for b.Loop() {
			s.ReceivePublish(1, mqtt.AtLeastOnce)
			s.PublishDone(1, mqtt.AtLeastOnce, mqtt.Success)
		}
	})
	b.Run("qos2", func(b *testing.B) {
		s, id := attached(Options{}), uint16(0)
		b.ReportAllocs()
		for b.Loop() {
			id = max(1, id+1)
			s.ReceivePublish(id, mqtt.ExactlyOnce)
			s.PublishDone(id, mqtt.ExactlyOnce, mqtt.Success)
			s.ReceivePubrel(id)
			s.PubrelDone(id)
		}
	})
}
