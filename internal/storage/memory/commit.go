package memory

import (
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// run is the committer. It ends when closing is set and the queue is empty.
func (e *Engine) run() {
	defer close(e.committed)
	var spare []pending
	for {
		batch := e.take(spare)
		if len(batch) == 0 {
			return
		}
		for rest := batch; len(rest) > 0; {
			n := e.blockLen(rest)
			e.commit(rest[:n])
			rest = rest[n:]
		}
		clear(batch) // so that nothing that was forgotten is kept alive
		spare = batch[:0]
		if cap(spare) > 8192 && len(batch) < cap(spare)/8 {
			spare = nil // a burst is over
		}
	}
}

// take waits for units and returns all there are, leaving spare as the queue's next buffer. None: the engine closes.
func (e *Engine) take(spare []pending) []pending {
	e.queueMu.Lock()
	defer e.queueMu.Unlock()
	for len(e.queue) == 0 && !e.closing {
		e.idle = true
		e.queued.Wait()
	}
	e.idle = false
	batch := e.queue
	e.queue = spare
	return batch
}

// blockLen returns how many of the units make the next block: at least one.
func (e *Engine) blockLen(units []pending) int {
	size := units[0].bytes
	for i := 1; i < len(units); i++ {
		size += units[i].bytes
		if size > e.options.MaxBlockBytes {
			return i
		}
	}
	return len(units)
}

// commit makes one block of the units and tells everybody.
func (e *Engine) commit(units []pending) {
	e.mu.Lock()
	e.apply(units)
	visible := e.log.next()
	e.mu.Unlock()

	var size int64
	for i := range units {
		size += units[i].bytes
	}
	e.queueMu.Lock()
	e.queueBytes -= size
	e.queueMu.Unlock()

	if e.options.Watch.Releasing != nil {
		e.options.Watch.Releasing()
	}
	for i := range units {
		units[i].done(units[i].position, units[i].err)
	}
	e.release(visible)
}

// release lets the tails see blocks below the sequence.
func (e *Engine) release(visible uint64) {
	e.mu.Lock()
	changed := e.visible != visible
	e.visible = visible
	e.mu.Unlock()
	if changed {
		e.released.Broadcast()
	}
}

// apply takes the units into the store and the log, and notes what became of each. The caller holds mu: a claim is
// either before all of a block or after it.
func (e *Engine) apply(units []pending) {
	sequence := e.log.next()
	count, room := 0, e.room()
	for i := range units {
		p := &units[i]
		p.err = e.refuse(&p.unit, &room)
		if p.err != nil {
			continue
		}
		p.position = message.Position{Block: sequence, Index: uint32(count)}
		count += len(p.unit.Records)
	}
	records := make([]storage.Record, 0, count)
	for i := range units {
		p := &units[i]
		if p.err != nil {
			continue
		}
		if len(p.unit.Records) == 0 && count > 0 && int(p.position.Index) == count {
			p.position = message.Position{Block: sequence + 1} // the next record starts the next block
		}
		records = append(records, p.unit.Records...)
		e.applyOps(p.unit.Ops)
	}
	if count > 0 {
		e.log.append(records)
		e.forgetOldest()
	}
}

// refuse says why a unit must not commit, and otherwise takes its records off the room that the log has left.
func (e *Engine) refuse(u *storage.Unit, room *int64) error {
	if u.Fence != 0 && u.Fence < e.claims.newest(u.ClientID) {
		return storage.ErrFenced
	}
	if len(u.Records) == 0 || !e.options.LogLimitRejects {
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
func (e *Engine) room() int64 { return e.options.LogRejectBytes - e.log.bytes() }

func (e *Engine) applyOps(ops []storage.Op) {
	for _, op := range ops {
		if op.Value == nil {
			e.kv.Delete(string(op.Key))
		} else {
			e.kv.Set(string(op.Key), op.Value)
		}
	}
}

// forgetOldest keeps the log within LogMaxBytes, and its newest block in any case.
func (e *Engine) forgetOldest() {
	if e.options.LogMaxBytes <= 0 {
		return
	}
	before := e.log.first
	for e.log.bytes() > e.options.LogMaxBytes && e.log.first+1 < e.log.next() {
		e.log.first++
	}
	if e.log.first != before {
		e.free()
	}
}
