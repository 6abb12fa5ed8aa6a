// Package badger is the storage engine that keeps everything on disk: the log in segment files of package wal, and what
// is looked up in Badger.
//
// Units are queued by Submit. One goroutine, the committer, takes what was queued while the block before was written,
// makes one block of it and appends it to the log on disk. The block carries the ops of its units too, so the log is
// the truth, and a block that was appended is committed: its ops go into an overlay in memory, where Get and Scan see
// them. Then a second goroutine, the releaser, calls the done callbacks in order and lets the tails see the block,
// while the committer writes the next one.
//
// A third, the applier, moves the overlay into Badger in few large transactions; a key that changed a hundred times
// meanwhile is written once. A fourth, the keeper, syncs Badger from time to time, which is a checkpoint: the log before
// it is no longer needed for the state, and goes as soon as it was trimmed too. Opening replays the ops after the last
// checkpoint. Replaying an op twice, or from further back, does no harm, as long as replaying goes on to the end.
//
// Sequences of blocks that readers see count blocks with records only; the log on disk counts all. The index finds the
// one from the other.
//
// What is bounded: the queue and what waits for its callbacks (Options.MaxQueueBytes), the overlay (the committer waits
// for the applier), blocks in memory (recent and decoded ones), the log (Options.LogMaxBytes, Trim), and blocks that
// were trimmed but kept for a slow tail (Submit is busy).
package badger

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/vfs"
	"github.com/barid-mqtt/barid/pkg/wal"
)

// Sync says what a block is before its units are done.
type Sync uint8

// The ways to sync.
const (
	SyncBlocks Sync = iota // on disk: it survives a power cut
	SyncKernel             // with the kernel, which writes it in its own time: it survives the end of the process
)

// Options say where an engine is and what its limits are. Dir is needed; the rest may be zero.
type Options struct {
	Dir string
	FS  vfs.FS // for all but Badger's files; nil: vfs.OS
	// Sync is when units are done.
	Sync          Sync
	MaxQueueBytes int64 // submitted and not yet done; 0: 64 MiB
	MaxBlockBytes int64 // a block has no more, unless one unit has; 0: 256 KiB
	SegmentBytes  int64 // size of a file of the log; 0: 32 MiB
	// LogMaxBytes is how much the log remembers: past it the oldest blocks are forgotten, soon. 0: no limit.
	LogMaxBytes int64
	// LogLimitRejects refuses units with records with ErrFull where the log would pass LogRejectBytes.
	LogLimitRejects bool
	LogRejectBytes  int64
	// ReserveBytes is the free space below which units with records are refused with ErrFull; below half of it all
	// units that change anything are. Badger needs the room. 0: 64 MiB, negative: none.
	ReserveBytes int64
	// CheckpointBytes is how much log may have to be replayed. 0: 64 MiB.
	CheckpointBytes int64
	// CacheBytes is the size of the blocks in memory that were read from disk, which readers who lag share, and
	// RecentBytes of the newest ones, for those who keep up. 0: 8 MiB each.
	CacheBytes, RecentBytes int64
	Logger                  *slog.Logger // nil: says nothing
	Watch                   storage.Watch

	runBytes, spanBytes, summaryStep int64 // as the constants, where tests want others

	took      *storage.Commit // how the block that the committer writes was written; nil: nobody asks
	state     string          // Badger's directory, where tests want another one
	keepPages bool            // pages of tables are not given back, where tests do that themselves
	stateSync func() error    // runs before a sync of it, which fails with its error; nil: nothing
}

func (o *Options) stateDir() string {
	if o.state != "" {
		return o.state
	}
	return filepath.Join(o.Dir, stateName)
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value   *int64
		initial int64
	}{
		{&o.MaxQueueBytes, 64 << 20}, {&o.MaxBlockBytes, 256 << 10}, {&o.SegmentBytes, 32 << 20},
		{&o.runBytes, runBytes}, {&o.spanBytes, spanBytes}, {&o.summaryStep, summaryStep},
		{&o.ReserveBytes, 64 << 20}, {&o.CheckpointBytes, 64 << 20}, {&o.CacheBytes, 8 << 20}, {&o.RecentBytes, 8 << 20},
	} {
		if *d.value == 0 {
			*d.value = d.initial
		}
	}
	o.ReserveBytes = max(o.ReserveBytes, 0)
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Engine is a storage.Engine on disk. Make it with Open.
//
// Lock order: checkpoints, use, keeping, applying, mu, then the leaves queueMu and the cache's own.
type Engine struct {
	// Static after construction.
	options   Options
	logger    *slog.Logger
	dir       *directory
	state     *state
	cache     *cache
	done      chan settled  // committer to releaser
	gathered  chan struct{} // the queue has as many units as wanted
	dirty     chan struct{} // the overlay has changes
	urgent    chan struct{} // the overlay is large
	keep      chan struct{} // something for the keeper
	ending    chan struct{} // closed: applier and keeper end
	closed    chan struct{} // closed when Close is done
	goroutine sync.WaitGroup
	front     sync.WaitGroup // committer and releaser
	closeOnce sync.Once
	closeErr  error

	// disk is the log on disk; nil while it could not be opened again.
	disk atomic.Pointer[wal.Log]
	// decoded counts the blocks that were read from disk and decoded.
	decoded atomic.Int64
	// reads counts the blocks that were read from disk for readers.
	reads atomic.Int64
	// held is the size of the blocks that were trimmed and are kept for tails only.
	held atomic.Int64
	// summaries answer which blocks a reader need not read.
	summaries summaries
	// use is held for reading by whoever uses Badger outside the applier and the keeper, and for writing to close it.
	use sync.RWMutex
	// keeping is held for reading by whoever needs all of the log on disk to stay.
	keeping sync.RWMutex

	// Guarded by applying.
	applying sync.Mutex
	target   meta // what the state has once the overlay's old changes are written
	applied  meta // what it has

	// Guarded by checkpoints, which makes them one at a time.
	checkpoints sync.Mutex
	renewAt     time.Time     // when a state that could not be synced is opened again at the earliest
	renewWait   time.Duration // and for how long that is put off if it fails

	free atomic.Int64 // what the disk had left when it was last looked at

	// Owned by the committer.
	buffer   []byte
	gather   gather
	nextUnit uint64
	retryAt  time.Time // when a poisoned log is opened again at the earliest

	// Guarded by queueMu.
	queueMu    sync.Mutex
	queued     *sync.Cond // on queueMu: something was queued, or closing was set
	queue      []pending
	spare      []pending // a used-up queue
	queueBytes int64
	idle       bool // the committer waits on queued
	wanted     int  // the committer waits for gathered until the queue has so many; 0: it does not
	closing    bool

	// Guarded by mu.
	mu       sync.RWMutex
	moved    *sync.Cond // on mu: visible moved, a tail is to end, or the overlay has room
	claims   claims
	inBlock  []pending     // the units that are being written
	writing  chan struct{} // closed when they are
	overlay  overlay
	log      position
	recent   recent
	index    index
	tails    map[*tail]struct{}
	visible  uint64 // tails may see blocks below this sequence
	fault    error  // the log on disk is poisoned
	stateErr error  // the applier fails
	keepErr  error  // the state could not be synced, and was not opened again yet
	draining bool   // no more blocks will come; tails end at the log's end
	gone     bool   // closed: reads fail
}

var _ storage.Engine = (*Engine)(nil)

// position is where the log begins and ends.
type position struct {
	first, next uint64 // blocks with records
	start, end  int64  // size of all blocks with records before first, and of all
	disk        uint64 // the newest block of the log on disk
	applied     uint64 // blocks on disk up to this one are in the state
	checkpoint  uint64 // and up to this one durably
	unkept      int64  // bytes written since the last checkpoint
}

// kind is what a unit in the queue is.
type kind uint8

const (
	kindUnit   kind = iota
	kindTokens      // have a block permit more tokens
	kindReopen      // open a poisoned log again
)

// pending is a unit in the queue and, once it was committed, its outcome.
type pending struct {
	unit     storage.Unit
	done     func(message.Position, error)
	bytes    int64
	kind     kind
	position message.Position
	err      error
}

// empty reports whether nothing is to be written for it.
func (p *pending) empty() bool { return len(p.unit.Records) == 0 && len(p.unit.Ops) == 0 }

// encoded is about what it takes in a block.
func (p *pending) encoded() int64 {
	return p.bytes - unitOverhead - int64(len(p.unit.Records))*(recordOverhead-32) - int64(len(p.unit.Ops))*(opOverhead-8)
}

// Submit implements storage.Engine. A unit larger than the whole queue is taken when the queue is empty.
func (e *Engine) Submit(lane storage.Lane, u storage.Unit, done func(message.Position, error)) error {
	if err := checkLane(lane); err != nil {
		return err
	}
	if len(u.Records) > 0 && e.held.Load() > e.options.MaxQueueBytes {
		return storage.ErrBusy
	}
	p := pending{unit: u, done: done, bytes: unitBytes(&u)}
	if err := checkUnit(&p); err != nil {
		return err
	}
	return e.enqueue(p)
}

func (e *Engine) enqueue(p pending) error {
	e.queueMu.Lock()
	if e.closing {
		e.queueMu.Unlock()
		return storage.ErrClosed
	}
	if p.kind == kindUnit && e.queueBytes > 0 && e.queueBytes+p.bytes > e.options.MaxQueueBytes {
		e.queueMu.Unlock()
		return storage.ErrBusy
	}
	e.queueBytes += p.bytes
	e.queue = append(e.queue, p)
	wake := e.idle
	e.idle = false
	gathered := e.wanted > 0 && (len(e.queue) >= e.wanted || e.queueBytes-p.bytes > e.options.MaxQueueBytes/2)
	if gathered {
		e.wanted = 0
	}
	e.queueMu.Unlock()
	if wake {
		e.queued.Signal()
	}
	if gathered {
		signal(e.gathered)
	}
	return nil
}

// checkUnit refuses what could never be written: it must not come into a block.
func checkUnit(p *pending) error {
	if p.bytes > wal.MaxPayload/2 {
		return fmt.Errorf("storage: a unit of %d bytes, of at most %d", p.bytes, wal.MaxPayload/2)
	}
	for _, op := range p.unit.Ops {
		if len(op.Key) > maxKeyBytes || len(op.Value) > maxValueBytes {
			return fmt.Errorf("storage: a key of %d bytes, of at most %d, with a value of %d bytes, of at most %d",
				len(op.Key), maxKeyBytes, len(op.Value), maxValueBytes)
		}
	}
	return nil
}

func checkLane(lane storage.Lane) error {
	if lane != 0 {
		return fmt.Errorf("storage: no lane %d", lane)
	}
	return nil
}

// What a unit, a record and an op take besides their bytes.
const (
	unitOverhead   = 128
	recordOverhead = 176
	opOverhead     = 64
)

func unitBytes(u *storage.Unit) int64 {
	size := int64(unitOverhead) + recordsBytes(u.Records) + opsBytes(u.Ops)
	return size
}

func opsBytes(ops []storage.Op) int64 {
	var size int64
	for i := range ops {
		size += int64(opOverhead + len(ops[i].Key) + len(ops[i].Value))
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

// Decoded returns how many blocks were read from disk and decoded for readers, who share them as long as they are cached.
func (e *Engine) Decoded() int64 { return e.decoded.Load() }

// Health implements storage.Engine.
func (e *Engine) Health() storage.Health {
	e.queueMu.Lock()
	queueBytes := e.queueBytes
	e.queueMu.Unlock()
	e.mu.RLock()
	defer e.mu.RUnlock()
	var segments int64
	if disk := e.disk.Load(); disk != nil {
		segments = int64(disk.SegmentCount())
	}
	h := storage.Health{
		Segments:   segments,
		LogBytes:   e.log.end - e.log.start,
		Blocks:     int64(e.log.next - e.log.first),
		First:      message.Position{Block: e.log.first},
		Next:       message.Position{Block: e.log.next},
		QueueBytes: queueBytes,
		Err:        e.fault,
	}
	if e.options.ReserveBytes > 0 {
		h.FreeBytes, h.ReserveBytes = e.free.Load(), e.options.ReserveBytes
		h.Full = h.FreeBytes < h.ReserveBytes
	}
	if h.Err == nil {
		h.Err = errors.Join(e.stateErr, e.keepErr)
	}
	if e.gone {
		h.Err = storage.ErrClosed
	}
	return h
}
