package vfs

import (
	"io/fs"
	"math"
	"slices"
	"strconv"
)

// Op is a kind of operation of a Mem, to count it and to make it fail.
type Op uint8

// The kinds of operation.
const (
	OpAny Op = iota // all of them
	OpCreate
	OpOpen
	OpStat
	OpList
	OpRename
	OpRemove
	OpMkdir
	OpSyncDir
	OpLock
	OpFree
	OpRead
	OpWrite
	OpSync
	OpPreallocate
	OpTruncate
	opEnd
)

var opNames = [opEnd]string{
	"any", "create", "open", "stat", "list", "rename", "remove", "mkdir", "syncdir", "lock", "free",
	"read", "write", "sync", "preallocate", "truncate",
}

// String returns the name of the kind.
func (o Op) String() string {
	if o < opEnd {
		return opNames[o]
	}
	return "Op(" + strconv.Itoa(int(o)) + ")"
}

// fault makes operations fail.
type fault struct {
	op    Op
	after int // let that many pass
	err   error
	once  bool
}

// FailAfter lets n more operations of a kind pass and makes all later ones fail with an error wrapped in *fs.PathError,
// until Heal or Crash. A write that fails may have written a part; a sync that fails may have made durable a part, and
// what it did not is not made durable by a later sync. The other kinds do nothing when they fail.
func (m *Mem) FailAfter(n int, op Op, err error) { m.addFault(&fault{op: op, after: n, err: err}) }

// FailOnce is FailAfter for one operation; those after it work again.
func (m *Mem) FailOnce(n int, op Op, err error) {
	m.addFault(&fault{op: op, after: n, err: err, once: true})
}

func (m *Mem) addFault(f *fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, f)
}

// Heal ends all faults.
func (m *Mem) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = nil
}

// Count returns how many operations of a kind were begun.
func (m *Mem) Count(op Op) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[op]
}

// SetCapacity sets how many bytes fit in all, in chunks of 4 KiB; negative: no limit. A smaller capacity than what is
// used leaves nothing free. Writing more is ENOSPC, and then a part may have been written.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if bytes < 0 {
		bytes = math.MaxInt64
	}
	m.capacity = bytes
}

// count notes an operation and returns the error with which it is to fail. The caller holds m.mu.
func (m *Mem) count(op Op, name string) error {
	m.counts[OpAny]++
	m.counts[op]++
	var err error
	m.faults = slices.DeleteFunc(m.faults, func(f *fault) bool {
		if f.op != OpAny && f.op != op {
			return false
		}
		if f.after > 0 {
			f.after--
			return false
		}
		err = &fs.PathError{Op: op.String(), Path: name, Err: f.err}
		return f.once
	})
	return err
}
