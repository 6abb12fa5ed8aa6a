package broker

import (
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage/badger"
	"github.com/barid-mqtt/barid/internal/storage/memory"
)

// openEngine opens the engine that the configuration asks for.
func (b *Broker) openEngine() (err error) {
	cfg := b.cfg
	rejects := cfg.Storage.MaxBytes > 0
	if cfg.Durability == config.DurabilityMemory {
		b.engine = memory.New(memory.Options{
			LogLimitRejects: rejects, LogRejectBytes: cfg.Storage.MaxBytes,
		})
		return nil
	}
	o := badger.Options{
		Dir: cfg.DataDir, LogLimitRejects: rejects, LogRejectBytes: cfg.Storage.MaxBytes, Logger: b.log,
	}
	if cfg.Durability == config.DurabilityOS {
		o.Sync = badger.SyncKernel
	}
	if b.engine, err = badger.Open(o); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	b.keeps, b.ownsDir = true, true
	return nil
}

// logEnd is the place of the next record of the log.
func (b *Broker) logEnd() message.Position { return b.engine.Health().Next }

// trimBytes is the size of the log below which it is left alone.
const trimBytes = 1 << 20

// trim lets the log forget what every reader has passed.
func (b *Broker) trim() {
	h := b.engine.Health()
	if h.LogBytes == 0 || !b.restored.Load() {
		return
	}
	begun := b.router.Begun()
	keep := message.Position{Block: begun}
	consider := func(pos message.Position, ok bool) {
		if ok && pos.Less(keep) {
			keep = pos
		}
	}
	b.groups.each(func(g *group) { consider(g.oldest(begun)) })
	consider(b.streams.Oldest())
	consider(b.history.floor(b))
	floor := keep
	for _, c := range b.registry.all() {
		consider(c.oldest(begun))
	}
	b.maybePark(time.Now(), keep, floor, h.LogBytes)
	if h.LogBytes < b.trimBytes {
		return
	}
	if err := b.engine.Trim(b.ctx, 0, keep); err != nil && b.ctx.Err() == nil {
		b.log.Error("log not trimmed", "error", err)
	}
}
