package conn

import (
	"sync"
	"sync/atomic"
	"time"
)

// Memory is the budget of bytes that all connections and sessions have for what waits in them. Past it publishers are
// paused, so that they are slowed rather than memory grown. A nil Memory has no limit, and counts nothing.
type Memory struct {
	limit int64
	used  atomic.Int64

	mu     sync.Mutex // guards what follows
	paused []*Conn
	timer  *time.Timer // while any is paused
}

// LittleBytes is what a holder may have even when the budget is overdrawn.
const LittleBytes = 64 << 10

const (
	// memoryStep is the change that is worth counting.
	memoryStep = 2 << 10
	// pauseMax is how long a publisher is paused for one message. It gets on then, so that clients whose own
	// acknowledgements wait behind their messages are not stuck for ever.
	pauseMax = time.Second
)

// NewMemory returns a budget; 0 bytes: nil, no limit.
func NewMemory(limitBytes int64) *Memory {
	if limitBytes <= 0 {
		return nil
	}
	return &Memory{limit: limitBytes}
}

// Used returns the bytes that are counted now.
func (m *Memory) Used() int64 {
	if m == nil {
		return 0
	}
	return m.used.Load()
}

// Note changes what one holder counts for, noted, to bytes. Small changes wait for larger ones, but nothing is left of
// what comes to 0. The caller serialises the calls for one holder.
func (m *Memory) Note(noted *int64, bytes int64) {
	if m == nil {
		return
	}
	change := bytes - *noted
	if change == 0 || bytes != 0 && change < memoryStep && change > -memoryStep {
		return
	}
	*noted = bytes
	before := m.used.Add(change) - change
	if low := m.limit / 8 * 7; before >= low && before+change < low {
		go m.resume() // not under the caller's locks
	}
}

// High reports whether seven eighths of the budget are spent: no new clients then.
func (m *Memory) High() bool { return m != nil && m.used.Load() >= m.limit/8*7 }

// Tight reports whether fifteen sixteenths are spent: nothing that was promised to nobody is to wait in memory then.
func (m *Memory) Tight() bool { return m != nil && m.used.Load() >= m.limit/16*15 }

// Full reports whether the budget is spent.
func (m *Memory) Full() bool { return m != nil && m.used.Load() >= m.limit }

// Overdrawn reports whether it is spent and an eighth more, in spite of the pauses: then whoever holds much gets nothing
// new.
func (m *Memory) Overdrawn() bool { return m != nil && m.used.Load() >= m.limit/8*9 }

// Pause suspends a connection until there is room again, at most for pauseMax. Its port calls it while it handles a
// packet.
func (m *Memory) Pause(c *Conn) {
	c.Suspend()
	m.mu.Lock()
	m.paused = append(m.paused, c)
	if m.timer == nil {
		m.timer = time.AfterFunc(pauseMax, m.resume)
	}
	m.mu.Unlock()
	if m.used.Load() < m.limit/8*7 { // it got room meanwhile
		m.resume()
	}
}

func (m *Memory) resume() {
	m.mu.Lock()
	paused := m.paused
	m.paused = nil
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
	m.mu.Unlock()
	for _, c := range paused {
		c.Resume()
	}
}

// Stop lets all go on.
func (m *Memory) Stop() {
	if m != nil {
		m.resume()
	}
}

// HeldBytes is what waits for the connection's socket, and what its client has sent of a packet that is not complete.
func (c *Conn) HeldBytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(len(c.buf)+c.writing) + c.inHeld.Load()
}
