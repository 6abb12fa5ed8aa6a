package badger

// settled is a block's units with their outcomes.
type settled struct {
	units   []pending
	visible uint64    // tails may see blocks below this sequence afterwards
	used    []pending // the queue that the units were in, if these were its last
}

// release is the releaser: it tells of commits, in order. It ends when the committer has.
func (e *Engine) release() {
	defer e.front.Done()
	for s := range e.done {
		var size int64
		for i := range s.units {
			size += s.units[i].bytes
		}
		e.queueMu.Lock()
		e.queueBytes -= size
		e.queueMu.Unlock()
		if e.options.Watch.Releasing != nil {
			e.options.Watch.Releasing()
		}
		for i := range s.units {
			s.units[i].done(s.units[i].position, s.units[i].err)
		}
		e.show(s.visible)
		e.reuse(s.used)
	}
}

// show lets the tails see blocks below a sequence.
func (e *Engine) show(visible uint64) {
	e.mu.Lock()
	changed := e.visible != visible
	e.visible = visible
	e.mu.Unlock()
	if changed {
		e.moved.Broadcast()
	}
}

// reuse makes a used-up queue the next one's memory, unless it was for a burst.
func (e *Engine) reuse(used []pending) {
	if used == nil {
		return
	}
	burst := cap(used) > 8192 && len(used) < cap(used)/8
	clear(used) // so that nothing that was committed is kept alive
	if burst {
		return
	}
	e.queueMu.Lock()
	defer e.queueMu.Unlock()
	if e.spare == nil {
		e.spare = used[:0]
	}
}
