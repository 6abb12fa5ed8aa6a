package badger

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"
)

// Badger maps its tables into memory, and what was read or written of them counts for the process for as long as the table
// is there, although the kernel could have it back at any time. A scan of all sessions at a start, or a compaction, would
// leave as much as the state has. So such pages are given back: they stay in the kernel's cache, and whoever comes to one
// again finds it there.

const (
	pagesInterval = 100 * time.Millisecond
	// pagesStep is how many bytes of files more than after the last time are in memory when pages are given back.
	pagesStep = 8 << 20
)

// pageKeeper gives pages of tables back from time to time.
func (e *Engine) pageKeeper() {
	defer e.goroutine.Done()
	if e.options.keepPages {
		return
	}
	dir, err := filepath.Abs(e.state.dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		e.logger.Warn("the memory of tables is left to the kernel", "error", err)
		return
	}
	tick := time.NewTicker(pagesInterval)
	defer tick.Stop()
	for left := int64(0); ; {
		select {
		case <-e.ending:
			return
		case <-tick.C:
		}
		if mappedBytes() < left+pagesStep {
			continue
		}
		e.releasePages(dir)
		left = mappedBytes()
	}
}

// releasePages gives back what is in memory of the tables in a directory. Only of those that cannot be unmapped meanwhile:
// something else might be in their place.
func (e *Engine) releasePages(dir string) {
	e.use.RLock()
	defer e.use.RUnlock()
	if e.state.db == nil {
		return
	}
	tables, release := e.state.pinTables()
	defer release()
	eachMapping(func(address, size uintptr, path string) {
		if in, name := filepath.Split(path); tables[name] && in == dir+string(filepath.Separator) {
			forgetPages(address, size)
		}
	})
}

// pinTables returns the names of tables whose mappings stay until release is called.
func (s *state) pinTables() (names map[string]bool, release func()) {
	before := make(map[uint64]bool)
	for _, t := range s.db.Tables() {
		before[t.ID] = true
	}
	txn := s.db.NewTransaction(false)
	o := badgerdb.DefaultIteratorOptions
	o.PrefetchValues = false
	it := txn.NewIterator(o) // it holds all tables that there are now: those at least that are there before and after
	names = make(map[string]bool)
	for _, t := range s.db.Tables() {
		if before[t.ID] {
			names[tableName(t.ID)] = true
		}
	}
	return names, func() {
		it.Close()
		txn.Discard()
	}
}

// tableName is the name of a table's file, as Badger builds it.
func tableName(id uint64) string {
	n := strconv.FormatUint(id, 10)
	return strings.Repeat("0", max(0, 6-len(n))) + n + ".sst"
}
