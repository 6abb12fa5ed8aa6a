package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// blockVersion is the version of the block format below.
const blockVersion = 1

// A block is the payload of one block of the log on disk: a header of fixed size, then the records, then the ops.
// Numbers of the header are little endian:
//
//	 0  version (1 byte), flags (1 byte, zero), zero (2 bytes)
//	 4  number of records (4)
//	 8  number of ops (4)
//	12  number of units (4)
//	16  sequence of the block, or, without records, the sequence of the next that has some (8)
//	24  size of all blocks with records that were before this one (8)
//	32  append identifier of the first unit; the others follow (8)
//	40  tokens up to this one may have been given out (8)
//	48  checkpoint: changes of blocks up to this one of the log on disk are known to be durable in the state (8)
//	56  length of the records (8)
//	64
//
// A record is its length (4 bytes, little endian) and the message as package message encodes it. An op is its kind
// ('P' put, 'D' delete), the key and, if put, the value, each as its length (uvarint) and the bytes.
//
// A block without records is there for its ops, or to keep the header's numbers. It takes a sequence of the log on disk
// but none of the log that readers see.
const blockHeader = 64

// The kinds of ops.
const (
	opPut    = 'P'
	opDelete = 'D'
)

// errBlock says that a block's bytes, whose checksum is right, make no sense.
var errBlock = errors.New("storage: not a valid block")

// header is what a block says of itself.
type header struct {
	records, ops, units uint32
	seq                 uint64 // of the block, or of the next with records
	start               int64  // size of all blocks with records before
	firstUnit           uint64
	tokens              storage.Token
	checkpoint          uint64
	recordBytes         uint64
}

// block is a block that is on disk.
type block struct {
	header  header
	disk    uint64 // its sequence in the log on disk
	bytes   int64  // its size there
	records []storage.Record
	raw     []byte // as it is on disk, instead of records: nobody has needed most of them yet
}

func decodeBlock(disk uint64, b []byte) (*block, []storage.Op, error) {
	h, err := parseHeader(b)
	if err != nil {
		return nil, nil, err
	}
	records, err := decodeRecords(&h, b)
	if err != nil {
		return nil, nil, err
	}
	ops, err := decodeOps(&h, b)
	return &block{header: h, disk: disk, bytes: int64(len(b)), records: records}, ops, err
}

// after is the sequence of the next block with records.
func (h *header) after() uint64 {
	if h.records > 0 {
		return h.seq + 1
	}
	return h.seq
}

func (h *header) put(dst []byte) {
	dst[0], dst[1], dst[2], dst[3] = blockVersion, 0, 0, 0
	binary.LittleEndian.PutUint32(dst[4:], h.records)
	binary.LittleEndian.PutUint32(dst[8:], h.ops)
	binary.LittleEndian.PutUint32(dst[12:], h.units)
	binary.LittleEndian.PutUint64(dst[16:], h.seq)
	binary.LittleEndian.PutUint64(dst[24:], uint64(h.start))
	binary.LittleEndian.PutUint64(dst[32:], h.firstUnit)
	binary.LittleEndian.PutUint64(dst[40:], uint64(h.tokens))
	binary.LittleEndian.PutUint64(dst[48:], h.checkpoint)
	binary.LittleEndian.PutUint64(dst[56:], h.recordBytes)
}

func parseHeader(b []byte) (header, error) {
	if len(b) < blockHeader {
		return header{}, fmt.Errorf("%w: %d bytes", errBlock, len(b))
	}
	if b[0] != blockVersion || b[1] != 0 {
		return header{}, fmt.Errorf("%w: version %d with flags %#x, this program knows version %d", errBlock, b[0], b[1], blockVersion)
	}
	h := header{
		records:     binary.LittleEndian.Uint32(b[4:]),
		ops:         binary.LittleEndian.Uint32(b[8:]),
		units:       binary.LittleEndian.Uint32(b[12:]),
		seq:         binary.LittleEndian.Uint64(b[16:]),
		start:       int64(binary.LittleEndian.Uint64(b[24:])),
		firstUnit:   binary.LittleEndian.Uint64(b[32:]),
		tokens:      storage.Token(binary.LittleEndian.Uint64(b[40:])),
		checkpoint:  binary.LittleEndian.Uint64(b[48:]),
		recordBytes: binary.LittleEndian.Uint64(b[56:]),
	}
	rest := uint64(len(b) - blockHeader)
	if h.recordBytes > rest || uint64(h.records) > h.recordBytes/4 || uint64(h.ops) > (rest-h.recordBytes)/2 || h.seq == 0 || h.start < 0 {
		return header{}, fmt.Errorf("%w: its counts do not fit its %d bytes", errBlock, len(b))
	}
	return h, nil
}

// appendBlock appends the block that the units make, without those that failed. It fills in what it counts in h.
func appendBlock(dst []byte, h *header, units []pending) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, blockHeader)...)
	for i := range units {
		p := &units[i]
		if p.err != nil || p.empty() {
			continue
		}
		h.units++
		for _, r := range p.unit.Records {
			h.records++
			dst = appendRecord(dst, r)
		}
	}
	h.recordBytes = uint64(len(dst) - at - blockHeader)
	for i := range units {
		if units[i].err != nil {
			continue
		}
		for _, op := range units[i].unit.Ops {
			h.ops++
			dst = appendOp(dst, op)
		}
	}
	h.put(dst[at:])
	return dst
}

func appendRecord(dst []byte, r storage.Record) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = message.AppendEncoded(dst, r.Message, r.PacketID)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

func appendOp(dst []byte, op storage.Op) []byte {
	if op.Value == nil {
		dst = append(dst, opDelete)
		return appendBytes(dst, op.Key)
	}
	dst = append(dst, opPut)
	dst = appendBytes(dst, op.Key)
	return appendBytes(dst, op.Value)
}

func appendBytes[B []byte | string](dst []byte, b B) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// decodeRecords returns the records of a block. Each has memory of its own, so that one that is kept for long keeps
// no others alive; b stays the caller's.
func decodeRecords(h *header, b []byte) ([]storage.Record, error) {
	rest := b[blockHeader : blockHeader+h.recordBytes]
	records := make([]storage.Record, 0, h.records)
	for range h.records {
		if len(rest) < 4 {
			return nil, fmt.Errorf("%w: its records are cut off", errBlock)
		}
		n := binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
		if uint64(n) > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: its records are cut off", errBlock)
		}
		m, id, err := message.Decode(bytes.Clone(rest[:n]))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBlock, err)
		}
		records = append(records, storage.Record{Message: m, PacketID: id})
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after its records", errBlock, len(rest))
	}
	return records, nil
}

// decodeOps returns the ops of a block, in memory of their own.
func decodeOps(h *header, b []byte) ([]storage.Op, error) {
	rest := bytes.Clone(b[blockHeader+h.recordBytes:])
	ops := make([]storage.Op, 0, h.ops)
	for range h.ops {
		kind, key, value, after, ok := cutOp(rest)
		if !ok {
			return nil, fmt.Errorf("%w: its ops are cut off", errBlock)
		}
		if kind == opDelete {
			value = nil
		}
		ops = append(ops, storage.Op{Key: key, Value: value})
		rest = after
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after its ops", errBlock, len(rest))
	}
	return ops, nil
}

func cutOp(b []byte) (kind byte, key, value, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != opPut && b[0] != opDelete {
		return 0, nil, nil, nil, false
	}
	kind = b[0]
	key, rest, ok = cutBytes(b[1:])
	if ok && kind == opPut {
		value, rest, ok = cutBytes(rest)
	}
	return kind, key, value, rest, ok
}

// cutBytes takes a field off the front of b. The field is never nil.
func cutBytes(b []byte) (field, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	b = b[size:]
	return b[:n:n], b[n:], true
}
