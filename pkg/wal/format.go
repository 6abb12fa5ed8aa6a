package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// FormatVersion is the newest version of the format that this package reads, and the one it writes.
const FormatVersion = 1

// MaxPayload is the longest payload of a block.
const MaxPayload = 1 << 30

const (
	segmentMagic = "\x89WALB\r\n\x1a"
	indexMagic   = "\x89WALI\r\n\x1a"

	segmentHeaderBytes = 64
	blockHeaderBytes   = 24
	indexTailBytes     = 24
	entryBytes         = 8
	alignment          = 8

	flagUnsynced = 1

	kindBlock = 1
	kindIndex = 2

	// granuleBytes is how far entries of the index are apart where blocks are small.
	granuleBytes = 16 << 10

	suffix   = ".wal"
	lockName = "lock"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentHeader is what a segment file begins with.
type segmentHeader struct {
	unsynced bool
	first    uint64
	salt     uint64
}

func (h segmentHeader) encode() []byte {
	b := make([]byte, segmentHeaderBytes)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint16(b[8:], FormatVersion)
	if h.unsynced {
		binary.LittleEndian.PutUint16(b[10:], flagUnsynced)
	}
	binary.LittleEndian.PutUint64(b[16:], h.first)
	binary.LittleEndian.PutUint64(b[24:], h.salt)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// seed is what the CRC of every block header in the segment begins with.
func (h segmentHeader) seed() uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(nil, h.salt), castagnoli)
}

// errHeader says that a segment has no valid header.
var errHeader = errors.New("the header is not valid")

// decodeSegmentHeader returns errHeader, or a *VersionError without a file.
func decodeSegmentHeader(b []byte) (segmentHeader, error) {
	if len(b) < segmentHeaderBytes || string(b[:8]) != segmentMagic {
		return segmentHeader{}, errHeader
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v > FormatVersion {
		return segmentHeader{}, &VersionError{Version: v}
	}
	if crc32.Checksum(b[:60], castagnoli) != binary.LittleEndian.Uint32(b[60:]) {
		return segmentHeader{}, errHeader
	}
	return segmentHeader{
		unsynced: binary.LittleEndian.Uint16(b[10:])&flagUnsynced != 0,
		first:    binary.LittleEndian.Uint64(b[16:]),
		salt:     binary.LittleEndian.Uint64(b[24:]),
	}, nil
}

// blockHeader is what a block begins with.
type blockHeader struct {
	length uint32
	seq    uint64
	sum    uint32 // CRC of the payload
	kind   byte
}

// size is how many bytes the block takes in the file.
func (h blockHeader) size() int64 { return blockSize(int64(h.length)) }

func blockSize(payload int64) int64 {
	return (blockHeaderBytes + payload + alignment - 1) &^ (alignment - 1)
}

// appendBlock appends a whole block to b.
func appendBlock(b []byte, seed uint32, kind byte, seq uint64, payload []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	b = append(b, kind, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[start:], crc32.Update(seed, castagnoli, b[start+4:]))
	b = append(b, payload...)
	for int64(len(b)-start) < blockSize(int64(len(payload))) {
		b = append(b, 0)
	}
	return b
}

// decodeBlockHeader reports whether a valid block header is at the beginning of b.
func decodeBlockHeader(b []byte, seed uint32) (blockHeader, bool) {
	if len(b) < blockHeaderBytes {
		return blockHeader{}, false
	}
	h := blockHeader{
		length: binary.LittleEndian.Uint32(b[4:]),
		seq:    binary.LittleEndian.Uint64(b[8:]),
		sum:    binary.LittleEndian.Uint32(b[16:]),
		kind:   b[20],
	}
	// The cheap checks first: a search for headers calls this at every eighth byte.
	if h.kind != kindBlock && h.kind != kindIndex || h.length > MaxPayload {
		return blockHeader{}, false
	}
	return h, crc32.Update(seed, castagnoli, b[4:blockHeaderBytes]) == binary.LittleEndian.Uint32(b)
}

// entry says where a block begins.
type entry struct {
	seq    uint32 // minus the segment's first
	offset uint32 // divided by alignment
}

func (e entry) at() int64 { return int64(e.offset) * alignment }

// index is sparse: see the package comment for which blocks have an entry. bigLast says that the block before the next
// one to be added is big, so that the next has an entry.
type index struct {
	entries []entry
	bigLast bool
}

func (x *index) add(rel uint64, offset, size int64) {
	big := size >= granuleBytes
	n := len(x.entries)
	if n == 0 || big || x.bigLast || offset-x.entries[n-1].at() >= granuleBytes {
		x.entries = append(x.entries, entry{seq: uint32(rel), offset: uint32(offset / alignment)})
	}
	x.bigLast = big
}

// indexSize is how many bytes the index of so many entries takes in the file.
func indexSize(entries int) int64 {
	return blockHeaderBytes + int64(entries)*entryBytes + indexTailBytes
}

// encodeIndex returns the index of a segment as a block that stands at an offset.
func encodeIndex(seed uint32, first, next uint64, entries []entry, offset int64) []byte {
	p := make([]byte, 0, len(entries)*entryBytes+indexTailBytes)
	for _, e := range entries {
		p = binary.LittleEndian.AppendUint32(p, e.seq)
		p = binary.LittleEndian.AppendUint32(p, e.offset)
	}
	p = binary.LittleEndian.AppendUint64(p, next-first)
	p = binary.LittleEndian.AppendUint64(p, uint64(offset))
	p = append(p, indexMagic...)
	return appendBlock(make([]byte, 0, blockHeaderBytes+len(p)), seed, kindIndex, next, p)
}

// decodeIndex reads the payload of an index block whose CRC was right, and reports whether its entries make sense.
func decodeIndex(p []byte, count uint64, end int64) ([]entry, bool) {
	if len(p) < indexTailBytes || len(p)%entryBytes != 0 {
		return nil, false
	}
	entries := make([]entry, 0, (len(p)-indexTailBytes)/entryBytes)
	last := entry{}
	for ; len(p) > indexTailBytes; p = p[entryBytes:] {
		e := entry{seq: binary.LittleEndian.Uint32(p), offset: binary.LittleEndian.Uint32(p[4:])}
		if uint64(e.seq) >= count || e.at() >= end || e.at() < segmentHeaderBytes {
			return nil, false
		}
		if len(entries) == 0 && e.seq != 0 || len(entries) > 0 && (e.seq <= last.seq || e.offset <= last.offset) {
			return nil, false
		}
		entries, last = append(entries, e), e
	}
	c, at, ok := decodeIndexTail(p)
	return entries, ok && c == count && at == end && (len(entries) > 0 || count == 0)
}

// decodeIndexTail reads the last bytes of an index: how many blocks the segment has and where the index is.
func decodeIndexTail(b []byte) (count uint64, at int64, ok bool) {
	count, at = binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:]))
	return count, at, string(b[16:indexTailBytes]) == indexMagic
}

// segmentName returns the name of the segment that begins with a sequence.
func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, suffix) }

// parseSegmentName is the inverse of segmentName.
func parseSegmentName(name string) (first uint64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	if !found || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && segmentName(first) == name
}
