package badger

import (
	"errors"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/wal"
)

// bufferKept is the size up to which the committer keeps its buffer for the next block.
const bufferKept = 4 << 20

// run is the committer. It ends when closing is set and the queue is empty.
func (e *Engine) run() {
	defer e.front.Done()
	defer close(e.done)
	for {
		batch := e.take()
		if len(batch) == 0 {
			return
		}
		for rest := batch; len(rest) > 0; {
			n := e.blockLen(rest)
			s := e.commit(rest[:n])
			if rest = rest[n:]; len(rest) == 0 {
				s.used = batch
				e.gather.released(len(batch), e.waiting())
			}
			e.done <- s
		}
	}
}

// take waits for units and returns all there are. None: the engine closes.
func (e *Engine) take() []pending {
	e.queueMu.Lock()
	for len(e.queue) == 0 && !e.closing {
		e.idle = true
		e.queued.Wait()
	}
	e.idle = false
	e.queueMu.Unlock()
	begun := time.Now()
	e.gatherUnits()
	e.options.took.Gather = time.Since(begun)
	e.queueMu.Lock()
	defer e.queueMu.Unlock()
	batch := e.queue
	e.queue, e.spare = e.spare, nil
	return batch
}

// blockLen returns how many of the units make the next block: at least one.
func (e *Engine) blockLen(units []pending) int {
	size := units[0].encoded()
	for i := 1; i < len(units); i++ {
		size += units[i].encoded()
		if size > e.options.MaxBlockBytes {
			return i
		}
	}
	return len(units)
}

// commit makes one block of the units and writes it, and returns what the releaser needs.
func (e *Engine) commit(units []pending) settled {
	e.reopenIfDue(units)
	h, write := e.prepare(units)
	if !write {
		return e.finish(units, nil)
	}
	if err := e.waitForOverlay(); err != nil {
		e.fail(units, err)
		return e.finish(units, nil)
	}
	e.buffer = appendBlock(e.buffer[:0], &h, units)
	b := &block{header: h, bytes: int64(len(e.buffer))}
	var err error
	if b.disk, err = e.append(&h, e.buffer); err != nil {
		e.fail(units, err)
		b = nil
	} else if e.options.Watch.Committed != nil {
		e.options.took.Units, e.options.took.Bytes = len(units), b.bytes
		e.options.Watch.Committed(*e.options.took)
	}
	*e.options.took = storage.Commit{}
	if cap(e.buffer) > bufferKept {
		e.buffer = nil
	}
	return e.finish(units, b)
}

// append appends a block to the log on disk, or says why its units fail.
func (e *Engine) append(h *header, payload []byte) (uint64, error) {
	disk, err := e.openDisk()
	if err != nil {
		return 0, err
	}
	sequence, err := disk.Append(payload)
	switch {
	case err == nil:
		e.nextUnit += uint64(h.units)
		return sequence, nil
	case errors.Is(err, wal.ErrNoSpace):
		return 0, fmt.Errorf("%w: %w", storage.ErrFull, err)
	case errors.Is(err, wal.ErrTooLarge):
		return 0, fmt.Errorf("storage: write the log: %w", err)
	}
	e.nextUnit += uint64(h.units) // the block may be there: its identifiers are used
	return e.recover(h, err)
}

// prepare checks the units of a block and gives those that pass their positions. There is nothing to write for a block
// without records and ops.
func (e *Engine) prepare(units []pending) (h header, write bool) {
	low := e.spaceIsLow(units)
	e.mu.Lock()
	defer e.mu.Unlock()
	h = header{seq: e.log.next, start: e.log.end, firstUnit: e.nextUnit, checkpoint: e.log.checkpoint}
	count, room := 0, e.room()
	for i := range units {
		p := &units[i]
		if p.err = e.refuse(p, &room, low); p.err != nil {
			continue
		}
		write = write || !p.empty() || p.kind == kindTokens
		p.position = message.Position{Block: h.seq, Index: uint32(count)}
		count += len(p.unit.Records)
	}
	for i := range units {
		p := &units[i]
		if p.err == nil && len(p.unit.Records) == 0 && count > 0 && int(p.position.Index) == count {
			p.position = message.Position{Block: h.seq + 1} // the next record starts the next block
		}
	}
	h.tokens = e.claims.permit()
	e.inBlock, e.writing = units, make(chan struct{})
	return h, write
}

// refuse says why a unit must not commit, and otherwise takes its records off the room that the log has left.
func (e *Engine) refuse(p *pending, room *int64, low bool) error {
	if e.fault != nil {
		return e.fault
	}
	u := &p.unit
	if u.Fence != 0 && u.Fence < e.claims.newest(u.ClientID) {
		return storage.ErrFenced
	}
	if len(u.Records) == 0 {
		return nil
	}
	if low {
		return fmt.Errorf("%w: less than %d bytes of the disk are free", storage.ErrFull, e.options.ReserveBytes)
	}
	if !e.options.LogLimitRejects {
		return nil
	}
	size := recordsBytes(u.Records)
	if size > *room {
		return storage.ErrFull
	}
	*room -= size
	return nil
}

// room is how much the log may still grow. It counts only with LogLimitRejects.
func (e *Engine) room() int64 { return e.options.LogRejectBytes - (e.log.end - e.log.start) }

// spaceIsLow reports whether the disk has less than the reserve, if that matters to the units.
func (e *Engine) spaceIsLow(units []pending) bool {
	if e.options.ReserveBytes == 0 {
		return false
	}
	for i := range units {
		if len(units[i].unit.Records) > 0 {
			return e.lookAtSpace() < e.options.ReserveBytes
		}
	}
	return false
}

// fail gives an outcome to the units that wanted something written.
func (e *Engine) fail(units []pending, err error) {
	full := errors.Is(err, storage.ErrFull)
	for i := range units {
		if p := &units[i]; p.err == nil && !(full && p.kind == kindUnit && p.empty()) {
			p.err = err
		}
	}
}

// finish takes a block that is on disk into the store and the log; without one, none was written.
func (e *Engine) finish(units []pending, b *block) settled {
	var ops [][]storage.Op
	if b != nil {
		b.records = make([]storage.Record, 0, b.header.records)
		for i := range units {
			if p := &units[i]; p.err == nil {
				b.records = append(b.records, p.unit.Records...)
				ops = append(ops, p.unit.Ops)
			}
		}
	}
	e.mu.Lock()
	if b != nil {
		e.committed(b, ops...)
	} else {
		withoutBlock(units, e.log.next)
	}
	s := settled{units: units, visible: e.log.next}
	writing := e.writing
	e.inBlock, e.writing = nil, nil
	e.mu.Unlock()
	close(writing)
	return s
}

// withoutBlock gives barriers their positions when no block was written.
func withoutBlock(units []pending, next uint64) {
	for i := range units {
		if units[i].err == nil {
			units[i].position = message.Position{Block: next}
		}
	}
}

// committed notes a block that is on disk, with its ops. The caller holds mu.
func (e *Engine) committed(b *block, ops ...[]storage.Op) {
	before := e.overlay.bytes()
	for _, some := range ops {
		e.overlay.put(some)
	}
	e.log.disk = b.disk
	e.log.unkept += b.bytes
	e.claims.permitted = max(e.claims.permitted, b.header.tokens)
	if len(b.records) > 0 {
		e.log.next = b.header.seq + 1
		e.log.end = b.header.start + b.bytes
		e.recent.add(b, e.options.RecentBytes)
	}
	e.index.add(point{disk: b.disk, after: e.log.next})
	if e.log.end-e.summaries.upTo.Load() >= e.options.summaryStep {
		signal(e.summaries.wake)
	}
	if after := e.overlay.bytes(); after > before {
		signal(e.dirty)
		if after > overlayUrgent {
			signal(e.urgent)
		}
	}
	if e.log.unkept > e.options.CheckpointBytes || e.options.LogMaxBytes > 0 && e.log.end-e.log.start > e.options.LogMaxBytes {
		signal(e.keep)
	}
}

// signal wakes who waits on a channel with room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
