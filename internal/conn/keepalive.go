package conn

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// tick is the resolution of keep alive: a silent connection is closed at most two ticks late, and never early.
const tick = 500 * time.Millisecond

// chunkSlots is how many connections share an array of deadlines.
const chunkSlots = 1024

// KeepAlive closes connections that were silent for too long. Its deadlines lie side by side, so that a look at a
// million of them takes a fraction of a millisecond, and a packet that arrives costs one store.
type KeepAlive struct {
	now  atomic.Uint32 // ticks since start
	stop chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex // guards what follows, not the deadlines
	chunks []*chunk
	free   []slotRef
}

type chunk struct {
	deadline [chunkSlots]atomic.Uint32 // in ticks; 0: none
	conns    [chunkSlots]atomic.Pointer[Conn]
}

type slotRef struct {
	chunk *chunk
	i     int
}

// slot is a connection's place among the deadlines. The zero slot is nowhere.
type slot struct {
	k       *KeepAlive
	ref     slotRef
	allowed atomic.Uint32 // ticks of silence; 0: any
}

// NewKeepAlive starts the goroutine that looks for silent connections. Stop ends it.
func NewKeepAlive() *KeepAlive {
	k := &KeepAlive{stop: make(chan struct{})}
	k.now.Store(1)
	k.wg.Go(k.run)
	return k
}

// Stop ends the goroutine.
func (k *KeepAlive) Stop() {
	close(k.stop)
	k.wg.Wait()
}

func (k *KeepAlive) run() {
	t := time.NewTicker(tick)
	defer t.Stop()
	start := time.Now()
	for {
		select {
		case <-k.stop:
			return
		case at := <-t.C:
			k.now.Store(uint32(at.Sub(start)/tick) + 1)
			k.scan()
		}
	}
}

// scan closes what is overdue. A connection that the server itself suspended is not blamed for its silence, unless that
// is because its client does not read.
func (k *KeepAlive) scan() {
	k.mu.Lock()
	chunks := k.chunks
	k.mu.Unlock()
	now := k.now.Load()
	for _, ch := range chunks {
		for i := range ch.deadline {
			d := ch.deadline[i].Load()
			if d == 0 || d > now {
				continue
			}
			c := ch.conns[i].Load()
			if c == nil || ch.deadline[i].Load() != d { // the place was given to another meanwhile
				continue
			}
			if c.IsSuspended() && c.isAccepted() && !c.refusesToRead() {
				ch.deadline[i].CompareAndSwap(d, now+2)
				continue
			}
			if ch.deadline[i].CompareAndSwap(d, 0) { // or it has spoken meanwhile
				c.Close(mqtt.KeepAliveTimeout, "no packet within one and a half times the keep alive")
			}
		}
	}
}

// add gives the connection a place.
func (s *slot) add(k *KeepAlive, c *Conn) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.free) == 0 {
		ch := new(chunk)
		k.chunks = append(k.chunks[:len(k.chunks):len(k.chunks)], ch)
		for i := chunkSlots - 1; i >= 0; i-- {
			k.free = append(k.free, slotRef{ch, i})
		}
	}
	s.k, s.ref = k, k.free[len(k.free)-1]
	k.free = k.free[:len(k.free)-1]
	s.ref.chunk.conns[s.ref.i].Store(c)
}

// set says how long the connection may be silent, from now on; 0: for ever.
func (s *slot) set(silence time.Duration) {
	if s.k == nil {
		return
	}
	ticks := uint32(0)
	if silence > 0 {
		ticks = uint32((silence+tick-1)/tick) + 1
	}
	s.allowed.Store(ticks)
	s.touch()
}

// touch notes that a packet came.
func (s *slot) touch() {
	if s.k == nil {
		return
	}
	deadline := uint32(0)
	if allowed := s.allowed.Load(); allowed > 0 {
		deadline = s.k.now.Load() + allowed
	}
	s.ref.chunk.deadline[s.ref.i].Store(deadline)
}

// remove gives the place back.
func (s *slot) remove() {
	if s.k == nil {
		return
	}
	s.allowed.Store(0)
	s.ref.chunk.deadline[s.ref.i].Store(0)
	s.ref.chunk.conns[s.ref.i].Store(nil)
	s.k.mu.Lock()
	s.k.free = append(s.k.free, s.ref)
	s.k.mu.Unlock()
}
