package conn

import (
	"slices"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// Batch is one turn of work: what one read brought, one block of the log, one catch-up. It remembers which connections
// have something to say, so that each is written once at the end, and counts without touching shared counters. A
// Batch belongs to one goroutine.
type Batch struct {
	Now time.Time

	dirty []*Conn
	atEnd []Ender

	// Packets that are decoded again and again.
	publish mqtt.Publish
	puback  mqtt.Puback
	pubrec  mqtt.Pubrec
	pubrel  mqtt.Pubrel
	pubcomp mqtt.Pubcomp

	metrics.Tally
}

// NewBatch begins a turn.
func NewBatch() *Batch { return &Batch{Now: time.Now()} }

// Ender has something to do at the end of a turn, once for all that the turn brought.
type Ender interface {
	// EndBatch is called without locks, before the connections are written.
	EndBatch(b *Batch)
}

// AtEnd has e called at the end of the turn. Locks may be held.
func (b *Batch) AtEnd(e Ender) {
	if !slices.Contains(b.atEnd, e) {
		b.atEnd = append(b.atEnd, e)
	}
}

// Flush ends the turn: it writes what the connections have to say, as far as their sockets take it at once, and adds up
// the counts. No lock may be held.
func (b *Batch) Flush(m *metrics.Metrics) {
	b.end()
	for i := 0; i < len(b.dirty); i++ { // a flush may make others dirty
		c := b.dirty[i]
		b.dirty[i] = nil
		c.flush(b)
		b.end()
	}
	b.dirty = b.dirty[:0]
	m.Add(&b.Tally)
}

// FlushSoon ends the turn of somebody who is not to write, such as the committer: the flusher does.
func (b *Batch) FlushSoon(f *Flusher) {
	b.end()
	f.addAll(b.dirty)
	clear(b.dirty)
	b.dirty = b.dirty[:0]
	f.metrics.Add(&b.Tally)
}

// end calls who is to be called at the end of the turn.
func (b *Batch) end() {
	for len(b.atEnd) > 0 {
		last := len(b.atEnd) - 1
		e := b.atEnd[last]
		b.atEnd[last] = nil
		b.atEnd = b.atEnd[:last]
		e.EndBatch(b)
	}
}

// Flusher writes what becomes due outside a batch, such as acknowledgements after a commit, so that whoever made it due
// (the committer, for one) never waits for a socket.
type Flusher struct {
	metrics *metrics.Metrics
	mu      sync.Mutex
	wake    sync.Cond
	queue   []*Conn
	stopped bool
	wg      sync.WaitGroup
}

// NewFlusher starts n goroutines that write.
func NewFlusher(n int, m *metrics.Metrics) *Flusher {
	f := &Flusher{metrics: m}
	f.wake.L = &f.mu
	for range n {
		f.wg.Go(f.run)
	}
	return f
}

// add lists a connection. Its dirty flag keeps it from being listed twice.
func (f *Flusher) add(c *Conn) {
	f.mu.Lock()
	f.queue = append(f.queue, c)
	f.mu.Unlock()
	f.wake.Signal()
}

// addAll lists connections whose dirty flag is set.
func (f *Flusher) addAll(cs []*Conn) {
	if len(cs) == 0 {
		return
	}
	f.mu.Lock()
	f.queue = append(f.queue, cs...)
	f.mu.Unlock()
	f.wake.Broadcast()
}

// run takes a share of the queue at a time, so that what piles up during a write is written in one go.
func (f *Flusher) run() {
	b := NewBatch()
	for {
		f.mu.Lock()
		for len(f.queue) == 0 && !f.stopped {
			f.wake.Wait()
		}
		if len(f.queue) == 0 {
			f.mu.Unlock()
			return
		}
		n := min(len(f.queue), 64)
		b.dirty = append(b.dirty[:0], f.queue[:n]...)
		rest := copy(f.queue, f.queue[n:])
		clear(f.queue[rest:])
		f.queue = f.queue[:rest]
		f.mu.Unlock()
		b.Now = time.Now()
		b.Flush(f.metrics)
	}
}

// Stop writes what is listed and ends the goroutines.
func (f *Flusher) Stop() {
	f.mu.Lock()
	f.stopped = true
	f.mu.Unlock()
	f.wake.Broadcast()
	f.wg.Wait()
}

// FlushWith has the connection's output written with a batch.
func (c *Conn) FlushWith(b *Batch) {
	c.mu.Lock()
	c.mark(b)
	c.mu.Unlock()
}

// FlushSoon has the flusher write what the connection has to say.
func (c *Conn) FlushSoon() {
	c.mu.Lock()
	c.flushSoonLocked()
	c.mu.Unlock()
}

func (c *Conn) flushSoonLocked() {
	if !c.dirty {
		c.dirty = true
		c.opts.Flusher.add(c)
	}
}
