package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/mqtt"
)

// send publishes one QoS 1 message a topic, numbered from first on, each acknowledged before the next.
func sendNumbered(t *testing.T, w *world, first int, topics ...string) {
	t.Helper()
	pub, _ := w.connect(&mqtt.Connect{ClientID: "pub"})
	for i, topic := range topics {
		sendTo(t, pub, &mqtt.Publish{Topic: []byte(topic), Payload: number(0, first+i), QoS: 1, PacketID: uint16(i + 1)})
		pk, err := pub.receive()
		if ack, ok := pk.(*mqtt.Puback); err != nil || !ok || ack.Code.Failed() {
			t.Fatalf("message %d: got %+v, %v", first+i, pk, err)
		}
	}
	_ = pub.send(&mqtt.Disconnect{})
	_ = pub.conn.Close()
}

// away makes a durable session that is not connected.
func away(t *testing.T, w *world, id string, filters ...string) {
	t.Helper()
	p, _ := w.connect(&mqtt.Connect{ClientID: id, SessionExpirySeconds: 100_000})
	for _, f := range filters {
		p.subscribe(t, f, 1)
	}
	_ = p.conn.Close()
	synctest.Wait()
}

// numbers takes and acknowledges messages until none comes for a second, and returns their numbers.
func (p *peer) numbers(t *testing.T) (got []int) {
	t.Helper()
	for {
		_ = p.conn.SetReadDeadline(time.Now().Add(time.Second))
		pk, err := p.receive()
		if err != nil {
			return got
		}
		m, ok := pk.(*mqtt.Publish)
		if !ok {
			t.Fatalf("got %T", pk)
		}
		_, n := numberOf(m.Payload)
		got = append(got, n)
		sendTo(t, p, &mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
	}
}

func (w *world) resume(t *testing.T, id string) *peer {
	t.Helper()
	p, ack := w.connect(&mqtt.Connect{ClientID: id, SessionExpirySeconds: 100_000})
	if ack == nil || !ack.SessionPresent {
		t.Fatalf("%s: CONNACK %+v, want its session", id, ack)
	}
	return p
}

func repeated(n int, topic string) []string { return slices.Repeat([]string{topic}, n) }

func upTo(from, to int) (all []int) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func wantNumbers(t *testing.T, who string, got, want []int) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s got %v, want %v", who, got, want)
	}
}

// A client that is connected and reads nothing must not hold what others get. With a crash in between, all it has not
// acknowledged comes; without, each message once.
func TestASlowSessionIsParkedWhileItIsConnected(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("crash %v", crash), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "session.queue_memory_messages=10")
				w.opts = []Option{parkSoon}
				w.restart()
				defer w.close()
				slow, _ := w.connect(&mqtt.Connect{ClientID: "slow", SessionExpirySeconds: 1000, ReceiveMaximum: 1})
				slow.subscribe(t, "mine", 1)
				away(t, w, "busy", "busy")
				first := expectNumber(t, w, slow) // in flight, and not acknowledged
				for i := range 40 {
					sendNumbered(t, w, 1+10*i, append(repeated(9, "busy"), "mine")...)
				}
				w.resume(t, "busy").numbers(t)
				pause(5 * time.Second)
				if h := w.engine.Health(); h.Blocks > 20 {
					t.Errorf("the log holds %d blocks for a client that does not read", h.Blocks)
				}
				var want []int
				for i := range 40 {
					want = append(want, 10*(i+1))
				}
				if crash {
					w.crash()
					slow = w.resume(t, "slow")
					got := slow.numbers(t)
					if len(got) == 0 || got[0] != 0 {
						t.Fatalf("after the crash it got %v, want what was in flight first", got)
					}
					wantNumbers(t, "slow", got[1:], want)
				} else {
					sendTo(t, slow, &mqtt.Puback{Ack: mqtt.Ack{PacketID: first}})
					wantNumbers(t, "slow", slow.numbers(t), want)
				}
				pause(time.Minute)
				for range w.engine.Scan(t.Context(), state.Parked) {
					t.Error("a message is still parked though all were acknowledged")
				}
				if n := w.b.metrics.DroppedTotal(); n != 0 {
					t.Errorf("%d messages were dropped", n)
				}
			})
		})
	}
}

// What a shared group gave a slow session is the group's to keep: it is not parked, and comes once like the rest.
func TestASlowMemberOfAGroupIsParkedWithItsOwnMessagesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_memory_messages=10")
		w.opts = []Option{parkSoon}
		w.restart()
		defer w.close()
		slow, _ := w.connect(&mqtt.Connect{ClientID: "slow", SessionExpirySeconds: 1000, ReceiveMaximum: 1})
		slow.subscribe(t, "mine", 1)
		slow.subscribe(t, "$share/g/ours", 1)
		first := expectNumber(t, w, slow)
		for i := range 20 {
			sendNumbered(t, w, 1+2*i, "ours", "mine")
		}
		pause(5 * time.Second)
		for kv, err := range w.engine.Scan(t.Context(), state.Parked) {
			_, m, err2 := state.DecodeParked(kv)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			body, err := w.b.body(t.Context(), m.Delivery.Position)
			if err != nil || body == nil || body.Topic != "mine" {
				t.Errorf("parked: %+v, %v", body, err)
			}
		}
		sendTo(t, slow, &mqtt.Puback{Ack: mqtt.Ack{PacketID: first}})
		got := slow.numbers(t)
		slices.Sort(got)
		wantNumbers(t, "slow", got, upTo(1, 41))
		pause(time.Minute)
		for range w.engine.Scan(t.Context(), state.Parked) {
			t.Error("a message is still parked though all were acknowledged")
		}
	})
}

// expectNumber publishes message 0 to a client and returns its identifier.
func expectNumber(t *testing.T, w *world, p *peer) uint16 {
	t.Helper()
	sendNumbered(t, w, 0, "mine")
	return expectPublish(t, p).PacketID
}

// A pass takes time. What a session reads and acknowledges meanwhile is not to come from the parked messages again.
func TestWhatIsReadDuringAPassDoesNotComeAgain(t *testing.T) {
	for name, read := range map[string]int{"some": 4, "all": 10, "nothing": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				away(t, w, "c", "t")
				sendNumbered(t, w, 0, repeated(11, "t")...) // the last one's block is not part of the pass
				synctest.Wait()
				o := w.b.newOrder(time.Now())
				o.before = message.MaxPosition
				p := w.b.newPass(o)
				all, _ := p.errands(w.b.registry.all())
				if len(all) != 1 {
					t.Fatalf("%d sessions lag, want one", len(all))
				}
				e := all[0]
				p.busy = 1
				if err := errors.Join(p.begin(e), p.copy(e.from)); err != nil {
					t.Fatal(err)
				}
				c, ack := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000, ReceiveMaximum: 1})
				if !ack.SessionPresent {
					t.Fatal("no session")
				}
				for want := range read {
					m := expectPublish(t, c)
					if _, n := numberOf(m.Payload); n != want {
						t.Fatalf("got %d, want %d", n, want)
					}
					sendTo(t, c, &mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
				}
				synctest.Wait()
				_ = c.conn.Close()
				synctest.Wait()
				if err := p.finish(e); err != nil {
					t.Fatal(err)
				}
				again := w.resume(t, "c")
				var got []int
				for len(got) < 11-read {
					m := expectPublish(t, again)
					_, n := numberOf(m.Payload)
					got = append(got, n)
					sendTo(t, again, &mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
				}
				wantNumbers(t, "c", append(got, again.numbers(t)...), upTo(read, 11))
				pause(time.Second)
				if err := w.b.sweep(); err != nil {
					t.Fatal(err)
				}
				pause(time.Second)
				for range w.engine.Scan(t.Context(), state.Parked) {
					t.Error("a message is still parked though all were acknowledged")
				}
			})
		})
	}
}

// One session's limit costs it its own messages, the oldest first, and nobody else any.
func TestALimitIsExactAndOneSessionsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		set  string
		want []int
		why  message.DropReason
	}{
		"messages": {"session.queue_max_messages=3", []int{8, 9, 10}, message.DropQueueFull},
		"bytes":    {"session.queue_max_bytes=30", []int{8, 9, 10}, message.DropQueueFull}, // 8 of the payload and 1 of the topic
	} {
		for _, keeps := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " keeps ", keeps), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, c.set)
					if !keeps {
						w.opts = []Option{func(b *Broker) { b.keeps = false }}
						w.restart()
					}
					defer w.close()
					away(t, w, "few", "f")
					away(t, w, "many", "m")
					sendNumbered(t, w, 0, append([]string{"f"}, repeated(10, "m")...)...)
					pause(time.Duration(len(name)) * time.Second)
					wantNumbers(t, "many", w.resume(t, "many").numbers(t), c.want)
					wantNumbers(t, "few", w.resume(t, "few").numbers(t), []int{0})
					if n := w.b.metrics.Dropped(c.why); n != 7 {
						t.Errorf("%d were dropped as %v, want 7", n, c.why)
					}
					if n := w.b.metrics.DroppedTotal(); n != 7 {
						t.Errorf("%d were dropped, want 7", n)
					}
				})
			})
		}
	}
}

// After a restart, what waits has to be counted before it can be limited.
func TestALimitHoldsAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(10, "t")...)
		w.sets = []string{"session.queue_max_messages=3"}
		w.crash()
		pause(10 * time.Second)
		sendNumbered(t, w, 10, "t")
		pause(10 * time.Second)
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), []int{8, 9, 10})
	})
}

func TestMessagesThatWaitTooLongAreDroppedAndFreeTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_max_seconds=60")
		w.opts = []Option{func(b *Broker) { b.trimBytes = 1 }}
		w.restart()
		defer w.close()
		away(t, w, "c", "t")
		away(t, w, "other", "t")
		sendNumbered(t, w, 0, repeated(5, "t")...)
		pause(50 * time.Second)
		sendNumbered(t, w, 5, repeated(2, "t")...)
		pause(40 * time.Second)
		if h := w.engine.Health(); h.Blocks != 2 {
			t.Errorf("the log holds %d blocks, want those of the 2 messages that are young", h.Blocks)
		}
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), []int{5, 6})
		if n := w.b.metrics.Dropped(message.DropQueueAge); n != 10 {
			t.Errorf("%d were dropped for their age, want 5 of each session", n)
		}
	})
}

func TestAFullSessionRefusesWhatItWouldHaveToHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.on_full=reject", "session.queue_max_messages=2")
		defer w.close()
		away(t, w, "c", "t")
		away(t, w, "other", "+")
		away(t, w, "third", "u")
		sendNumbered(t, w, 0, "t", "t")
		synctest.Wait()
		pub, _ := w.connect(&mqtt.Connect{ClientID: "five"})
		ack := exchange[*mqtt.Puback](t, pub, &mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: 9, Payload: number(0, 2)})
		if ack.Code != mqtt.QuotaExceeded {
			t.Errorf("PUBACK %v, want %v", ack.Code, mqtt.QuotaExceeded)
		}
		rec := exchange[*mqtt.Pubrec](t, pub, &mqtt.Publish{Topic: []byte("t"), QoS: 2, PacketID: 10, Payload: number(0, 2)})
		if rec.Code != mqtt.QuotaExceeded {
			t.Errorf("PUBREC %v, want %v", rec.Code, mqtt.QuotaExceeded)
		}
		old, _ := w.connect(&mqtt.Connect{ClientID: "three", Version: mqtt.V311, CleanStart: true})
		sendTo(t, old, &mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: 9})
		if pk, err := old.receive(); err == nil {
			t.Errorf("version 3.1.1 got %+v, want the connection's end", pk)
		}
		if n := w.b.metrics.Dropped(message.DropQueueFull); n != 3 {
			t.Errorf("%d were refused, want 3", n)
		}
		wantNumbers(t, "other", w.resume(t, "other").numbers(t), []int{0, 1})
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), []int{0, 1})
		sendNumbered(t, w, 2, "t", "u") // there is room again
	})
}

// refusing is an engine that takes no records.
type refusing struct{ storage.Engine }

func (r refusing) Submit(lane storage.Lane, u storage.Unit, done func(message.Position, error)) error {
	if len(u.Records) > 0 {
		return storage.ErrClosed
	}
	return r.Engine.Submit(lane, u, done)
}

// Version 3.1.1 has no code for a refusal: an acknowledgement would say that the message is kept.
func TestAnOldClientGetsNoAcknowledgementForWhatIsNotKept(t *testing.T) {
	for _, qos := range []mqtt.QoS{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			b := newTestBroker(t, nil, WithEngine(refusing{memory.New(memory.Options{})}))
			defer stopBroker(t, b)
			p := resume(t, b, "c", false)
			p.subscribe(t, "t", qos)
			old, _ := connect(t, b, &mqtt.Connect{ClientID: "three", Version: mqtt.V311, CleanStart: true})
			sendTo(t, old, &mqtt.Publish{Topic: []byte("t"), QoS: qos, PacketID: 9})
			if pk, err := old.receive(); err == nil {
				t.Errorf("QoS %d: got %+v, want the connection's end", qos, pk)
			}
		})
	}
}
