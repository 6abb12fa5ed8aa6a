package broker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// setClock is a machine's clock that can be set.
type setClock struct{ by atomic.Int64 }

func (s *setClock) now() time.Time          { return time.Now().Add(time.Duration(s.by.Load())) }
func (s *setClock) set(by time.Duration)    { s.by.Add(int64(by)) }
func (s *setClock) option() Option          { return func(b *Broker) { b.wall = s.now } }
func (w *world) with(opts ...Option) *world { w.opts = opts; w.restart(); return w }

// expiring publishes messages to t that live for so many seconds each.
func expiring(t *testing.T, w *world, seconds ...uint32) {
	t.Helper()
	for _, s := range seconds {
		p := &mqtt.Publish{Topic: []byte("t"), Payload: number(0, int(s)), QoS: 1, PacketID: 1}
		p.Properties.MessageExpirySeconds = s
		p.Properties.Present.Add(mqtt.PropMessageExpiry)
		publish(t, w, "pub", p)
	}
}

// TestASetClockNeitherExtendsNorShortensAnExpiry sets the machine's clock while the broker runs, before a crash and after
// it, and while it is down, and looks at what is left of messages that wait for a session.
func TestASetClockNeitherExtendsNorShortensAnExpiry(t *testing.T) {
	for name, tt := range map[string]struct {
		running, down time.Duration
		crash         bool
		lost          int // seconds since the mark that a crash found
	}{
		"set back":                          {running: -time.Hour},
		"set forward":                       {running: time.Hour},
		"set back, and a crash":             {running: -time.Hour, crash: true},
		"set forward, and a crash":          {running: time.Hour, crash: true},
		"set back while down":               {down: -time.Hour, crash: true, lost: 30},
		"forward, then back while down":     {running: time.Hour, down: -time.Hour, crash: true, lost: 16},
		"back, then further back when down": {running: -time.Hour, down: -time.Hour, crash: true, lost: 16},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wall := new(setClock)
				w := newWorld(t).with(wall.option())
				defer w.close()
				sub, _ := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 3000})
				sub.subscribe(t, "t", 1)
				_ = sub.send(&mqtt.Disconnect{})
				pause(20 * time.Second)
				expiring(t, w, 20, 40, 100)
				pause(15 * time.Second)
				wall.set(tt.running)
				pause(15 * time.Second)
				if tt.crash {
					w.down = func() { wall.set(tt.down) }
					w.crash()
				}
				pause(30 * time.Second)
				sub, ack := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 3000})
				if !ack.SessionPresent {
					t.Fatal("the session expired")
				}
				p := expectPublish(t, sub)
				_, seconds := numberOf(p.Payload)
				passed := seconds - int(p.Properties.MessageExpirySeconds)
				if passed > 60 || passed < 60-tt.lost {
					t.Errorf("a minute later %d s have passed for the messages", passed)
				}
				if want := map[bool]int{true: 100, false: 40}[passed >= 40]; seconds != want {
					t.Errorf("after %d s the first that is left is one that lives for %d s", passed, seconds)
				}
			})
		})
	}
}

// TestASetClockLeavesSessionsWillsAndDelaysAlone sets the clock back by an hour over a restart. All that was under way goes
// on from where it was.
func TestASetClockLeavesSessionsWillsAndDelaysAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := new(setClock)
		w := newWorld(t).with(wall.option())
		defer w.close()
		sub, _ := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 3000})
		sub.subscribe(t, "w/#", 1)
		wall.set(-2 * time.Hour)
		pause(2 * time.Second)
		dying, _ := w.connect(&mqtt.Connect{ClientID: "dying", SessionExpirySeconds: 90, Will: &mqtt.Will{Topic: "w/will", Payload: []byte("x"), QoS: 1, DelaySeconds: 60}})
		_ = dying.conn.Close()
		synctest.Wait()
		publish(t, w, "pub", &mqtt.Publish{Topic: []byte("$delayed/70/w/delayed"), Payload: []byte("x"), QoS: 1, PacketID: 1})
		pause(30 * time.Second)
		w.down = func() { wall.set(-time.Hour) }
		w.restart()
		sub, _ = w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 3000})
		begun := time.Now()
		for _, want := range []struct {
			topic string
			after time.Duration
		}{{"w/will", 30 * time.Second}, {"w/delayed", 40 * time.Second}} {
			p := expectPublish(t, sub)
			if took := time.Since(begun); string(p.Topic) != want.topic || took < want.after-2*time.Second || took > want.after+2*time.Second {
				t.Errorf("%s after %v, want %s after %v", p.Topic, took, want.topic, want.after)
			}
			_ = sub.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}})
		}
		pause(15 * time.Second)
		if _, ack := w.connect(&mqtt.Connect{ClientID: "dying", SessionExpirySeconds: 90}); !ack.SessionPresent {
			t.Error("a session that had 5 s left is gone")
		}
	})
}

// TestAfterALongBreakEverythingFollowsTheClock sets the clock forward while the broker is down, which is like a break of
// that length: what was to expire meanwhile is gone, and what comes later lives as long as it is to.
func TestAfterALongBreakEverythingFollowsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := new(setClock)
		w := newWorld(t).with(wall.option())
		defer w.close()
		for id, expiry := range map[string]uint32{"sub": 10_000, "short": 3000} {
			p, _ := w.connect(&mqtt.Connect{ClientID: id, SessionExpirySeconds: expiry})
			p.subscribe(t, "t", 1)
			_ = p.send(&mqtt.Disconnect{})
		}
		pause(2 * time.Second)
		expiring(t, w, 100, 3000, 5000)
		w.down = func() { wall.set(time.Hour) }
		w.restart()
		w.down = nil
		pause(2 * time.Second)
		if _, ack := w.connect(&mqtt.Connect{ClientID: "short", SessionExpirySeconds: 3000}); ack.SessionPresent {
			t.Error("a session outlived its expiry by the break")
		}
		expect := func(p *peer, lives, left int) {
			t.Helper()
			m := expectPublish(t, p)
			if _, seconds := numberOf(m.Payload); seconds != lives || max(left-int(m.Properties.MessageExpirySeconds), int(m.Properties.MessageExpirySeconds)-left) > 3 {
				t.Errorf("a message that lives for %d s has %d s to go, want the one of %d s with %d s", seconds, m.Properties.MessageExpirySeconds, lives, left)
			}
			_ = p.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
		}
		sub, ack := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 10_000})
		if !ack.SessionPresent {
			t.Fatal("a session that had hours left is gone")
		}
		expect(sub, 5000, 5000-3600-2)
		expiring(t, w, 50) // to one that is there
		expect(sub, 50, 50)
		_ = sub.conn.Close()
		synctest.Wait()
		expiring(t, w, 10, 60)
		pause(20 * time.Second)
		sub, _ = w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 10_000})
		expect(sub, 60, 40)
	})
}

func TestAJumpOfTheClockIsAnAlarmForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := new(setClock)
		w := newWorld(t).with(wall.option())
		defer w.close()
		alarmed := func(by time.Duration) {
			t.Helper()
			pause(2 * time.Second)
			a := w.b.alarms.Active()
			if len(a) != 1 || a[0].Name != clockAlarm || a[0].Details["seconds"] != int64(by/time.Second) {
				t.Errorf("set by %v: alarms %+v", by, a)
			}
		}
		pause(2 * time.Second)
		if n := w.b.alarms.ActiveCount(); n != 0 {
			t.Errorf("%d alarms before anything happened", n)
		}
		for i, by := range []time.Duration{time.Hour, -2 * time.Hour} {
			wall.set(by)
			alarmed(by)
			if n := w.b.metrics.ClockJumps.Load(); n != int64(i+1) {
				t.Errorf("%d jumps are counted", n)
			}
			pause(jumpAlarmFor)
			if n := w.b.alarms.ActiveCount(); n != 0 {
				t.Errorf("%d alarms an hour later", n)
			}
		}
		w.down = func() { wall.set(49 * time.Hour) }
		w.restart()
		alarmed(49 * time.Hour)
		if started, ended := w.b.metrics.AlarmsActivated.Load(), w.b.metrics.AlarmsDeactivated.Load(); started != 1 || ended != 0 {
			t.Errorf("%d alarms began, %d ended", started, ended)
		}
	})
}

// TestTheClocksMarkIsKeptAtABoundedRate counts commits of a broker that has nothing to do.
func TestTheClocksMarkIsKeptAtABoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		pause(2 * time.Second)
		before := w.engine.submitted.Load()
		pause(10 * time.Minute)
		if n := w.engine.submitted.Load() - before; n != 10 {
			t.Errorf("%d commits in ten minutes without clients, want one a minute", n)
		}
	})
}
