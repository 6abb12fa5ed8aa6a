package broker

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/storage/badger"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/vfs"
)

// diskFault is what a disk does to a broker for a while.
type diskFault struct {
	begin func(*vfs.Mem)
	alarm string // that is active meanwhile; "": it is over too soon for one
}

var diskFaults = map[string]diskFault{
	"one failed write":            {func(m *vfs.Mem) { m.FailOnce(3, vfs.OpWrite, syscall.EIO) }, ""},
	"one failed sync":             {func(m *vfs.Mem) { m.FailOnce(3, vfs.OpSync, syscall.EIO) }, ""},
	"writes fail for a while":     {func(m *vfs.Mem) { m.FailAfter(3, vfs.OpWrite, syscall.EIO) }, storageAlarm},
	"syncs fail for a while":      {func(m *vfs.Mem) { m.FailAfter(3, vfs.OpSync, syscall.EIO) }, storageAlarm},
	"read-only for a while":       {func(m *vfs.Mem) { m.FailAfter(3, vfs.OpWrite, syscall.EROFS) }, storageAlarm},
	"the disk is gone a while":    {func(m *vfs.Mem) { m.FailAfter(3, vfs.OpAny, syscall.EIO) }, storageAlarm},
	"no space for a while":        {func(m *vfs.Mem) { m.SetCapacity(0) }, diskFullAlarm},
	"no space, and writes say so": {func(m *vfs.Mem) { m.SetCapacity(0); m.FailAfter(0, vfs.OpFree, syscall.EIO) }, ""},
}

// TestDiskFaultsEndInAClearAnswerAndHealWithoutARestart lets a disk fail under a broker, and then work again. Publishers hear
// of every message whether it is kept, the alarm comes and goes, and what was acknowledged before, during and after is
// there after a power cut.
func TestDiskFaultsEndInAClearAnswerAndHealWithoutARestart(t *testing.T) {
	for name, fault := range diskFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewMem(7)
			o := badger.Options{Dir: t.TempDir(), FS: mem, ReserveBytes: 1 << 20, SegmentBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler)}
			b := newTestBroker(t, nil, WithEngine(openBadger(t, o)))
			sub, _ := connect(t, b, &mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600})
			sub.subscribe(t, "t", mqtt.AtLeastOnce)
			sendTo(t, sub, &mqtt.Disconnect{})
			pub, _ := connect(t, b, &mqtt.Connect{ClientID: "pub", CleanStart: true})
			var acked []int
			next := 0
			publish := func() mqtt.ReasonCode {
				t.Helper()
				next++
				ack := exchange[*mqtt.Puback](t, pub, &mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: uint16(next), Payload: append(number(0, next), make([]byte, 2000)...)})
				if !ack.Code.Failed() {
					acked = append(acked, next)
				}
				return ack.Code
			}
			for range 10 {
				if code := publish(); code.Failed() {
					t.Fatalf("before anything is wrong: %v", code)
				}
			}
			fault.begin(mem)
			refused := 0
			for range 60 {
				switch code := publish(); code {
				case mqtt.Success:
				case mqtt.QuotaExceeded, mqtt.UnspecifiedError:
					refused++
				default:
					t.Errorf("answered with %v", code)
				}
			}
			if fault.alarm != "" {
				if refused == 0 {
					t.Error("nothing was refused")
				}
				if !eventually(10*time.Second, func() bool { return hasAlarm(b, fault.alarm) }) {
					t.Errorf("no alarm %s: %+v", fault.alarm, b.alarms.Active())
				}
			}
			mem.Heal()
			mem.SetCapacity(-1)
			if !eventually(20*time.Second, func() bool { return publish() == mqtt.Success }) {
				t.Fatal("still refused after the disk is well")
			}
			if !eventually(10*time.Second, func() bool { return b.alarms.ActiveCount() == 0 }) {
				t.Errorf("alarms that stay: %+v", b.alarms.Active())
			}
			t.Logf("%d of %d messages were acknowledged", len(acked), next)
			mem.Crash(11)
			_ = b.Stop(context.Background()) // on files that are dead
			b = newTestBroker(t, nil, WithEngine(openBadger(t, o)))
			defer stopBroker(t, b)
			sub = resume(t, b, "sub", true)
			got := map[int]bool{}
			for last := acked[len(acked)-1]; !got[last]; {
				m := nextPublish(t, sub)
				_, n := numberOf(m.Payload)
				got[n] = true
				sendTo(t, sub, &mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
			}
			for _, n := range acked {
				if !got[n] {
					t.Errorf("message %d was acknowledged and is lost", n)
				}
			}
		})
	}
}

func nextPublish(t *testing.T, p *peer) *mqtt.Publish { t.Helper(); return next[*mqtt.Publish](t, p) }

func openBadger(t *testing.T, o badger.Options) *badger.Engine {
	t.Helper()
	e, err := badger.Open(o)
	if err != nil {
		t.Fatal(fmt.Errorf("opening: %w", err))
	}
	return e
}

func hasAlarm(b *Broker, name string) bool {
	for _, a := range b.alarms.Active() {
		if a.Name == name {
			return true
		}
	}
	return false
}
