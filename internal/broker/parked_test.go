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
		if h := w.engine.Health(); h.Blocks > 6 {
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

// still keeps the broker itself from passes and sweeps.
func still(b *Broker) { b.parking.Store(true) }

// waits is how many messages wait for a session, as far as they were counted: in the log, and parked.
func (w *world) waits(id string) (log, parked int64) {
	c := w.b.registry.get(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lag.messages, c.shelf.messages
}

// leaveOneInFlight has a client take a message and go without an acknowledgement.
func leaveOneInFlight(t *testing.T, w *world, id string) {
	t.Helper()
	c, _ := w.connect(&mqtt.Connect{ClientID: id, SessionExpirySeconds: 1000, ReceiveMaximum: 1})
	expectPublish(t, c)
	_ = c.conn.Close()
	pause(time.Second)
}

// A session that has something in flight and was not resumed since the start is parked like another, and the log goes.
func TestASessionThatSleepsSinceTheStartIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(11, "t")...)
		leaveOneInFlight(t, w, "c")
		w.opts = []Option{func(b *Broker) { b.trimBytes = 1 }}
		w.crash()
		park(t, w, "c")
		pause(5 * time.Second)
		if h := w.engine.Health(); h.Blocks > 6 {
			t.Fatalf("the log holds %d blocks still", h.Blocks)
		}
		w.crash()
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), upTo(0, 11))
	})
}

// What a session has in flight and was parked does not hold the log, though nothing else is left of what was parked.
func TestWhatIsLeftInFlightOfWhatWasParkedDoesNotHoldTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(11, "t")...)
		park(t, w, "c")
		c := w.resume(t, "c")
		expectPublish(t, c)
		wantNumbers(t, "c", c.numbers(t), upTo(1, 11))
		_ = c.conn.Close()
		pause(time.Second)
		w.crash()
		s := w.b.registry.get("c")
		if oldest, _ := s.oldest(w.b.router.Begun()); oldest.Less(s.cursor.next) {
			t.Errorf("it holds the log from %v on, and stands at %v", oldest, s.cursor.next)
		}
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), []int{0})
	})
}

// What was dropped for such a session stays dropped.
func TestWhatIsDroppedWhileASessionSleepsStaysDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(11, "t")...)
		leaveOneInFlight(t, w, "c")
		park(t, w, "c")
		w.opts = []Option{still}
		w.crash()
		if _, err := w.b.capParked(w.b.registry.get("c"), backlog{messages: 6}); err != nil {
			t.Fatal(err)
		}
		if _, parked := w.waits("c"); parked != 3 {
			t.Errorf("%d are parked, want 3", parked)
		}
		pause(time.Second)
		w.crash()
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), []int{0, 7, 8, 9, 10})
	})
}

// What waits is counted exactly: with what a client took and did not send, and over a crash without what was read or only
// begun to be parked.
func TestWhatIsParkedIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_memory_messages=2")
		w.opts = []Option{still}
		w.restart()
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(11, "t")...)
		park(t, w, "c")
		check := func(when string, wantLog, wantParked int64) {
			t.Helper()
			if log, parked := w.waits("c"); log != wantLog || parked != wantParked {
				t.Errorf("%s: %d wait in the log and %d parked, want %d and %d", when, log, parked, wantLog, wantParked)
			}
		}
		check("parked", 1, 10)
		c, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000, ReceiveMaximum: 1})
		wantNumbers(t, "c", c.take(t, 3), upTo(0, 3))
		synctest.Wait() // 3 is in flight, and up to two more are queued
		_ = c.conn.Close()
		pause(time.Second)
		check("left", 1, 6)
		sendNumbered(t, w, 11, repeated(5, "t")...)
		beginPass(t, w, "c")
		check("begun", 6, 6)
		w.crash()
		check("after a crash", 0, 6) // the log is counted when that is needed
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), upTo(3, 16))
		check("at the end", 0, 0)
	})
}

// What is dropped while a session reads what was parked for it does not come: what it is just reading is from before that.
func TestWhatIsDroppedWhileItIsReadDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(11, "t")...)
		park(t, w, "c")
		c := w.b.registry.get("c")
		drop := func(prefix []byte) {
			w.engine.scans.Store(nil)
			if _, err := w.b.capParked(c, backlog{messages: 6}); err != nil {
				t.Error(err)
			}
		}
		w.engine.scans.Store(&drop)
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), upTo(6, 11))
		if n := w.b.metrics.Dropped(message.DropQueueFull); n != 6 {
			t.Errorf("%d were dropped, want 6", n)
		}
	})
}

// What a client takes while a limit is found to be exceeded is not counted as dropped.
func TestWhatIsReadWhileItIsDroppedIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(11, "t")...)
		park(t, w, "c")
		var got []int
		read := func([]byte) {
			w.engine.scans.Store(nil)
			p, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000, ReceiveMaximum: 1})
			got = p.take(t, 4)
			synctest.Wait()
			_ = p.conn.Close()
			synctest.Wait()
		}
		w.engine.scans.Store(&read)
		if _, err := w.b.capParked(w.b.registry.get("c"), backlog{messages: 6}); err != nil {
			t.Fatal(err)
		}
		got = append(got, w.resume(t, "c").numbers(t)...)
		dropped := w.b.metrics.Dropped(message.DropQueueFull)
		if len(got)+int(dropped) != 11 {
			t.Errorf("%d of 11 were dropped, and the client got %v", dropped, got)
		}
	})
}

// Only what was parked by a pass that was finished is dropped from there.
func TestWhatAPassHasBegunToParkIsNotDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(6, "t")...)
		park(t, w, "c") // the last is in the log
		sendNumbered(t, w, 6, repeated(6, "t")...)
		beginPass(t, w, "c")
		over, err := w.b.capParked(w.b.registry.get("c"), backlog{messages: 8})
		if err != nil || over.messages != 3 {
			t.Errorf("%d are still to be dropped, want 3 of 8; %v", over.messages, err)
		}
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), upTo(5, 12))
	})
}

// A pass that fails leaves messages parked that do not count. What the next one drops of them does not come.
func TestWhatAPassDropsAndOneBeforeHadParkedDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(11, "t")...)
		beginPass(t, w, "c")
		if err := w.b.sweep(); err != nil {
			t.Fatal(err)
		}
		pause(time.Second)
		for range w.engine.Scan(t.Context(), state.Parked) {
			t.Error("what does not count is still there after a sweep")
		}
		beginPass(t, w, "c")
		o := w.b.newOrder(time.Now())
		o.before = message.MaxPosition
		p := w.b.newPass(o)
		all, _ := p.errands(w.b.registry.all())
		all[0].over = backlog{messages: 6}
		if err := p.run(all); err != nil {
			t.Fatal(err)
		}
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), upTo(6, 11))
	})
}

// A pass that only drops does not send a session back that has read on.
func TestAPassThatDropsSendsNobodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(11, "t")...)
		synctest.Wait()
		p := w.b.newPass(w.b.newOrder(time.Now()))
		c := w.b.registry.get("c")
		e := &errand{c: c, from: c.cursor.next, next: c.cursor.next, over: backlog{messages: 3}}
		p.busy = 1
		if err := errors.Join(p.begin(e), p.copy(e.from)); err != nil {
			t.Fatal(err)
		}
		again := w.resume(t, "c")
		got := again.numbers(t)
		_ = again.conn.Close()
		synctest.Wait()
		if err := p.finish(e); err != nil {
			t.Fatal(err)
		}
		pause(time.Second)
		w.crash()
		wantNumbers(t, "c", append(got, w.resume(t, "c").numbers(t)...), upTo(0, 11))
		if n := w.b.metrics.DroppedTotal(); n != 0 {
			t.Errorf("%d were dropped", n)
		}
	})
}

// A member of a group has something of that group under way, and something parked of its own.
func TestAMemberThatSleepsSinceTheStartIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts = []Option{func(b *Broker) { b.trimBytes = 1 }}
		w.restart()
		defer w.close()
		away(t, w, "c", "$share/g/ours", "mine")
		sendNumbered(t, w, 0, "ours")
		leaveOneInFlight(t, w, "c")
		sendNumbered(t, w, 1, repeated(11, "mine")...)
		o := w.b.newOrder(time.Now())
		o.before = message.MaxPosition
		if err := w.b.passes(o); err != nil { // for the group as well
			t.Fatal(err)
		}
		pause(5 * time.Second)
		if h := w.engine.Health(); h.Blocks > 6 {
			t.Fatalf("the log holds %d blocks still", h.Blocks)
		}
		w.crash()
		c := w.b.registry.get("c")
		c.mu.Lock()
		c.submitSnapshot()
		c.mu.Unlock()
		pause(time.Second)
		w.crash()
		wantNumbers(t, "c", w.resume(t, "c").numbers(t), upTo(0, 12))
	})
}

// What may have been sent before a crash is not forgotten by a session that has nothing under way.
func TestASessionThatDozesStillSaysDup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		c, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000})
		c.subscribe(t, "t", 1)
		pause(time.Second)
		sendNumbered(t, w, 0, "t")
		c.take(t, 1)
		synctest.Wait() // and no time passes
		w.crash()
		s := w.b.registry.get("c")
		s.mu.Lock()
		s.rouse()
		s.doze()
		s.mu.Unlock()
		again, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000})
		if p := expectPublish(t, again); !p.Dup {
			t.Error("it comes again without DUP")
		}
	})
}
