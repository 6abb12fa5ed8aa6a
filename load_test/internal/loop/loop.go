// Package loop drives many MQTT clients with few goroutines, so that the generator costs less than the broker that it
// loads: one event loop waits for any number of plain sockets, reads into one buffer, and writes what a round of events
// brought once for each connection. TLS and WebSocket connections have a goroutine each that reads; they share
// everything else.
//
// All that belongs to a Loop's clients is touched under its lock: by handlers, which are called with it, and in Do.
package loop

import (
	"math"
	"sync"
	"time"
)

// Never is the time of a tick that does not come.
const Never = math.MaxInt64

var base = time.Now()

// Now is the generator's clock: nanoseconds since the program started, never set back.
func Now() int64 { return int64(time.Since(base)) }

// readBytes is how much a loop reads at a time.
const readBytes = 128 << 10

// pingEvery is how often all clients send PINGREQ; KeepAlive, twice as long with some air, is what they promise.
const (
	pingEvery = int64(100 * time.Second)
	KeepAlive = 300
)

// Ticker has work to do at the end of rounds and at times of its own.
type Ticker interface {
	// Tick is called at the end of each round of events, and at the time that its last call returned.
	Tick(now int64) (next int64)
}

// Loop drives clients.
type Loop struct {
	poll *poller
	wg   sync.WaitGroup

	inboxMu sync.Mutex
	inbox   []func()

	mu       sync.Mutex // guards what follows, and the clients
	ticker   Ticker
	nextTick int64
	nextPing int64
	now      int64 // when the loop last looked at the clock
	rounds   uint64
	nap      time.Duration // between a round of events and the next
	buf      []byte
	dirty    []*Client
	clients  map[*Client]struct{} // that are open
	spare    [][]byte             // buffers for output
	stopped  bool
}

// New starts a loop. Stop ends it.
func New() (*Loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &Loop{poll: p, nextTick: Never, nextPing: Now() + pingEvery, buf: make([]byte, readBytes), clients: make(map[*Client]struct{})}
	l.wg.Go(l.run)
	return l, nil
}

// Stop closes all clients without a word, and ends the loop.
func (l *Loop) Stop() {
	l.mu.Lock()
	l.stopped = true
	l.ticker = nil
	for c := range l.clients {
		c.close(nil)
	}
	l.mu.Unlock()
	l.poll.wake()
	l.wg.Wait()
	l.poll.close()
}

// Do calls f, which may touch the loop's clients, as if it were a round of events.
func (l *Loop) Do(f func(now int64)) {
	l.mu.Lock()
	l.now = Now()
	l.rounds++
	f(l.now)
	l.endRound()
	l.mu.Unlock()
	l.poll.wake() // the next tick may have come nearer
}

// Post has the loop call f in one of its next rounds. It may be called with another loop's lock held.
func (l *Loop) Post(f func()) {
	l.inboxMu.Lock()
	first := len(l.inbox) == 0
	l.inbox = append(l.inbox, f)
	l.inboxMu.Unlock()
	if first {
		l.poll.wake()
	}
}

// SetTicker sets what is called at the end of rounds; nil: nothing. Call it in Do.
func (l *Loop) SetTicker(t Ticker) { l.ticker, l.nextTick = t, Never }

// SetNap has the loop sleep after each round of events, as a network card does that gathers packets before it interrupts.
// Without it, a generator that is faster than the broker is asleep whenever the broker writes, and the broker pays for
// waking it up again and again: on one machine that can be most of what is measured. Call it in Do.
func (l *Loop) SetNap(d time.Duration) { l.nap = d }

// Time returns the time of what is handled now: when it was read.
func (l *Loop) Time() int64 { return l.now }

func (l *Loop) run() {
	l.poll.start()
	n := 0
	for {
		l.mu.Lock()
		until, nap := min(l.nextTick, l.nextPing), l.nap
		l.mu.Unlock()
		if n > 0 && nap > 0 {
			l.poll.sleep(nap)
		}
		n = l.poll.wait(until)
		l.mu.Lock()
		if l.stopped {
			l.mu.Unlock()
			return
		}
		l.rounds++
		l.poll.serve(l, n)
		l.endRound()
		l.mu.Unlock()
	}
}

// endRound does what is to do after events: calls from other loops, the ticker, pings, and one write for each client
// that has something to send.
func (l *Loop) endRound() {
	l.inboxMu.Lock()
	inbox := l.inbox
	l.inbox = nil
	l.inboxMu.Unlock()
	for _, f := range inbox {
		f()
	}
	l.now = Now()
	if l.ticker != nil {
		l.nextTick = l.ticker.Tick(l.now)
	}
	if l.now >= l.nextPing {
		l.nextPing = l.now + pingEvery
		for c := range l.clients {
			c.ping()
		}
	}
	for i := 0; i < len(l.dirty); i++ { // a flush may make others dirty
		c := l.dirty[i]
		l.dirty[i] = nil
		c.dirty = false
		c.Flush()
	}
	l.dirty = l.dirty[:0]
}

// outBytes is the capacity of a spare buffer; longer ones are left to the collector.
const outBytes = 32 << 10

func (l *Loop) newBuffer() []byte {
	if n := len(l.spare); n > 0 {
		b := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return b
	}
	return make([]byte, 0, outBytes)
}

func (l *Loop) freeBuffer(b []byte) {
	if cap(b) <= 8*outBytes && len(l.spare) < 1024 {
		l.spare = append(l.spare, b[:0])
	}
}
