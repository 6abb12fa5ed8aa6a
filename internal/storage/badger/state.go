package badger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/tidwall/btree"

	"github.com/barid-mqtt/barid/internal/storage"
)

// Keys in the state begin with one of these bytes.
const (
	metaPrefix = 0x01 // the engine's own
	userPrefix = 0x02 // the keys of units
	dropPrefix = 0x03 // no key for long: see state.collect
)

var metaKey = []byte{metaPrefix, 's'}

// What a transaction takes at most. Badger's own limit is 15 % of a memtable, about 300 KiB and 3,200 changes.
const (
	memTableBytes = 2 << 20
	txnChanges    = 2000
	txnBytes      = 192 << 10
)

// The longest key and value that the state takes.
const (
	maxKeyBytes   = 60_000
	maxValueBytes = valueLogBytes - 4096
	valueLogBytes = 16 << 20
)

// changes are puts and deletes (nil) by key.
type changes = btree.Map[string, []byte]

// meta is what the state says of itself. It is written with the last transaction of a batch of changes.
type meta struct {
	applied uint64 // blocks of the log on disk up to this one are in the state
	first   uint64 // the first block that Trim left
	next    uint64 // the sequence after the last block with records that is in the state
}

// state is the key-value store. It may be behind the log; replaying the log from applied, or from anywhere before it,
// brings it up to date.
type state struct {
	db         *badgerdb.DB // nil: it was closed and could not be opened again yet
	dir        string
	collected  int64        // size of the value logs after they were last collected; the keeper's
	failed     bool         // a sync has: what was written since the last good one may be lost; whoever makes checkpoints owns it
	room       func() error // says why nothing may be written; nil: there is room
	beforeSync func() error // nil: nothing; for tests
}

var errStateClosed = errors.New("storage: the state is not open")

func openState(dir string, o *Options) (*state, error) {
	s := &state{dir: dir, beforeSync: o.stateSync, room: o.roomForState}
	return s, s.open(o.Logger)
}

// open opens the database, which is not open.
func (s *state) open(log *slog.Logger) error {
	dir := s.dir
	if err := s.room(); err != nil {
		return fmt.Errorf("storage: open the state in %s: %w", dir, err)
	}
	if err := removeStubs(dir); err != nil {
		return err
	}
	db, err := badgerdb.Open(stateOptions(dir, log))
	if err != nil {
		return fmt.Errorf("storage: open the state in %s: %w", dir, err)
	}
	s.db, s.failed = db, false
	return nil
}

// stateOptions are small, since Badger builds up to a dozen tables at once and keeps the memory of eight for the next
// ones. A builder takes twice the size of its table. With compression it would take many times that: what ends a table
// is then its compressed size, and what is built is kept both ways. Without, no blocks have to be cached either; tables
// of a time when they were compressed are still read. Each level has tables of twice the size of those above, so that a
// state of 10 GB takes some 1,500 descriptors, not 10,000.
func stateOptions(dir string, log *slog.Logger) badgerdb.Options {
	return badgerdb.DefaultOptions(dir).
		WithLogger(stateLogger{log}).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithMemTableSize(memTableBytes).
		WithNumMemtables(2).
		WithNumLevelZeroTables(5).
		WithNumLevelZeroTablesStall(15).
		WithBaseTableSize(1 << 20).
		WithNumCompactors(2).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithValueThreshold(2048).
		WithValueLogFileSize(valueLogBytes)
}

// removeStubs removes the empty file that a process leaves which was killed between making a memtable or value log and
// giving it its size. Badger takes it for one that it has just made, and does not open.
func removeStubs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("storage: look into the state: %w", err)
	}
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		info, err := entry.Info()
		if err == nil && info.Size() == 0 {
			err = os.Remove(filepath.Join(dir, entry.Name()))
		}
		if err != nil {
			return fmt.Errorf("storage: remove an unfinished file of the state: %w", err)
		}
	}
	return nil
}

// close closes the database. Without room for what it would write then, it is left to the end of the process, as if that
// were killed: the next start replays.
func (s *state) close() error {
	db := s.db
	if err := s.room(); err != nil && db != nil {
		s.db = nil
		return err
	}
	if s.db = nil; db == nil {
		return nil
	}
	if err := db.Close(); err != nil {
		return fmt.Errorf("storage: close the state: %w", err)
	}
	return nil
}

func stateKey[B []byte | string](key B) []byte {
	return append(append(make([]byte, 0, 1+len(key)), userPrefix), key...)
}

func (s *state) get(key []byte) ([]byte, error) {
	if s.db == nil {
		return nil, errStateClosed
	}
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	return valueOf(txn, stateKey(key))
}

func valueOf(txn *badgerdb.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badgerdb.ErrKeyNotFound) {
		return nil, storage.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("storage: look up a key: %w", err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("storage: look up a value: %w", err)
	}
	return value, nil
}

func (s *state) meta() (meta, error) {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	value, err := valueOf(txn, metaKey)
	if errors.Is(err, storage.ErrNotFound) {
		return meta{}, nil
	}
	if err != nil {
		return meta{}, err
	}
	if len(value) != 24 {
		return meta{}, fmt.Errorf("storage: the state's own entry has %d bytes", len(value))
	}
	return meta{
		applied: binary.LittleEndian.Uint64(value),
		first:   binary.LittleEndian.Uint64(value[8:]),
		next:    binary.LittleEndian.Uint64(value[16:]),
	}, nil
}

func (m meta) bytes() []byte {
	b := binary.LittleEndian.AppendUint64(nil, m.applied)
	b = binary.LittleEndian.AppendUint64(b, m.first)
	return binary.LittleEndian.AppendUint64(b, m.next)
}

// apply writes changes, in as many transactions as they need, and m with the last of them. If it fails, some of the
// changes may be there; applying them again is no harm.
func (s *state) apply(c *changes, m meta) error {
	if s.db == nil {
		return errStateClosed
	}
	w := &stateWriter{db: s.db, txn: s.db.NewTransaction(true), room: s.room}
	defer func() { w.txn.Discard() }()
	var err error
	c.Scan(func(key string, value []byte) bool {
		err = w.change(stateKey(key), value)
		return err == nil
	})
	if err == nil {
		err = w.change(metaKey, m.bytes())
	}
	if err == nil {
		err = w.commit()
	}
	if err != nil {
		return fmt.Errorf("storage: write the state: %w", err)
	}
	return nil
}

// stateWriter spreads changes over transactions.
type stateWriter struct {
	db    *badgerdb.DB
	txn   *badgerdb.Txn
	room  func() error // as state's
	count int
	bytes int
}

// commit ends a transaction, if there is room for it.
func (w *stateWriter) commit() error {
	if err := w.room(); err != nil {
		return err
	}
	return w.txn.Commit()
}

func (w *stateWriter) change(key, value []byte) error {
	size := len(key) + len(value)
	if w.count > 0 && (w.count >= txnChanges || w.bytes+size > txnBytes) {
		if err := w.commit(); err != nil {
			return err
		}
		w.txn, w.count, w.bytes = w.db.NewTransaction(true), 0, 0
	}
	w.count++
	w.bytes += size
	if value == nil {
		return w.txn.Delete(key)
	}
	return w.txn.Set(key, value)
}

// scan calls fn for the keys with a prefix, from one of them on, until fn returns false. The slices are valid during
// the call.
func (s *state) scan(prefix, from string, fn func(key, value []byte) bool) error {
	if s.db == nil {
		return errStateClosed
	}
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	return scanTxn(txn, prefix, from, fn)
}

func scanTxn(txn *badgerdb.Txn, prefix, from string, fn func(key, value []byte) bool) error {
	o := badgerdb.DefaultIteratorOptions
	o.Prefix = stateKey(prefix)
	o.PrefetchValues = false
	it := txn.NewIterator(o)
	defer it.Close()
	var goOn bool
	for it.Seek(stateKey(from)); it.ValidForPrefix(o.Prefix); it.Next() {
		item := it.Item()
		err := item.Value(func(value []byte) error {
			goOn = fn(item.Key()[1:], value)
			return nil
		})
		if err != nil {
			return fmt.Errorf("storage: scan the state: %w", err)
		}
		if !goOn {
			break
		}
	}
	return nil
}

// sync makes all that was applied durable. Badger's own Sync does not reach memtables and value logs that were set
// aside and not written out yet, so their files are synced here as well.
func (s *state) sync() error {
	if s.db == nil {
		return errStateClosed
	}
	var err error
	if s.beforeSync != nil {
		err = s.beforeSync()
	}
	if err == nil {
		err = s.db.Sync()
	}
	if err == nil {
		err = syncFiles(s.dir, ".mem", ".vlog")
	}
	if err != nil {
		s.failed = true
		return fmt.Errorf("storage: sync the state: %w", err)
	}
	return nil
}

func syncFiles(dir string, extensions ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !slices.Contains(extensions, filepath.Ext(entry.Name())) {
			continue
		}
		if err := syncFile(filepath.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // one that is gone was written out, and that was synced
		}
	}
	return syncFile(dir)
}

func syncFile(name string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}

// Collecting old values is worth its while when the value logs have grown by so much.
const collectBytes = 4 * valueLogBytes

// collect gives back the space of old values, if the value logs have grown since it last did. Nobody may write
// meanwhile.
//
// Badger knows what is old in a value log only from what it dropped when it compacted, which may be never where few keys
// change often; dropping a prefix, that of one key for the purpose, makes it write out and compact. And it removes a value log once
// what is left of it was copied, not once the copy is durable; an open iterator makes it keep the file, and the iterator
// is closed after a sync.
func (s *state) collect() error {
	size, err := s.valueBytes()
	if err != nil || size < s.collected+collectBytes {
		return err
	}
	if err := s.compact(); err != nil {
		return fmt.Errorf("storage: compact the state: %w", err)
	}
	if err := s.rewrite(); err != nil {
		return err
	}
	s.collected, err = s.valueBytes()
	return err
}

func (s *state) compact() error {
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	if err := txn.Set([]byte{dropPrefix}, nil); err != nil {
		return err
	}
	if err := txn.Commit(); err != nil {
		return err
	}
	return s.db.DropPrefix([]byte{dropPrefix})
}

func (s *state) rewrite() error {
	txn := s.db.NewTransaction(false)
	o := badgerdb.DefaultIteratorOptions
	o.PrefetchValues = false
	hold := txn.NewIterator(o)
	var err error
	for err == nil {
		err = s.db.RunValueLogGC(0.5)
	}
	if syncErr := s.sync(); syncErr != nil {
		return syncErr // the iterator stays open: what it holds may be the only copy on the disk
	}
	hold.Close()
	txn.Discard()
	if !errors.Is(err, badgerdb.ErrNoRewrite) && !errors.Is(err, badgerdb.ErrRejected) {
		return fmt.Errorf("storage: collect old values: %w", err)
	}
	return nil
}

// valueBytes is the size of the value logs.
func (s *state) valueBytes() (size int64, err error) {
	entries, err := os.ReadDir(s.dir)
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".vlog" {
			continue
		}
		if info, err := entry.Info(); err == nil {
			size += info.Size()
		}
	}
	return size, err
}

// stateLogger passes Badger's lines on: its errors and warnings are ours, the rest is for debugging.
type stateLogger struct{ log *slog.Logger }

func (l stateLogger) line(format string, args []any) (string, slog.Attr) {
	return "state", slog.String("says", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (l stateLogger) Errorf(format string, args ...any) {
	message, says := l.line(format, args)
	l.log.Error(message, says)
}

func (l stateLogger) Warningf(format string, args ...any) {
	message, says := l.line(format, args)
	l.log.Warn(message, says)
}

func (l stateLogger) Infof(format string, args ...any) { l.debug(format, args) }

func (l stateLogger) Debugf(format string, args ...any) { l.debug(format, args) }

func (l stateLogger) debug(format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		message, says := l.line(format, args)
		l.log.Debug(message, says)
	}
}
