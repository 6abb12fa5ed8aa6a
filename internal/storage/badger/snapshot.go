package badger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/barid-mqtt/barid/internal/storage"
)

// A snapshot is the eight bytes "BARIDDIR" and then frames: a kind (one byte), the length of the body (uvarint), the
// body. Numbers in a body are uvarints, strings have their length before them.
//
//	H  header: format version (1), the state's place in the log on disk, first readable sequence, next sequence, first
//	   block on disk that follows, number of blocks that follow; comes first
//	K  a key and its value: key, value; in key order
//	B  a block of the log on disk, as it is there
//	E  end: CRC-32C of everything before this frame, four bytes, big endian; comes last
//
// The keys may be older than the log's end, or partly newer than the state's place; replaying the ops of the blocks
// after that place brings all of them to the moment of the last block.
const (
	snapshotMagic   = "BARIDDIR"
	snapshotVersion = 1

	frameHeader = 'H'
	frameKey    = 'K'
	frameBlock  = 'B'
	frameEnd    = 'E'

	frameBytes = 1<<30 + 1<<20 // no frame is longer
)

// ErrSnapshot says that a stream is no whole snapshot of this package.
var ErrSnapshot = errors.New("storage: not a snapshot")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot implements storage.Engine. It is of a moment between two blocks after the call; commits go on meanwhile, and
// the log on disk is not cut.
func (e *Engine) Snapshot(ctx context.Context, w io.Writer) error {
	e.use.RLock()
	defer e.use.RUnlock()
	e.keeping.RLock()
	defer e.keeping.RUnlock()
	if e.isGone() {
		return storage.ErrClosed
	}
	s := &snapshotWriter{w: bufio.NewWriterSize(w, 64<<10), ctx: ctx}
	s.keep(e.snapshot(s))
	s.frame(frameEnd, binary.BigEndian.AppendUint32(nil, s.sum))
	s.keep(s.w.Flush())
	if s.err != nil {
		return fmt.Errorf("storage: write a snapshot: %w", s.err)
	}
	return nil
}

func (e *Engine) isGone() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.gone
}

func (e *Engine) snapshot(s *snapshotWriter) error {
	applied := e.position().applied
	if e.state.db == nil {
		return errStateClosed
	}
	txn := e.state.db.NewTransaction(false)
	defer txn.Discard()
	log := e.position() // after the transaction: every op that it shows is in a block up to log.disk
	from, count := uint64(1), uint64(0)
	if log.disk > 0 {
		var err error
		if from, err = e.snapshotFrom(applied, log); err != nil {
			return err
		}
		count = log.disk + 1 - from
	}
	s.write([]byte(snapshotMagic))
	body := binary.AppendUvarint(nil, snapshotVersion)
	for _, number := range []uint64{min(applied, log.disk), log.first, log.next, from, count} {
		body = binary.AppendUvarint(body, number)
	}
	s.frame(frameHeader, body)
	err := scanTxn(txn, "", "", func(key, value []byte) bool {
		s.body = appendBytes(appendBytes(s.body[:0], key), value)
		s.frame(frameKey, s.body)
		return s.err == nil
	})
	for sequence := from; err == nil && s.err == nil && sequence < from+count; sequence++ {
		var payload []byte
		if payload, err = e.readDisk(sequence); err == nil {
			s.frame(frameBlock, payload)
		}
	}
	return err
}

// snapshotFrom returns the first block on disk that a snapshot needs: for its readers or for the state, and in any case
// the last, whose header goes on.
func (e *Engine) snapshotFrom(applied uint64, log position) (uint64, error) {
	from := min(applied+1, log.disk)
	if log.first < log.next {
		at, err := e.locate(log.first, new([]byte))
		if err != nil {
			return 0, err
		}
		from = min(from, at.disk)
	}
	return max(from, e.disk.Load().First()), nil
}

// snapshotWriter writes frames until the first error, which it keeps.
type snapshotWriter struct {
	w    *bufio.Writer
	ctx  context.Context
	sum  uint32
	body []byte // for the caller to build a body in
	err  error
}

func (s *snapshotWriter) keep(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *snapshotWriter) write(p []byte) {
	if s.err != nil {
		return
	}
	_, s.err = s.w.Write(p)
	s.sum = crc32.Update(s.sum, castagnoli, p)
}

func (s *snapshotWriter) frame(kind byte, body []byte) {
	s.keep(s.ctx.Err())
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = kind
	n := binary.PutUvarint(head[1:], uint64(len(body)))
	s.write(head[:1+n])
	s.write(body)
}

// snapshotReader reads frames. It takes memory as bytes arrive, not as a length claims.
type snapshotReader struct {
	r    *bufio.Reader
	sum  uint32
	body bytes.Buffer
}

func (s *snapshotReader) full(p []byte) error {
	if _, err := io.ReadFull(s.r, p); err != nil {
		return cutOff(err)
	}
	s.sum = crc32.Update(s.sum, castagnoli, p)
	return nil
}

// ReadByte makes the reader an io.ByteReader for binary.ReadUvarint.
func (s *snapshotReader) ReadByte() (byte, error) {
	var b [1]byte
	err := s.full(b[:])
	return b[0], err
}

// frame returns the next frame. Its body is valid until the next call.
func (s *snapshotReader) frame() (kind byte, body []byte, err error) {
	if kind, err = s.ReadByte(); err != nil {
		return 0, nil, err
	}
	size, err := binary.ReadUvarint(s)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if size > frameBytes {
		return 0, nil, fmt.Errorf("%w: a frame claims %d bytes", ErrSnapshot, size)
	}
	s.body.Reset()
	if _, err := io.CopyN(&s.body, s.r, int64(size)); err != nil {
		return 0, nil, cutOff(err)
	}
	s.sum = crc32.Update(s.sum, castagnoli, s.body.Bytes())
	return kind, s.body.Bytes(), nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", ErrSnapshot)
	}
	return err
}
