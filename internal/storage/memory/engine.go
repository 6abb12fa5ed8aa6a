// Package memory is the storage engine that keeps everything in memory: nothing survives the process, and what is
// committed is as durable as the process is.
//
// Units are queued by Submit and committed by one goroutine, which takes all that was queued since it last looked and
// makes blocks of it. A commit is: check fences and the log's limit, apply the ops, append the records to the log, all
// of it under one lock; then the done callbacks, in order; then the tails may see the block.
//
// Three things grow, and each has its bound: the queue (Options.MaxQueueBytes), the log (Options.LogMaxBytes, Trim),
// and blocks that are forgotten by the log while a tail has yet to see them. Those are held for the tail, and when they
// pass MaxQueueBytes, Submit refuses units with records with ErrBusy until the tail has caught up: commits never wait
// for a tail, but publishers do, rather than that a block is lost to it.
package memory

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// Options are the engine's limits.
type Options struct {
	MaxQueueBytes int64 // submitted and not yet committed; 0: 64 MiB
	MaxBlockBytes int64 // a block has no more, unless one unit has; 0: 256 KiB
	// LogMaxBytes is how much the log remembers: past it the oldest blocks are forgotten. 0: no limit.
	LogMaxBytes int64
	// LogLimitRejects refuses units with records with ErrFull where the log would pass LogRejectBytes.
	LogLimitRejects bool
	LogRejectBytes  int64
	Watch           storage.Watch // of it, Releasing
}

const (
	defaultQueueBytes = 64 << 20
	defaultBlockBytes = 256 << 10
)

func (o Options) withDefaults() Options {
	if o.MaxQueueBytes <= 0 {
		o.MaxQueueBytes = defaultQueueBytes
	}
	if o.MaxBlockBytes <= 0 {
		o.MaxBlockBytes = defaultBlockBytes
	}
	return o
}

// Engine is a storage.Engine in memory. Make it with New or Restore.
//
// No goroutine holds queueMu and mu at once.
type Engine struct {
	// Static after construction.
	options   Options
	committed chan struct{} // closed when the committer has ended
	closed    chan struct{} // closed when Close is done
	closeOnce sync.Once

	// held is the size of the blocks that are kept for tails only.
	held atomic.Int64

	// Guarded by queueMu.
	queueMu    sync.Mutex
	queued     *sync.Cond // on queueMu: something was queued, or closing was set
	queue      []pending
	queueBytes int64
	idle       bool // the committer waits on queued
	closing    bool

	// Guarded by mu.
	mu       sync.RWMutex
	released *sync.Cond // on mu: visible moved, or a tail is to end
	kv       btree.Map[string, []byte]
	log      blockLog
	claims   claims
	tails    map[*tail]struct{}
	visible  uint64 // tails may see blocks below this sequence
	draining bool   // no more blocks will come; tails end at the log's end
	gone     bool   // closed: reads fail
}

var _ storage.Engine = (*Engine)(nil)

// pending is a unit in the queue and, once it was applied, its outcome.
type pending struct {
	unit     storage.Unit
	done     func(message.Position, error)
	bytes    int64
	position message.Position
	err      error
}

// New starts an empty engine. Close ends it.
func New(o Options) *Engine {
	e := newEngine(o)
	go e.run()
	return e
}

func newEngine(o Options) *Engine {
	e := &Engine{
		options:   o.withDefaults(),
		committed: make(chan struct{}),
		closed:    make(chan struct{}),
		log:       blockLog{base: 1, first: 1},
		claims:    claims{limit: claimsKept},
		tails:     make(map[*tail]struct{}),
		visible:   1,
	}
	e.queued = sync.NewCond(&e.queueMu)
	e.released = sync.NewCond(&e.mu)
	return e
}

// Submit implements storage.Engine. A unit larger than the whole queue is taken when the queue is empty.
func (e *Engine) Submit(lane storage.Lane, u storage.Unit, done func(message.Position, error)) error {
	if err := checkLane(lane); err != nil {
		return err
	}
	if len(u.Records) > 0 && e.held.Load() > e.options.MaxQueueBytes {
		return storage.ErrBusy
	}
	size := unitBytes(&u)
	e.queueMu.Lock()
	if e.closing {
		e.queueMu.Unlock()
		return storage.ErrClosed
	}
	if e.queueBytes > 0 && e.queueBytes+size > e.options.MaxQueueBytes {
		e.queueMu.Unlock()
		return storage.ErrBusy
	}
	e.queueBytes += size
	e.queue = append(e.queue, pending{unit: u, done: done, bytes: size})
	wake := e.idle
	e.idle = false
	e.queueMu.Unlock()
	if wake {
		e.queued.Signal()
	}
	return nil
}

// Health implements storage.Engine.
func (e *Engine) Health() storage.Health {
	e.queueMu.Lock()
	queueBytes := e.queueBytes
	e.queueMu.Unlock()
	e.mu.RLock()
	defer e.mu.RUnlock()
	h := storage.Health{
		LogBytes:   e.log.bytes(),
		Blocks:     int64(e.log.next() - e.log.first),
		First:      message.Position{Block: e.log.first},
		Next:       message.Position{Block: e.log.next()},
		QueueBytes: queueBytes,
	}
	if e.gone {
		h.Err = storage.ErrClosed
	}
	return h
}

// Close implements storage.Engine. It waits for the callbacks that are left, so it must not be called from one.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() {
		e.queueMu.Lock()
		e.closing = true
		e.queueMu.Unlock()
		e.queued.Signal()
		<-e.committed
		e.drainTails()
		e.mu.Lock()
		e.gone = true
		e.mu.Unlock()
		close(e.closed)
	})
	<-e.closed
	return nil
}

func checkLane(lane storage.Lane) error {
	if lane != 0 {
		return fmt.Errorf("storage: no lane %d", lane)
	}
	return nil
}

// What a unit, a record and an op take besides their bytes: the structs, a message and its share of the B-tree.
const (
	unitOverhead   = 128
	recordOverhead = 176
	opOverhead     = 64
)

func unitBytes(u *storage.Unit) int64 {
	size := int64(unitOverhead) + recordsBytes(u.Records)
	for i := range u.Ops {
		size += int64(opOverhead + len(u.Ops[i].Key) + len(u.Ops[i].Value))
	}
	return size
}

func recordsBytes(records []storage.Record) int64 {
	var size int64
	for i := range records {
		m := records[i].Message
		size += int64(recordOverhead + len(m.Topic) + len(m.Payload) + len(m.Properties) + len(m.ClientID) + len(m.Username))
	}
	return size
}
