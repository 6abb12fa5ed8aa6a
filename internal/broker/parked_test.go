package broker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// beginPass does all of a pass over the log for one session but finish its errand.
func beginPass(t *testing.T, w *world, id string) (*pass, *errand) {
	t.Helper()
	synctest.Wait()
	o := w.b.newOrder(time.Now())
	o.before = message.MaxPosition
	p := w.b.newPass(o)
	all, _ := p.errands([]*client{w.b.registry.get(id)})
	if len(all) != 1 {
		t.Fatalf("%d sessions lag, want one", len(all))
	}
	p.busy = 1
	if err := errors.Join(p.begin(all[0]), p.copy(all[0].from)); err != nil {
		t.Fatal(err)
	}
	return p, all[0]
}

func park(t *testing.T, w *world, id string) {
	t.Helper()
	p, e := beginPass(t, w, id)
	if err := p.finish(e); err != nil {
		t.Fatal(err)
	}
	pause(time.Second)
	if !w.isParked(id) {
		t.Fatalf("nothing is parked for %s", id)
	}
}

// take takes and acknowledges the next n messages, and returns their numbers.
func (p *peer) take(t *testing.T, n int) (got []int) {
	t.Helper()
	for range n {
		m := expectPublish(t, p)
		_, number := numberOf(m.Payload)
		got = append(got, number)
		sendTo(t, p, &mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
	}
	return got
}

// A crash ends a pass that has parked messages, and meanwhile the session has read some of them from the log.
func TestAPassThatACrashEndsCountsForNothing(t *testing.T) {
	for _, read := range []int{0, 4, 10} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			away(t, w, "c", "t")
			sendNumbered(t, w, 0, repeated(11, "t")...) // the last one's block is not part of the pass
			beginPass(t, w, "c")
			c, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000, ReceiveMaximum: 1})
			wantNumbers(t, "before the crash", c.take(t, read), upTo(0, read))
			pause(time.Second)
			sent := read + 1 // that one is in flight
			w.crash()
			got := w.resume(t, "c").numbers(t)
			wantNumbers(t, "after the crash", got, upTo(sent-1, 11))
		})
	}
}

// A session that has read what was parked for it does not go on with what a pass has only begun to park: it reads that from the
// log.
func TestWhatAPassHasBegunToParkIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(6, "t")...)
		park(t, w, "c")
		sendNumbered(t, w, 6, repeated(6, "t")...)
		p, e := beginPass(t, w, "c")
		c := w.resume(t, "c")
		wantNumbers(t, "c", c.numbers(t), upTo(0, 12))
		if err := p.finish(e); err != nil {
			t.Fatal(err)
		}
		wantNumbers(t, "c", c.numbers(t), nil)
		_ = c.conn.Close()
		pause(time.Second)
		w.crash()
		wantNumbers(t, "after a crash", w.resume(t, "c").numbers(t), nil)
	})
}

// What is in flight when its place in the log goes comes again after a crash, even if it has expired since it was sent.
func TestWhatIsInFlightStaysWhenTheLogGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts = []Option{func(b *Broker) { b.trimBytes = 1 }}
		w.restart()
		defer w.close()
		away(t, w, "c", "t")
		c, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000, ReceiveMaximum: 1})
		short := &mqtt.Publish{Topic: []byte("t"), Payload: number(0, 0), QoS: 1, PacketID: 1}
		short.Properties.Present.Add(mqtt.PropMessageExpiry)
		short.Properties.MessageExpirySeconds = 5
		publish(t, w, "pub", short)
		expectPublish(t, c)
		_ = c.conn.Close()
		sendNumbered(t, w, 1, repeated(5, "t")...)
		pause(10 * time.Second)
		p, e := beginPass(t, w, "c")
		if err := p.finish(e); err != nil {
			t.Fatal(err)
		}
		pause(5 * time.Second)
		if h := w.engine.Health(); h.Blocks > 3 {
			t.Fatalf("the log holds %d blocks still", h.Blocks)
		}
		w.crash()
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), upTo(0, 6))
	})
}

// What an older program has parked is read: it kept no end of it, and the place after it.
func TestWhatAnOlderProgramHasParkedIsRead(t *testing.T) {
	for _, flights := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			away(t, w, "c", "t")
			sendNumbered(t, w, 0, repeated(11, "t")...)
			if flights > 0 {
				c, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000, ReceiveMaximum: 1})
				expectPublish(t, c)
				_ = c.conn.Close()
				pause(time.Second)
			}
			park(t, w, "c")
			c := w.b.registry.get("c")
			key := state.PutSnapshot(c.owner(), &state.Snapshot{}).Key
			value, err := w.engine.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			_, s, err := state.DecodeSnapshot(storage.KV{Key: key, Value: value})
			if err != nil || len(s.Flights) != flights {
				t.Fatalf("%+v, %v", s, err)
			}
			s.Next, s.ParkedTo = s.ParkedTo, message.Position{}
			older := state.PutSnapshot(c.owner(), s)
			older.Value = older.Value[:len(older.Value)-2]
			kept := make(chan error, 1)
			if err := w.engine.submit(0, storage.Unit{Ops: []storage.Op{older}}, func(_ message.Position, err error) { kept <- err }); err != nil {
				t.Fatal(err)
			}
			if err := <-kept; err != nil {
				t.Fatal(err)
			}
			for range 2 {
				w.crash()
			}
			wantNumbers(t, "c", w.resume(t, "c").numbers(t), upTo(0, 11))
		})
	}
}
