package wal

// FormatVersion is the newest version of the format that this package reads, and the one it writes.
const FormatVersion = 1

// MaxPayload is the longest payload of a block.
const MaxPayload = 1 << 30

// Log is a log of blocks. All methods are safe for concurrent use; appends take turns.
type Log struct{}

// Open opens the log in a directory, or begins one. It takes a lock there, so that a second process is refused
// (vfs.ErrLocked). It cuts off a torn tail, and makes durable all that is left before it returns. It refuses, and leaves
// alone, a log with a hole or with a corrupt block that valid blocks follow (*CorruptError), and one of a newer format
// (*VersionError). Only the last segment is read whole; what is in the others is verified when it is read.
func Open(o Options) (*Log, error) { panic("soon") }

// Append adds a block and returns its sequence, one more than that of the block before. With Options.Sync it is durable
// then. payload may be empty, and is the caller's again when Append returns. An error other than ErrNoSpace, ErrTooLarge
// and ErrClosed poisons the log: whether the block is there is only known after Close and Open.
func (l *Log) Append(payload []byte) (seq uint64, err error) { panic("soon") }

// First returns the sequence of the oldest block that is left, or Next if there is none.
func (l *Log) First() uint64 { panic("soon") }

// Next returns the sequence that the next block will have.
func (l *Log) Next() uint64 { panic("soon") }

// Bytes returns what the segments hold, without what is preallocated for blocks to come.
func (l *Log) Bytes() int64 { panic("soon") }

// Read returns the payload of a block, verified, in dst's memory if it has the capacity and in new memory otherwise. The
// errors are ErrTrimmed, ErrNotYet, ErrClosed, *CorruptError and those of the file system. It does not wait for appends,
// and a block is readable as soon as its Append has returned, and not before.
func (l *Log) Read(seq uint64, dst []byte) (payload []byte, err error) { panic("soon") }

// Scan calls fn for the blocks from a sequence on, in order, until the end that the log has by then, or until fn returns
// an error, which Scan returns as it is. The payload is valid only during the call. fn may call the log's methods other than Close.
// A scan from Next does nothing; one from behind it is ErrNotYet, and one from before First is ErrTrimmed.
func (l *Log) Scan(from uint64, fn func(seq uint64, payload []byte) error) error { panic("soon") }

// TruncateBefore drops the segments all of whose blocks are before a sequence. The last segment stays. Readers that are
// in a segment meanwhile finish their block.
func (l *Log) TruncateBefore(seq uint64) error { panic("soon") }

// Segments describes the segments, oldest first.
func (l *Log) Segments() []SegmentInfo { panic("soon") }

// Recovery tells what Open cut off.
func (l *Log) Recovery() Recovery { panic("soon") }

// Err returns the cause for which the log is poisoned, or nil.
func (l *Log) Err() error { panic("soon") }

// Close syncs what was not synced and releases files and lock. Reads that run finish; later calls return ErrClosed.
func (l *Log) Close() error { panic("soon") }
