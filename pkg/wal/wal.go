package wal

import (
	"errors"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

// Errors of a log. Match them with errors.Is.
var (
	// ErrNoSpace says that there was no room for the block, seen before any byte of it was written. The log is well, and
	// the same Append works again when there is room.
	ErrNoSpace = errors.New("wal: no space left")
	// ErrPoisoned says that an earlier write or sync failed, so that nobody knows what the file holds. Reading goes on;
	// Append works again only after Close and Open. The error that Append returns wraps the cause too.
	ErrPoisoned = errors.New("wal: an earlier write or sync failed")
	// ErrTrimmed says that the block was there once and was dropped: Log.First is the oldest one left.
	ErrTrimmed = errors.New("wal: the block was trimmed")
	// ErrNotYet says that the block was not appended so far.
	ErrNotYet = errors.New("wal: the block was not appended yet")
	// ErrClosed says that the log was closed.
	ErrClosed = errors.New("wal: closed")
	// ErrTooLarge says that a payload is longer than MaxPayload. Nothing was written.
	ErrTooLarge = errors.New("wal: the payload is too large")
)

// CorruptError says that a block, or the chain of segments, is not what was written. Nothing was changed on disk.
type CorruptError struct {
	File   string // the segment's path
	Offset int64  // where in it
	Reason string
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("wal: %s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
}

// VersionError says that a segment was written by a newer program.
type VersionError struct {
	File    string
	Version uint16 // the version that the reader must know
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("wal: %s has format version %d; this program reads up to version %d", e.File, e.Version, FormatVersion)
}

// Options say where a log is and how it writes. FS and Dir are needed; the rest may be zero.
type Options struct {
	FS  vfs.FS
	Dir string // made if it is missing
	// SegmentBytes is the size of a segment file, 64 MiB by default, from 4 KiB to 2 GiB. A block that does not fit into
	// one gets a segment of its own size.
	SegmentBytes int64
	// Sync makes every Append durable before it returns. Without it the kernel writes blocks back in its own time, and
	// only whole segments are synced: what is appended survives the end of the process, not a power cut.
	Sync bool
	// ReserveBytes refuses appends with ErrNoSpace while the file system has less than this free.
	ReserveBytes int64
	// Took, if it is not nil, is called by each Append that worked, with how long writing and syncing took.
	Took func(write, sync time.Duration)
	// FirstSequence is the sequence of the first block in a new log, 1 by default. It does nothing to a log that exists.
	FirstSequence uint64
}

// SegmentInfo describes a segment: the blocks from First on and before Next.
type SegmentInfo struct {
	Path        string
	First, Next uint64
	Bytes       int64 // header, blocks and index; not what is preallocated behind them
	Sealed      bool  // nothing is appended to it any more
}

// Recovery is what Open found at the log's end and cut off. The zero Recovery: nothing.
type Recovery struct {
	File     string
	Offset   int64 // where the log now ends
	CutBytes int64 // what was behind it
	// LostBlocks says that whole blocks stood behind the cut. That happens only to segments written without
	// Options.Sync, whose blocks a power cut may lose in any order.
	LostBlocks bool
}
