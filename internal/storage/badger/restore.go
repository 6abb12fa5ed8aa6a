package badger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/wal"
)

// restoreBytes is how many bytes of keys are gathered before they are written.
const restoreBytes = 8 << 20

// Restore makes a data directory from a snapshot. The directory must have no data. Sequences, positions and tokens go on
// where they were. Open refuses a directory in which Restore did not come to its end.
func Restore(o Options, r io.Reader) error {
	o = o.withDefaults()
	dir, err := lockDirectory(o.FS, o.Dir)
	if err != nil {
		return err
	}
	err = restoreIn(&o, dir, &snapshotReader{r: bufio.NewReaderSize(r, 64<<10)})
	if err == nil {
		err = dir.writeVersion()
	}
	if err = errors.Join(err, dir.unlock()); err != nil {
		return fmt.Errorf("storage: restore a snapshot: %w", err)
	}
	return nil
}

func restoreIn(o *Options, dir *directory, s *snapshotReader) (err error) {
	found, err := dir.exists(versionName)
	if err != nil {
		return err
	}
	if found {
		return fmt.Errorf("storage: %s has data already", dir.path)
	}
	if err := dir.mustBeEmpty(); err != nil {
		return err
	}
	h, err := restoreHeader(s)
	if err != nil {
		return err
	}
	st, err := openState(o.stateDir(), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	unsynced := *o
	unsynced.Sync = SyncKernel // until Close, which syncs: before that it is no data directory anyway
	disk, err := openDisk(&unsynced, dir, h.from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	return (&restorer{header: h, state: st, disk: disk, keys: new(changes)}).run(s)
}

// snapshotHeader is what a snapshot's first frame says.
type snapshotHeader struct {
	meta
	from, count uint64 // blocks on disk
}

func restoreHeader(s *snapshotReader) (h snapshotHeader, err error) {
	var magic [len(snapshotMagic)]byte
	if err := s.full(magic[:]); err != nil {
		return h, err
	}
	if string(magic[:]) != snapshotMagic {
		return h, ErrSnapshot
	}
	kind, body, err := s.frame()
	if err != nil {
		return h, err
	}
	var version uint64
	for _, number := range []*uint64{&version, &h.applied, &h.first, &h.next, &h.from, &h.count} {
		v, n := binary.Uvarint(body)
		if n <= 0 {
			return h, fmt.Errorf("%w: its header is cut off", ErrSnapshot)
		}
		*number, body = v, body[n:]
	}
	if version != snapshotVersion {
		return h, fmt.Errorf("%w: it has version %d, this program knows %d", ErrSnapshot, version, snapshotVersion)
	}
	if kind != frameHeader || len(body) > 0 || h.from == 0 || h.count > 0 && h.applied+1 < h.from {
		return h, fmt.Errorf("%w: its header is not valid", ErrSnapshot)
	}
	return h, nil
}

// restorer fills a state and a log.
type restorer struct {
	header snapshotHeader
	state  *state
	disk   *wal.Log
	keys   *changes
	bytes  int
	blocks uint64
}

func (r *restorer) run(s *snapshotReader) error {
	for {
		sum := s.sum // of everything before the frame
		kind, body, err := s.frame()
		if err != nil {
			return err
		}
		switch kind {
		case frameKey:
			err = r.key(body)
		case frameBlock:
			err = r.block(body)
		case frameEnd:
			if len(body) != 4 || binary.BigEndian.Uint32(body) != sum || r.blocks != r.header.count {
				return fmt.Errorf("%w: its end does not fit", ErrSnapshot)
			}
			return r.end()
		default:
			err = fmt.Errorf("%w: unknown frame %q", ErrSnapshot, kind)
		}
		if err != nil {
			return err
		}
	}
}

func (r *restorer) key(body []byte) error {
	key, rest, ok := cutBytes(body)
	if !ok {
		return fmt.Errorf("%w: a key is cut off", ErrSnapshot)
	}
	value, rest, ok := cutBytes(rest)
	if !ok || len(rest) > 0 || len(key) > maxKeyBytes || len(value) > maxValueBytes {
		return fmt.Errorf("%w: a key is not valid", ErrSnapshot)
	}
	r.keys.Set(string(key), append([]byte{}, value...))
	if r.bytes += len(body); r.bytes < restoreBytes {
		return nil
	}
	return r.flush(meta{})
}

func (r *restorer) flush(m meta) error {
	keys := r.keys
	r.keys, r.bytes = new(changes), 0
	return r.state.apply(keys, m)
}

// block appends a block.
func (r *restorer) block(body []byte) error {
	h, err := parseHeader(body)
	if err == nil {
		_, err = decodeOps(&h, body)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	r.blocks++
	if _, err := r.disk.Append(body); err != nil {
		if errors.Is(err, wal.ErrNoSpace) {
			err = fmt.Errorf("%w: %w", storage.ErrFull, err)
		}
		return err
	}
	return nil
}

func (r *restorer) end() error {
	if err := r.flush(r.header.meta); err != nil {
		return err
	}
	return r.state.sync()
}
