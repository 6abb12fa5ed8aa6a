package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/mqtt"
)

// countKeys counts what a space of the store has.
func countKeys(t *testing.T, w *world, space []byte) (n int) {
	t.Helper()
	for _, err := range w.engine.Scan(t.Context(), space) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// A group whose members are away holds its own messages, not the log, over crashes too; and gives them in order, once.
func TestAGroupThatLagsIsParked(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("crash %v", crash), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "session.queue_memory_messages=5").with(parkSoon)
				defer w.close()
				away(t, w, "member", "$share/g/ours/#")
				away(t, w, "busy", "busy")
				for i := range 30 {
					sendNumbered(t, w, 10*i, append(repeated(9, "busy"), "ours/1")...)
				}
				w.resume(t, "busy").numbers(t)
				pause(5 * time.Second)
				if h := w.engine.Health(); h.Blocks > 20 {
					t.Errorf("the log holds %d blocks for a group whose member is away", h.Blocks)
				}
				if n := countKeys(t, w, state.GroupParked); n < 29 {
					t.Errorf("%d messages are parked, of the 29 that are not in the last block", n)
				}
				if crash {
					w.crash()
				}
				sendNumbered(t, w, 300, "ours/2", "ours/3") // these are in the log
				p := w.resume(t, "member")
				var want []int
				for i := range 30 {
					want = append(want, 10*i+9)
				}
				wantNumbers(t, "member", p.numbers(t), append(want, 300, 301))
				sendNumbered(t, w, 302, "ours/4")
				wantNumbers(t, "member", p.numbers(t), []int{302})
				_ = p.conn.Close()
				pause(2 * time.Minute)
				sendNumbered(t, w, 303, repeated(20, "busy")...) // so that there is a pass, and a sweep
				pause(2 * time.Minute)
				if n := countKeys(t, w, state.GroupParked); n != 0 {
					t.Errorf("%d messages are parked though all were given", n)
				}
				if n := w.b.metrics.DroppedTotal(); n != 0 {
					t.Errorf("%d messages were dropped", n)
				}
			})
		})
	}
}

// What a member has and does not acknowledge, connected or not, does not hold the log; and comes again, with DUP.
func TestWhatAMemberKeepsDoesNotHoldTheLog(t *testing.T) {
	for _, qos := range []mqtt.QoS{1, 2} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("QoS %d, crash %v", qos, crash), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t).with(parkSoon)
					defer w.close()
					p, _ := w.connect(&mqtt.Connect{ClientID: "member", SessionExpirySeconds: 100_000, ReceiveMaximum: 3})
					p.subscribe(t, "$share/g/ours", qos)
					pub, _ := w.connect(&mqtt.Connect{ClientID: "pub"})
					for i := range 3 {
						sendTo(t, pub, &mqtt.Publish{Topic: []byte("ours"), Payload: number(0, i), QoS: qos, PacketID: uint16(i + 1)})
						if _, err := pub.receive(); err != nil {
							t.Fatal(err)
						}
					}
					for range 3 {
						expectPublish(t, p)
					}
					_ = p.conn.Close()
					synctest.Wait()
					away(t, w, "busy", "busy")
					sendNumbered(t, w, 100, repeated(50, "busy")...)
					w.resume(t, "busy").numbers(t)
					pause(5 * time.Second)
					if h := w.engine.Health(); h.Blocks > 5 {
						t.Errorf("the log holds %d blocks for what a member has", h.Blocks)
					}
					if crash {
						w.crash()
						sendNumbered(t, w, 200, repeated(50, "busy")...)
						w.resume(t, "busy").numbers(t)
						pause(5 * time.Second)
						if h := w.engine.Health(); h.Blocks > 5 {
							t.Errorf("after the crash the log holds %d blocks for what a member has", h.Blocks)
						}
					}
					again, _ := w.connect(&mqtt.Connect{ClientID: "member", SessionExpirySeconds: 100_000})
					for i := range 3 {
						m := expectPublish(t, again)
						if _, n := numberOf(m.Payload); n != i || !m.Dup || m.QoS != qos {
							t.Errorf("got %d with QoS %d, dup %v; want %d", n, m.QoS, m.Dup, i)
						}
					}
				})
			})
		}
	}
}

// A group's limit is a session's, and costs it its oldest messages, whether they are parked or in the log.
func TestAGroupsLimitCostsItsOldest(t *testing.T) {
	for name, opts := range map[string][]Option{"parked": {parkSoon}, "in the log": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "session.queue_max_messages=10").with(opts...)
				defer w.close()
				away(t, w, "member", "$share/g/ours")
				for i := range 3 {
					sendNumbered(t, w, 10*i, repeated(10, "ours")...)
					pause(5 * time.Second)
				}
				sendNumbered(t, w, 30, "other", "other")
				pause(5 * time.Second)
				w.crash()
				pause(5 * time.Second)
				got := w.resume(t, "member").numbers(t)
				if len(got) < 10 || len(got) > 12 || got[len(got)-1] != 29 {
					t.Errorf("got %v, want the last ten", got)
				}
				wantNumbers(t, "member", got, upTo(30-len(got), 30))
			})
		})
	}
}

// What the log holds for a group when the broker ends is parked by the next one, and counts for the limit.
func TestAGroupThatLaggedBeforeARestartIsParkedAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_max_messages=25").with(parkSoon)
		defer w.close()
		away(t, w, "member", "$share/g/ours")
		sendNumbered(t, w, 0, repeated(20, "ours")...)
		w.crash()
		pause(5 * time.Second) // it is parked
		g := w.b.groups.find("g", "ours")
		g.mu.Lock()
		waits := g.waitingFor()
		g.mu.Unlock()
		if waits.messages != 20 {
			t.Errorf("%d messages are known to wait, of 20", waits.messages)
		}
		sendNumbered(t, w, 20, repeated(10, "ours")...)
		pause(5 * time.Second)
		got := w.resume(t, "member").numbers(t)
		if len(got) < 25 || len(got) > 27 {
			t.Errorf("got %v, want the last 25", got)
		}
		wantNumbers(t, "member", got, upTo(30-len(got), 30))
	})
}

// With on_full reject, a message that a full group would have to hold is refused.
func TestAFullGroupRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_max_messages=3", "session.on_full=reject").with(parkSoon)
		defer w.close()
		away(t, w, "member", "$share/g/ours")
		sendNumbered(t, w, 0, repeated(3, "ours")...)
		pause(2 * time.Second)
		refused := func() bool {
			m := &message.Message{Topic: "ours", Payload: number(0, 3), QoS: 1, PublishedAt: time.Now()}
			code, err := w.b.inject(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			return code == mqtt.QuotaExceeded
		}
		if !refused() {
			t.Error("a message for a group that is full was taken")
		}
		wantNumbers(t, "member", w.resume(t, "member").numbers(t), upTo(0, 3))
		if refused() {
			t.Error("a message was refused for a group that has caught up")
		}
	})
}

// While a pass moves the end of what is parked, the log is held until that is kept, and a reader that finds its place in
// the log gone has lost nothing.
func TestAGroupHoldsTheLogUntilItsMarkIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		away(t, w, "member", "$share/g/ours")
		sendNumbered(t, w, 0, repeated(5, "ours")...)
		synctest.Wait()
		g := w.b.groups.find("g", "ours")
		g.mu.Lock()
		begins, end := g.cursor.next, message.Position{Block: w.b.router.Begun()}
		g.parkedTo = end
		g.mu.Unlock()
		if pos, ok := g.oldest(end.Block); !ok || pos != begins {
			t.Errorf("before the mark is kept it needs the log from %v, %v; want %v", pos, ok, begins)
		}
		g.Lost(end)
		if g.cursor.next != begins {
			t.Errorf("it goes on at %v instead of %v, though that is parked", g.cursor.next, begins)
		}
		g.ledger.parkedTo = end
		if pos, _ := g.oldest(end.Block); pos != end {
			t.Errorf("with the mark kept it needs the log from %v; want %v", pos, end)
		}
	})
}
