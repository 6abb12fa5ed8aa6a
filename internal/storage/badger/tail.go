package badger

import (
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// tail is one caller of Tail: a goroutine with a cursor into the log.
type tail struct {
	engine  *Engine
	fn      func(storage.Block)
	ended   chan struct{}
	stopped chan struct{}
	once    sync.Once

	// Guarded by engine.mu.
	next  uint64 // the first block that fn has not returned from
	start int64  // the size of all blocks before it, or less
}

// Tail implements storage.Engine. A tail from a position that was trimmed starts with the first block that is left.
func (e *Engine) Tail(lane storage.Lane, from message.Position, fn func(storage.Block)) (stop func()) {
	if checkLane(lane) != nil {
		return func() {}
	}
	t := &tail{engine: e, fn: fn, ended: make(chan struct{}), stopped: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return func() {}
	}
	t.next, t.start = max(from.Block, e.log.first), e.log.start
	e.tails[t] = struct{}{}
	go t.run()
	return t.stop
}

func (t *tail) stop() {
	t.once.Do(func() {
		t.engine.mu.Lock()
		close(t.stopped)
		t.engine.mu.Unlock()
		t.engine.moved.Broadcast()
	})
	<-t.ended
}

func (t *tail) isStopped() bool {
	select {
	case <-t.stopped:
		return true
	default:
		return false
	}
}

func (t *tail) run() {
	defer close(t.ended)
	defer t.leave()
	for {
		b := t.take()
		if b == nil || t.isStopped() {
			return
		}
		t.fn(storage.Block{Seq: b.header.seq, Records: b.records})
		t.advance(b)
	}
}

// take waits for the next block. Nil: the tail ends.
func (t *tail) take() *block {
	e := t.engine
	for {
		visible, ok := t.wait()
		if !ok {
			return nil
		}
		b, err := e.load(t.next) // only this goroutine changes next
		switch {
		case err != nil:
			e.logger.Error("a tail cannot read the log", "block", t.next, "error", err)
			if !t.pause() {
				return nil
			}
		case b == nil || b.header.seq >= visible:
			t.moveTo(visible) // sequences were left out
		default:
			return b
		}
	}
}

// wait waits until the next block may be seen. False: the tail ends.
func (t *tail) wait() (visible uint64, ok bool) {
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	for t.next >= e.visible && !e.draining && !t.isStopped() {
		e.moved.Wait()
	}
	return e.visible, t.next < e.visible && !t.isStopped()
}

// pause waits before reading is tried again. False: the tail ends.
func (t *tail) pause() bool {
	timer := time.NewTimer(retryDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.stopped:
		return false
	case <-t.engine.ending:
		return false
	}
}

func (t *tail) moveTo(next uint64) {
	t.engine.mu.Lock()
	defer t.engine.mu.Unlock()
	t.next = next
}

func (t *tail) advance(b *block) {
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	t.next, t.start = b.header.seq+1, b.header.start+b.bytes
	e.countHeld()
}

func (t *tail) leave() {
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.tails, t)
	e.countHeld()
}

// countHeld counts the bytes that are kept for tails only: a tail that needs nothing that was trimmed holds nothing,
// however long ago it moved. The caller holds mu.
func (e *Engine) countHeld() {
	oldest := e.log.start
	for t := range e.tails {
		if t.next < e.log.first {
			oldest = min(oldest, t.start)
		}
	}
	e.held.Store(e.log.start - oldest)
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
	e.moved.Broadcast()
	for _, t := range tails {
		<-t.ended
	}
}
