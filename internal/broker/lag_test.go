package broker

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestAlarmsOfWhatWaitsBeginBeforeTheLimitAndEndWellBelowIt(t *testing.T) {
	for n, want := range map[int64][2]bool{79: {false, true}, 80: {true, true}, 100: {true, true}, 70: {false, true}, 69: {false, false}, 0: {false, false}} {
		if got := [2]bool{near(n, 100, false), near(n, 100, true)}; got != want {
			t.Errorf("%d of 100: %v, not %v", n, got, want)
		}
	}
	if near(1<<60, 0, true) || near(100, 1<<62, false) || !near(1<<62, 1<<62, false) || !near(3, 3, false) || near(0, 3, false) {
		t.Error("without a limit, or at a large or small one, it is wrong")
	}
}

// holds lets a look pass, and says whether an alarm holds.
func (w *world) holds(name string) bool {
	pause(lagInterval + time.Second)
	synctest.Wait()
	return w.b.alarms.Holds(name)
}

func many(t *testing.T, w *world, topic string, n, size int) {
	t.Helper()
	for range n {
		publish(t, w, "pub", &mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: 1, Payload: make([]byte, size)})
	}
}

func TestSessionsThatAreNearlyFullAreAnAlarm(t *testing.T) {
	for name, sets := range map[string][]string{
		"by messages": {"session.queue_max_messages=10"},
		"by bytes":    {"session.queue_max_bytes=1010"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sets...)
				defer w.close()
				sub := w.subscriber(t, "slow", "t", 1)
				_ = sub.p.conn.Close()
				synctest.Wait()
				many(t, w, "t", 7, 100)
				if w.holds(sessionsLagAlarm) {
					t.Fatal("70 % of the limit are an alarm")
				}
				many(t, w, "t", 1, 110)
				if !w.holds(sessionsLagAlarm) {
					t.Fatal("80 % of the limit are none")
				}
				if a := w.b.alarms.Active()[0]; a.Details["clientid"] != "slow" || a.Details["messages"] != int64(8) || !strings.Contains(a.Message, "slow") {
					t.Errorf("the alarm is %+v", a)
				}
				back := w.durable(t, "slow")
				for range 8 {
					p := back.next(mqtt.PUBLISH).(*mqtt.Publish)
					back.send(&mqtt.Puback{Ack: ids(p.PacketID)})
				}
				if w.holds(sessionsLagAlarm) {
					t.Error("the alarm stays, though nothing waits")
				}
			})
		})
	}
}

func TestGroupsThatAreNearlyFullAreAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_max_messages=10", "session.queue_memory_messages=1") // one is in the group's hands
		defer w.close()
		worker := w.subscriber(t, "worker", "$share/g/t", 1)
		_ = worker.p.conn.Close()
		synctest.Wait()
		many(t, w, "t", 7, 100)
		if w.holds(groupsLagAlarm) {
			t.Fatal("70 % of the limit are an alarm")
		}
		many(t, w, "t", 2, 100)
		if !w.holds(groupsLagAlarm) {
			details, _ := w.b.groupDetails(10, func(*group) bool { return true })
			t.Fatalf("90 %% of the limit are none: %+v", details)
		}
		if a := w.b.alarms.Active()[0]; a.Details["group"] != "g" || a.Details["filter"] != "t" || a.Details["messages"].(int64) < 8 {
			t.Errorf("the alarm is %+v", a)
		}
		back := w.durable(t, "worker")
		for range 9 {
			p := back.next(mqtt.PUBLISH).(*mqtt.Publish)
			back.send(&mqtt.Puback{Ack: ids(p.PacketID)})
		}
		if w.holds(groupsLagAlarm) {
			t.Error("the alarm stays, though nothing waits")
		}
	})
}

func TestALogThatIsNearlyFullIsAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "storage.max_bytes=10000")
		defer w.close()
		w.b.trimBytes = 0
		sub := w.subscriber(t, "away", "t", 1)
		_ = sub.p.conn.Close()
		synctest.Wait()
		many(t, w, "t", 6, 1000)
		if w.holds(logAlarm) {
			t.Fatalf("an alarm at 60 %% of the limit: %+v", w.b.alarms.Active())
		}
		many(t, w, "t", 2, 1000)
		if !w.holds(logAlarm) {
			t.Fatalf("none at 80 %% of the limit: %+v", w.b.engine.Health())
		}
		back := w.durable(t, "away")
		for range 8 {
			p := back.next(mqtt.PUBLISH).(*mqtt.Publish)
			back.send(&mqtt.Puback{Ack: ids(p.PacketID)})
		}
		if w.holds(logAlarm) {
			t.Errorf("an alarm that stays: %+v", w.b.alarms.Active())
		}
	})
}

// The document for who is paged has each alarm by its name.
func TestEveryAlarmIsInTheHandbook(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{diskFullAlarm, memoryAlarm, descriptorsAlarm, storageAlarm, clockAlarm, failuresAlarm,
		groupsLagAlarm, sessionsLagAlarm, logAlarm,
		certificateAlarm + "<listener>", tlsFilesAlarm + "<listener>", apiCertificateAlarm, apiTLSFilesAlarm, "password_file_unusable", "acl_file_unusable", "scram_file_unusable", "jwt_unusable", "auth.jwt.jwks_url_fails", "auth.http_fails", "auth.http_acl_fails"} {
		if !strings.Contains(string(text), "\n| `"+name+"` |") {
			t.Errorf("docs/operations.md does not have the alarm %s", name)
		}
	}
}

// An alarm is told to everybody who may look for it: the log, the counters, and whoever lists it.
func TestAnAlarmIsToldEverywhere(t *testing.T) {
	var log bytes.Buffer
	cfg := config.Default()
	cfg.Durability = config.DurabilityMemory
	b, err := New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b.alarms.Activate("oven_hot", "turn it down", nil)
	b.alarms.Deactivate("oven_hot")
	if err := b.Stop(t.Context()); err != nil { // so that nobody else writes
		t.Error(err)
	}
	if s := log.String(); !strings.Contains(s, `level=WARN msg=alarm component=broker alarm=oven_hot message="turn it down"`) || !strings.Contains(s, `msg="alarm is over" component=broker alarm=oven_hot`) {
		t.Errorf("the log says %s", s)
	}
	if b.metrics.AlarmsActivated.Load() != 1 || b.metrics.AlarmsDeactivated.Load() != 1 || len(b.Alarms().History()) != 1 {
		t.Error("it was not counted")
	}
}
