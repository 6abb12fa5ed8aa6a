package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/summary"
	"github.com/barid-mqtt/barid/pkg/wal"
)

// Read implements storage.Engine. Sizes are those on disk.
func (e *Engine) Read(ctx context.Context, lane storage.Lane, from message.Position, maxBytes int) ([]storage.Block, message.Position, error) {
	return e.ReadFor(ctx, lane, from, maxBytes, 0, nil)
}

// ReadFor implements storage.Engine.
func (e *Engine) ReadFor(ctx context.Context, lane storage.Lane, from message.Position, maxBytes int, before uint64, q *summary.Question) ([]storage.Block, message.Position, error) {
	if err := checkLane(lane); err != nil {
		return nil, from, err
	}
	from = e.skip(ctx, from, before, q)
	sequence := max(from.Block, 1)
	buf := scratch.Get().(*[]byte)
	defer putScratch(buf)
	var blocks []storage.Block
	for size := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return nil, from, fmt.Errorf("storage: read the log: %w", err)
		}
		b, err := e.readable(sequence, buf, q.Exact())
		if err != nil {
			return nil, from, err
		}
		if b == nil {
			break
		}
		if b.header.seq == from.Block && from.Index >= b.header.records {
			sequence++ // the end of a block is the start of the next
			from = message.Position{Block: sequence}
			continue
		}
		if size > 0 && size+b.bytes > int64(maxBytes) {
			break
		}
		size += b.bytes
		asked := q
		if b.header.seq >= before {
			asked = nil
		}
		records, err := e.recordsFor(b, asked)
		if err != nil {
			return nil, from, err
		}
		if records != nil {
			blocks = append(blocks, storage.Block{Seq: b.header.seq, Records: records})
		}
		sequence = b.header.seq + 1
	}
	if sequence <= from.Block {
		return nil, from, nil
	}
	return blocks, message.Position{Block: sequence}, nil
}

// recordsFor returns the records of a block, with messages at least where they are for q; nil: none is.
func (e *Engine) recordsFor(b *block, q *summary.Question) ([]storage.Record, error) {
	if b.raw != nil && q.Exact() {
		records, err := b.pick(q)
		if !errors.Is(err, errMost) {
			return records, err
		}
	}
	b, err := e.decode(b)
	if err != nil {
		return nil, err
	}
	return b.records, nil
}

// errMost says that most of a block's records are wanted.
var errMost = errors.New("most")

// pick decodes the records that are for q, unless they are many: then all are decoded, for all who come there.
func (b *block) pick(q *summary.Question) (records []storage.Record, err error) {
	found := 0
	err = eachRecord(&b.header, b.raw, func(i int, topic, encoded []byte) error {
		if !q.Matches(unsafe.String(unsafe.SliceData(topic), len(topic))) {
			return nil
		}
		if found++; found > pickMost(b.header.records) {
			return errMost
		}
		m, id, err := message.Decode(bytes.Clone(encoded))
		if err != nil {
			return err
		}
		if records == nil {
			records = make([]storage.Record, b.header.records)
		}
		records[i] = storage.Record{Message: m, PacketID: id}
		return nil
	})
	if err != nil && !errors.Is(err, errMost) {
		return nil, fmt.Errorf("storage: read block %d on disk: %w", b.disk, err)
	}
	return records, err
}

// pickMost is how many records of so many are picked at most.
func pickMost(records uint32) int { return int(records / 8) }

// decode returns a block with its records.
func (e *Engine) decode(b *block) (*block, error) {
	if b.raw == nil {
		return b, nil
	}
	d := &block{header: b.header, disk: b.disk, bytes: b.bytes}
	var err error
	if d.records, err = decodeRecords(&b.header, b.raw); err != nil {
		return nil, fmt.Errorf("storage: read block %d on disk: %w", b.disk, err)
	}
	e.decoded.Add(1)
	e.cache.replace(d)
	return d, nil
}

// readable returns the block at or after a sequence, or nil at the log's end. It may not be decoded yet, and then be in
// buf's memory, if the caller picks from it.
func (e *Engine) readable(sequence uint64, buf *[]byte, picks bool) (*block, error) {
	for {
		e.mu.RLock()
		first, gone := e.log.first, e.gone
		e.mu.RUnlock()
		if gone {
			return nil, storage.ErrClosed
		}
		if sequence < first {
			return nil, &storage.TrimmedError{First: message.Position{Block: first}}
		}
		b, err := e.loadRaw(sequence, buf, picks)
		if !errors.Is(err, wal.ErrTrimmed) {
			return b, err
		}
		if e.position().first <= sequence {
			return nil, err // it should be there
		}
	}
}

// load returns the block at or after a sequence, from memory or disk, or nil at the log's end.
func (e *Engine) load(sequence uint64) (*block, error) {
	buf := scratch.Get().(*[]byte)
	defer putScratch(buf)
	b, err := e.loadRaw(sequence, buf, true)
	if b == nil || err != nil {
		return nil, err
	}
	return e.decode(b)
}

// loadRaw is load for who decodes what it needs. Whoever picks from a block has it in buf's memory, unless somebody has come
// there lately: only then it is kept for others. So who reads far back for themselves leave no memory behind.
func (e *Engine) loadRaw(sequence uint64, buf *[]byte, picks bool) (*block, error) {
	if b, end := e.inMemory(sequence); b != nil || end {
		return b, nil
	}
	at, err := e.locate(sequence, buf)
	if err != nil {
		return nil, err
	}
	payload := at.payload
	if payload == nil {
		if payload, err = e.readInto(*buf, at.disk); err != nil {
			return nil, err
		}
		*buf = payload
	}
	h, err := parseHeader(payload)
	if err != nil {
		return nil, fmt.Errorf("storage: read block %d on disk: %w", at.disk, err)
	}
	if h.records == 0 {
		return e.loadRaw(h.after(), buf, picks) // sequences were left out here, see Engine.skipTo
	}
	b := &block{header: h, disk: at.disk, bytes: int64(len(payload)), raw: payload}
	e.reads.Add(1)
	if e.cache.wants(h.seq) || !picks {
		b.raw = bytes.Clone(payload)
		e.cache.add(b)
	}
	return b, nil
}

func (e *Engine) inMemory(sequence uint64) (b *block, end bool) {
	e.mu.RLock()
	b = e.recent.from(sequence)
	end = sequence >= e.log.next
	e.mu.RUnlock()
	if b == nil && !end {
		b = e.cache.get(sequence)
	}
	return b, end
}

// readDisk returns the payload of a block on disk, in memory of its own.
func (e *Engine) readDisk(sequence uint64) ([]byte, error) { return e.readInto(nil, sequence) }

// readInto returns it in dst's memory, if that suffices.
func (e *Engine) readInto(dst []byte, sequence uint64) ([]byte, error) {
	for {
		disk := e.disk.Load()
		if disk == nil {
			e.mu.RLock()
			defer e.mu.RUnlock()
			if e.fault != nil {
				return nil, e.fault
			}
			return nil, storage.ErrClosed
		}
		payload, err := disk.Read(sequence, dst)
		if errors.Is(err, wal.ErrClosed) && e.disk.Load() != disk {
			continue // it was opened again
		}
		if err != nil {
			return nil, fmt.Errorf("storage: read block %d on disk: %w", sequence, err)
		}
		return payload, nil
	}
}

// scratch are buffers for blocks that are not kept.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// scratchKept is the size up to which such a buffer is kept.
const scratchKept = 1 << 20

func putScratch(b *[]byte) {
	if cap(*b) <= scratchKept {
		scratch.Put(b)
	}
}

// place is where a block is on disk. payload is nil unless it was read last on the way.
type place struct {
	disk    uint64
	payload []byte
}

// locate finds the first block with records at or after a sequence that is before the log's end. What it reads is in buf.
func (e *Engine) locate(sequence uint64, buf *[]byte) (place, error) {
	for {
		first := e.firstOnDisk()
		found, err := e.search(sequence, first, buf)
		if errors.Is(err, wal.ErrTrimmed) && e.firstOnDisk() > first {
			continue // the log on disk was cut meanwhile
		}
		return found, err
	}
}

func (e *Engine) firstOnDisk() uint64 {
	if disk := e.disk.Load(); disk != nil {
		return disk.First()
	}
	return 0
}

// enclose returns points between which locate has to search. Blocks before first are not on disk.
func (e *Engine) enclose(sequence, first uint64) (low, high point, err error) {
	e.mu.RLock()
	low, high, ok := e.index.around(sequence)
	e.mu.RUnlock()
	if !ok || high.disk < first {
		return low, high, fmt.Errorf("storage: look for block %d: %w", sequence, wal.ErrTrimmed)
	}
	if b := e.cache.get(sequence - 1); b != nil && b.disk > low.disk {
		low = point{disk: b.disk, after: sequence}
	}
	if low.disk+1 < first {
		oldest, err := e.headerOf(first)
		if err != nil {
			return low, high, err
		}
		low = point{disk: first - 1, after: min(oldest.header.seq, sequence)}
	}
	return low, high, nil
}

// search goes forward from what is known in growing steps, then halves: a reader that goes on finds the next block with
// the first look.
func (e *Engine) search(sequence, first uint64, buf *[]byte) (place, error) {
	low, high, err := e.enclose(sequence, first)
	if err != nil {
		return place{}, err
	}
	found := place{disk: high.disk}
	for step := uint64(1); high.disk-low.disk > 1; {
		probe := min(low.disk+step, high.disk-1)
		if step == 0 {
			probe = low.disk + (high.disk-low.disk)/2
		}
		if high.disk-low.disk == high.after-low.after {
			probe = low.disk + 1 + (sequence - low.after) // all of them have records
		}
		if probe == high.disk {
			break
		}
		payload, err := e.readInto(*buf, probe)
		if err != nil {
			return place{}, err
		}
		*buf = payload
		h, err := parseHeader(payload)
		if err != nil {
			return place{}, fmt.Errorf("storage: read block %d on disk: %w", probe, err)
		}
		if p := (point{disk: probe, after: h.after()}); p.after > sequence {
			high, found, step = p, place{disk: probe, payload: payload}, 0
		} else {
			low, step = p, step*2
			found.payload = nil // of what was found before: this has taken its place
		}
		if h.records > 0 && h.seq == sequence {
			break
		}
	}
	e.mu.Lock()
	e.index.learn(high)
	e.mu.Unlock()
	return found, nil
}

// startOf returns the size of all blocks with records before a sequence.
func (e *Engine) startOf(sequence uint64) (int64, error) {
	if b, end := e.inMemory(sequence); b != nil {
		return b.header.start, nil
	} else if end {
		return e.position().end, nil
	}
	buf := scratch.Get().(*[]byte)
	defer putScratch(buf)
	at, err := e.locate(sequence, buf)
	if err != nil {
		return 0, err
	}
	if at.payload == nil {
		b, err := e.headerOf(at.disk)
		if err != nil {
			return 0, err
		}
		return b.header.start, nil
	}
	h, err := parseHeader(at.payload)
	return h.start, err
}

// Size implements storage.Engine. It may read from disk.
func (e *Engine) Size(ctx context.Context, lane storage.Lane, from message.Position) (int64, error) {
	if err := checkLane(lane); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("storage: measure the log: %w", err)
	}
	e.mu.RLock()
	gone, log := e.gone, e.log
	e.mu.RUnlock()
	sequence := max(from.Block, 1)
	switch {
	case gone:
		return 0, storage.ErrClosed
	case sequence < log.first:
		return 0, &storage.TrimmedError{First: message.Position{Block: log.first}}
	case sequence >= log.next:
		return 0, nil
	}
	start, err := e.startOf(sequence)
	if errors.Is(err, wal.ErrTrimmed) {
		return 0, &storage.TrimmedError{First: message.Position{Block: e.position().first}}
	}
	if err != nil {
		return 0, fmt.Errorf("storage: measure the log: %w", err)
	}
	return log.end - start, nil
}

// Trim implements storage.Engine. The files go later, when no more is needed of them.
func (e *Engine) Trim(ctx context.Context, lane storage.Lane, before message.Position) error {
	if err := checkLane(lane); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("storage: trim the log: %w", err)
	}
	e.mu.RLock()
	gone, log := e.gone, e.log
	e.mu.RUnlock()
	if gone {
		return storage.ErrClosed
	}
	first := min(before.Block, log.next)
	if first <= log.first {
		return nil
	}
	return e.forget(first)
}

// forget makes a sequence the first that is readable.
func (e *Engine) forget(first uint64) error {
	start, err := e.startOf(first)
	if errors.Is(err, wal.ErrTrimmed) {
		return nil // somebody else has trimmed further
	}
	if err != nil {
		return fmt.Errorf("storage: trim the log: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if first > e.log.first {
		e.log.first, e.log.start = first, start
		e.countHeld()
	}
	return nil
}

// forgetOldest keeps the log within LogMaxBytes, and its newest block in any case.
func (e *Engine) forgetOldest() error {
	log := e.position()
	limit := e.options.LogMaxBytes
	if limit <= 0 || log.end-log.start <= limit {
		return nil
	}
	low, high := log.first, log.next-1 // the first to stay is after low and at most high
	for high-low > 1 {
		middle := low + (high-low)/2
		start, err := e.startOf(middle)
		if err != nil {
			return err
		}
		if log.end-start > limit {
			low = middle
		} else {
			high = middle
		}
	}
	return e.forget(high)
}
