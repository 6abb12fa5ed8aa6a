package broker

import (
	"fmt"

	"github.com/barid-mqtt/barid/internal/alarm"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// The alarms of what runs out.
const (
	diskFullAlarm    = "disk_full"       // the disk has less room than the engine wants for itself: publishers are refused
	memoryAlarm      = "memory_high"     // limits.memory_max_bytes is nearly used up: new clients are refused
	descriptorsAlarm = "descriptors_low" // new connections are closed, for the storage to keep its descriptors
	storageAlarm     = "storage_failed"  // the engine cannot write
)

// Alarms are what is wrong, and what was.
func (b *Broker) Alarms() *alarm.Registry { return b.alarms }

// observe logs and counts alarms that begin and end.
func (b *Broker) observe(a alarm.Alarm) {
	if a.Active() {
		b.metrics.AlarmsActivated.Inc()
		b.log.Warn("alarm", "alarm", a.Name, "message", a.Message)
		return
	}
	b.metrics.AlarmsDeactivated.Inc()
	b.log.Info("alarm is over", "alarm", a.Name, "lasted", a.Duration(a.DeactivatedAt))
}

// watchStorage raises and clears the alarms of the storage. An engine that failed tries to recover when it has something
// to do, so it is given a unit without content.
func (b *Broker) watchStorage() {
	h := b.engine.Health()
	b.alarms.Set(diskFullAlarm, h.Full,
		fmt.Sprintf("the disk of %s has %d MiB free, Barid keeps %d MiB for itself: messages to be stored are refused; make room, and it goes on by itself",
			b.cfg.DataDir, h.FreeBytes>>20, h.ReserveBytes>>20),
		map[string]any{"data_dir": b.cfg.DataDir, "free_bytes": h.FreeBytes, "reserve_bytes": h.ReserveBytes})
	var text string
	if h.Err != nil {
		text = fmt.Sprintf("what is to be stored in %s is refused until that works again: %v", b.cfg.DataDir, h.Err)
		_ = b.engine.Submit(0, storage.Unit{}, func(message.Position, error) {})
	}
	b.alarms.Set(storageAlarm, h.Err != nil, text, map[string]any{"data_dir": b.cfg.DataDir, "error": fmt.Sprint(h.Err)})
}
