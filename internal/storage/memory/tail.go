package memory

import (
	"sync"
	"sync/atomic"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// tailBatch is how many blocks a tail takes at once.
const tailBatch = 32

// tail is one caller of Tail: a goroutine with a cursor into the log.
type tail struct {
	engine  *Engine
	fn      func(storage.Block)
	ended   chan struct{}
	stopped atomic.Bool

	next uint64 // guarded by engine.mu: the first block that fn has not returned from
}

// Tail implements storage.Engine. A tail from a position that was trimmed starts with the first block that is left.
func (e *Engine) Tail(lane storage.Lane, from message.Position, fn func(storage.Block)) (stop func()) {
	if checkLane(lane) != nil {
		return func() {}
	}
	t := &tail{engine: e, fn: fn, ended: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return func() {}
	}
	t.next = max(from.Block, e.log.first)
	e.tails[t] = struct{}{}
	go t.run()
	return sync.OnceFunc(t.stop)
}

func (t *tail) stop() {
	t.engine.mu.Lock()
	t.stopped.Store(true)
	t.engine.mu.Unlock()
	t.engine.released.Broadcast()
	<-t.ended
}

func (t *tail) run() {
	defer close(t.ended)
	defer t.leave()
	blocks := make([]storage.Block, 0, tailBatch)
	for {
		blocks = t.take(blocks)
		if len(blocks) == 0 {
			return
		}
		for _, b := range blocks {
			if t.stopped.Load() {
				return
			}
			t.fn(b)
		}
	}
}

// take gives back the blocks that were consumed and waits for more. None: the tail ends.
func (t *tail) take(consumed []storage.Block) []storage.Block {
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	t.next += uint64(len(consumed))
	clear(consumed)
	blocks := consumed[:0]
	e.free()
	for t.next >= e.visible && !e.draining && !t.stopped.Load() {
		e.released.Wait()
	}
	if t.stopped.Load() {
		return nil
	}
	for sequence := t.next; sequence < e.visible && len(blocks) < tailBatch; sequence++ {
		blocks = append(blocks, e.log.block(sequence))
	}
	return blocks
}

func (t *tail) leave() {
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.tails, t)
	e.free()
}

// free lets go of forgotten blocks that no tail needs. The caller holds mu.
func (e *Engine) free() {
	if e.log.base < e.log.first {
		needed := e.log.first
		for t := range e.tails {
			needed = min(needed, t.next)
		}
		e.log.free(needed)
	}
	e.held.Store(e.log.heldBytes())
}

// drainTails waits until every tail has had all blocks.
func (e *Engine) drainTails() {
	e.mu.Lock()
	e.draining = true
	tails := make([]*tail, 0, len(e.tails))
	for t := range e.tails {
		tails = append(tails, t)
	}
	e.mu.Unlock()
	e.released.Broadcast()
	for _, t := range tails {
		<-t.ended
	}
}
