package memory

import "github.com/barid-mqtt/barid/internal/storage"

// blockLog is a run of blocks with consecutive sequences.
//
//	base … first … next
//	└held─┘└─log──┘
//
// Blocks from base on are in memory; those before first were forgotten, and are there for tails only.
type blockLog struct {
	entries []entry // entries[i] is block base+i
	base    uint64
	first   uint64
	end     int64 // the size of all blocks that there ever were
}

type entry struct {
	records []storage.Record
	start   int64 // the size of all blocks before this one
}

// next is the sequence that the next block will have.
func (l *blockLog) next() uint64 { return l.base + uint64(len(l.entries)) }

// bytes is the size of the blocks that are readable.
func (l *blockLog) bytes() int64 { return l.end - l.start(l.first) }

// heldBytes is the size of the blocks that are kept for tails only.
func (l *blockLog) heldBytes() int64 { return l.start(l.first) - l.start(l.base) }

// start is the size of all blocks before a sequence between base and next.
func (l *blockLog) start(sequence uint64) int64 {
	if sequence == l.next() {
		return l.end
	}
	return l.entries[sequence-l.base].start
}

// size is the size of one block.
func (l *blockLog) size(sequence uint64) int64 { return l.start(sequence+1) - l.start(sequence) }

func (l *blockLog) block(sequence uint64) storage.Block {
	return storage.Block{Seq: sequence, Records: l.entries[sequence-l.base].records}
}

func (l *blockLog) append(records []storage.Record) {
	l.entries = append(l.entries, entry{records: records, start: l.end})
	l.end += recordsBytes(records)
}

// free lets go of blocks before the sequence, and of none that is readable.
func (l *blockLog) free(before uint64) {
	before = min(before, l.first)
	if before <= l.base {
		return
	}
	n := before - l.base
	clear(l.entries[:n])
	l.entries = l.entries[n:]
	l.base = before
}
