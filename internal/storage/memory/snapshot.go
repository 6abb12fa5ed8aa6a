package memory

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/tidwall/btree"

	"github.com/barid-mqtt/barid/internal/storage"
)

// A snapshot is the eight bytes "BARIDMEM" and then frames: a kind (one byte), the length of the body (uvarint), the
// body. Numbers in a body are uvarints, strings have their length before them.
//
//	H  header: format version (1), next block sequence, first block sequence, last token; comes first
//	K  a key and its value: key, value; in key order
//	B  a block: number of records, records; in sequence order, first to next
//	E  end: CRC-32C of everything before this frame, four bytes, big endian; comes last
//
// A record is: packet identifier, flags (record.go), published at, expires at (each nanoseconds since 1970 as a varint,
// if its flag is set), topic, payload, properties, client identifier, user name.
const (
	snapshotMagic   = "BARIDMEM"
	snapshotVersion = 1

	frameHeader = 'H'
	frameKey    = 'K'
	frameBlock  = 'B'
	frameEnd    = 'E'
)

// ErrSnapshot says that a stream is no whole snapshot of this package.
var ErrSnapshot = errors.New("storage: not a snapshot")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot implements storage.Engine. It is of one moment between two blocks; commits go on while it is written.
func (e *Engine) Snapshot(ctx context.Context, w io.Writer) error {
	m, err := e.moment()
	if err != nil {
		return err
	}
	s := &snapshotWriter{w: bufio.NewWriterSize(w, 64<<10)}
	s.write([]byte(snapshotMagic))
	header := binary.AppendUvarint(nil, snapshotVersion)
	header = binary.AppendUvarint(header, m.first+uint64(len(m.blocks)))
	header = binary.AppendUvarint(header, m.first)
	s.frame(frameHeader, binary.AppendUvarint(header, uint64(m.last)))
	m.kv.Scan(func(key string, value []byte) bool {
		s.keep(ctx.Err())
		s.body = appendBytes(appendBytes(s.body[:0], key), value)
		s.frame(frameKey, s.body)
		return s.err == nil
	})
	for _, records := range m.blocks {
		s.keep(ctx.Err())
		s.body = appendRecords(s.body[:0], records)
		s.frame(frameBlock, s.body)
	}
	s.frame(frameEnd, binary.BigEndian.AppendUint32(nil, s.sum))
	s.keep(s.w.Flush())
	if s.err != nil {
		return fmt.Errorf("storage: write a snapshot: %w", s.err)
	}
	return nil
}

// moment is the state of an engine between two blocks. Nobody changes it.
type moment struct {
	kv     *btree.Map[string, []byte]
	first  uint64 // sequence of blocks[0]
	blocks [][]storage.Record
	last   storage.Token
}

func (e *Engine) moment() (moment, error) {
	e.mu.Lock() // copying the map marks its nodes as shared
	defer e.mu.Unlock()
	if e.gone {
		return moment{}, storage.ErrClosed
	}
	m := moment{kv: e.kv.Copy(), first: e.log.first, last: e.claims.last}
	for sequence := e.log.first; sequence < e.log.next(); sequence++ {
		m.blocks = append(m.blocks, e.log.block(sequence).Records)
	}
	return m, nil
}

// snapshotWriter writes frames until the first error, which it keeps.
type snapshotWriter struct {
	w    *bufio.Writer
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
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = kind
	n := binary.PutUvarint(head[1:], uint64(len(body)))
	s.write(head[:1+n])
	s.write(body)
}

// Restore starts an engine with what a snapshot holds. It reads up to the snapshot's end frame, and perhaps a little
// further, from r. Sequences and tokens go on where they were.
func Restore(o Options, r io.Reader) (*Engine, error) {
	e := newEngine(o)
	if err := e.restore(&snapshotReader{r: bufio.NewReaderSize(r, 64<<10)}); err != nil {
		return nil, fmt.Errorf("storage: restore a snapshot: %w", err)
	}
	go e.run()
	return e, nil
}

func (e *Engine) restore(s *snapshotReader) error {
	var magic [len(snapshotMagic)]byte
	if err := s.full(magic[:]); err != nil {
		return err
	}
	if string(magic[:]) != snapshotMagic {
		return ErrSnapshot
	}
	next, err := e.restoreHeader(s)
	if err != nil {
		return err
	}
	for {
		sum := s.sum // of everything before the frame
		kind, body, err := s.frame()
		if err != nil {
			return err
		}
		if kind == frameEnd {
			if len(body) != 4 || binary.BigEndian.Uint32(body) != sum || e.log.next() != next {
				return fmt.Errorf("%w: its end does not fit", ErrSnapshot)
			}
			e.visible = next
			e.forgetOldest()
			return nil
		}
		if err := e.restoreFrame(kind, body); err != nil {
			return err
		}
	}
}

func (e *Engine) restoreFrame(kind byte, body []byte) error {
	switch kind {
	case frameKey:
		return e.restoreKey(body)
	case frameBlock:
		return e.restoreBlock(body)
	}
	return fmt.Errorf("%w: unknown frame %q", ErrSnapshot, kind)
}

func (e *Engine) restoreHeader(s *snapshotReader) (next uint64, err error) {
	kind, body, err := s.frame()
	if err != nil {
		return 0, err
	}
	d := decoder{body}
	version, next, first, last := d.uvarint(), d.uvarint(), d.uvarint(), d.uvarint()
	if kind != frameHeader || !d.whole() || first == 0 || next < first {
		return 0, fmt.Errorf("%w: its header is not valid", ErrSnapshot)
	}
	if version != snapshotVersion {
		return 0, fmt.Errorf("%w: it has version %d, this program knows %d", ErrSnapshot, version, snapshotVersion)
	}
	e.log.base, e.log.first = first, first
	e.claims.last = storage.Token(last)
	return next, nil
}

func (e *Engine) restoreKey(body []byte) error {
	d := decoder{body}
	key, value := d.bytes(), d.bytes()
	if !d.whole() {
		return fmt.Errorf("%w: a key is cut off", ErrSnapshot)
	}
	e.kv.Set(string(key), append([]byte{}, value...))
	return nil
}

func (e *Engine) restoreBlock(body []byte) error {
	d := decoder{body}
	records := d.records()
	if !d.whole() || len(records) == 0 {
		return fmt.Errorf("%w: a block is cut off", ErrSnapshot)
	}
	e.log.append(records)
	return nil
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
	if size > 1<<40 {
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
