// Package storage is the seam between the broker and what keeps its state: one log of messages and a small ordered
// key-value store, committed together. Engines are in the packages below it; package storagetest holds the suite that
// each of them passes.
package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/summary"
)

// Errors that every engine returns. Match them with errors.Is.
var (
	// ErrBusy says that the engine's queue of units is full. Nothing was submitted; stop reading that connection.
	ErrBusy = errors.New("storage: the commit queue is full")
	// ErrFull says that the log is at its configured size and the unit was refused before anything was written.
	ErrFull = errors.New("storage: the log is at its limit")
	// ErrClosed says that the engine was closed.
	ErrClosed = errors.New("storage: closed")
	// ErrNotFound says that a key is not there.
	ErrNotFound = errors.New("storage: no such key")
	// ErrFenced says that a unit's fence is older than the newest claim of its client.
	ErrFenced = errors.New("storage: the session was taken over")
)

// TrimmedError says that the log no longer holds the position asked for.
type TrimmedError struct {
	First message.Position // the first position that is left
}

// Error implements error.
func (e *TrimmedError) Error() string { return "storage: that position was trimmed" }

// Lane names a log. A node has one, lane 0.
type Lane uint32

// Record is one message in the log. The engine keeps it; nobody changes it.
type Record struct {
	Message  *message.Message
	PacketID uint16 // the publisher's, for QoS 2; 0: none
}

// Op is one change of the key-value store. The engine keeps both slices.
type Op struct {
	Key   []byte
	Value []byte // nil: delete the key
}

// Token is a fence: the number of a claim, rising for each client. Zero fences nothing.
type Token uint64

// Unit is what commits together or not at all. A unit with neither records nor ops is a barrier: its done is called in
// its turn, and nothing is written for it.
type Unit struct {
	ClientID string // whose Fence it is
	Fence    Token
	Records  []Record
	Ops      []Op
}

// Block is one group commit. Positions of its records are (Seq, 0), (Seq, 1), …
type Block struct {
	Seq     uint64 // 1 is the first
	Records []Record
}

// KV is a key and its value. Both belong to the caller.
type KV struct{ Key, Value []byte }

// Health is an engine's own view of itself.
type Health struct {
	LogBytes   int64            // what the log holds
	Blocks     int64            // in the log
	Segments   int64            // files of the log on disk
	First      message.Position // the oldest position that is left
	Next       message.Position // the position that the next block will have
	QueueBytes int64            // submitted and not yet committed
	Err        error            // nil: well

	// What the disk has free, and what the engine keeps of that for itself. Full says that less is free than that, so that
	// units with records fail with ErrFull. All zero for an engine that has no disk.
	FreeBytes, ReserveBytes int64
	Full                    bool
}

// Watch hears how an engine's commits go. Its functions may be nil; they are called by the engine's goroutines, one at a
// time, and must not block.
type Watch struct {
	// Committed is called for every block that was written.
	Committed func(c Commit)
	// Releasing is called before the done functions of a block are.
	Releasing func()
}

// Commit is how a block was written.
type Commit struct {
	Gather, Write, Sync time.Duration // waiting for more units; writing; making it durable
	Units               int
	Bytes               int64
}

// Engine keeps the log and small state. All engines pass one conformance suite (package storagetest).
type Engine interface {
	// Submit hands over a unit and never blocks: ErrBusy when the engine's byte-bounded queue is full, ErrClosed after
	// Close; done is then not called. Units commit in the order in which they were submitted. done is called exactly
	// once, in that order, by a goroutine of the engine, after the unit is as durable as the engine makes it, with the position at which it
	// took effect: the position of its first record, or, without records, the position that the next record will have.
	// All calls of done for a block come before the block is given to the tails. done must not block. u.Records, but not what
	// it holds, is the caller's again then.
	Submit(lane Lane, u Unit, done func(message.Position, error)) error
	// Read returns blocks from the one that holds from, in order, as many as fit into maxBytes but at least one if
	// there is any, and the position to go on from. No blocks and a nil error: from is at the log's end. A position
	// that is gone is a *TrimmedError. For workers only: it may block on a disk.
	Read(ctx context.Context, lane Lane, from message.Position, maxBytes int) (blocks []Block, next message.Position, err error)
	// ReadFor is Read for who looks for what q asks for. Of the blocks before a sequence, those that have nothing for it may
	// be left out, and in others the records that are not for it may be without their messages. So there may be no blocks,
	// and yet next is further; at the log's end it is not.
	ReadFor(ctx context.Context, lane Lane, from message.Position, maxBytes int, before uint64, q *summary.Question) (blocks []Block, next message.Position, err error)
	// Tail calls fn, from a goroutine of the engine, for every block whose sequence is at least from.Block, in order and without a gap, until stop is
	// called; when stop returns, fn is not running and will not run again. stop must not be called from fn. fn may take its time; the engine's commits do not wait for it.
	Tail(lane Lane, from message.Position, fn func(Block)) (stop func())
	// Trim forgets all blocks before before.Block.
	Trim(ctx context.Context, lane Lane, before message.Position) error
	// Get returns the value of a key, or ErrNotFound.
	Get(ctx context.Context, key []byte) ([]byte, error)
	// Scan walks the keys with a prefix, in order, as they were when it began or later.
	Scan(ctx context.Context, prefix []byte) iter.Seq2[KV, error]
	// ScanFrom is Scan from a key on, which need not be there.
	ScanFrom(ctx context.Context, prefix, from []byte) iter.Seq2[KV, error]
	// Size returns about how many bytes the log holds from a position's block on: less for a later position, and 0 at the
	// log's end. A position that is gone is a *TrimmedError.
	Size(ctx context.Context, lane Lane, from message.Position) (int64, error)
	// Claim makes the caller the owner of a client's session. Tokens rise: units with an older one fail with ErrFenced.
	Claim(ctx context.Context, clientID string) (Token, error)
	// Health describes the engine.
	Health() Health
	// Snapshot writes all that Get, Scan and Read would return.
	Snapshot(ctx context.Context, w io.Writer) error
	// Close commits what was submitted, calls what is left of done and of the tails, and ends the engine's goroutines.
	Close() error
}
