package broker

import (
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/badger"
	"github.com/barid-mqtt/barid/internal/storage/memory"
)

// openEngine opens the engine that the configuration asks for.
func (b *Broker) openEngine() (err error) {
	cfg := b.cfg
	rejects := cfg.Storage.MaxBytes > 0
	if cfg.Durability == config.DurabilityMemory {
		b.engine = memory.New(memory.Options{
			LogLimitRejects: rejects, LogRejectBytes: cfg.Storage.MaxBytes, Watch: b.watchCommits(),
		})
		return nil
	}
	o := badger.Options{
		Dir: cfg.DataDir, LogLimitRejects: rejects, LogRejectBytes: cfg.Storage.MaxBytes, Logger: b.logs.storage,
		Watch: b.watchCommits(),
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

// watchCommits counts how long commits take, and notes when one is told of, so that not every message asks for the time.
func (b *Broker) watchCommits() storage.Watch {
	return storage.Watch{
		Committed: func(c storage.Commit) {
			m := b.metrics
			m.Gather.Observe(c.Gather)
			m.Write.Observe(c.Write)
			m.Sync.Observe(c.Sync)
			m.Commit.Observe(c.Gather + c.Write + c.Sync)
			m.CommittedUnits.Add(int64(c.Units))
			m.LogWritten.Add(c.Bytes)
		},
		Releasing: func() { b.releasing.Store(int64(time.Since(b.started))) },
	}
}

// released is when the engine began to tell of the commit that it tells of now, since the broker's start.
func (b *Broker) released() time.Duration {
	if at := b.releasing.Load(); at != 0 {
		return time.Duration(at)
	}
	return time.Since(b.started) // an engine that is not ours
}

// logEnd is the place of the next record of the log.
func (b *Broker) logEnd() message.Position { return b.engine.Health().Next }

// trimBytes is the size of the log below which it is left alone.
const trimBytes = 1 << 20

// trim lets the log forget what every reader has passed.
func (b *Broker) trim() {
	h := b.engine.Health()
	if h.LogBytes == 0 && !b.upkeep.unswept.Load() || !b.restored.Load() {
		return
	}
	begun := b.router.Begun()
	keep := message.Position{Block: begun}
	consider := func(pos message.Position, ok bool) {
		if ok && pos.Less(keep) {
			keep = pos
		}
	}
	consider(b.streams.Oldest())
	consider(b.history.floor(b))
	floor := keep
	b.groups.each(func(g *group) { consider(g.oldest(begun)) })
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
