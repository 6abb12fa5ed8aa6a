package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// Mem is a file system in memory that behaves as badly as a real one may. See the methods Crash, Kill, FailAfter, FailOnce and
// SetCapacity. It is exact about what was synced and, within that, as nasty as its seed makes it.
//
// Use NewMem.
type Mem struct {
	mu       sync.Mutex
	dirs     map[string]bool
	names    map[string]*node // as the running system sees them
	durable  map[string]*node // as they are on the disk
	pending  []change         // of names, since the last SyncDir of their directory; oldest first
	locks    map[string]*memLock
	rng      *rand.Rand
	capacity int64
	faults   []*fault
	counts   [opEnd]int
	epoch    int // counts crashes: files and locks of an earlier one are dead
}

// change is one change of names that is not durable. from is empty, or the name that went; to is empty, or the name that
// node came to have.
type change struct {
	from, to string
	node     *node
}

// NewMem returns an empty file system without a limit. The seed decides what a failing write or sync leaves.
func NewMem(seed uint64) *Mem {
	return &Mem{
		dirs:     map[string]bool{".": true, string(filepath.Separator): true},
		names:    map[string]*node{},
		durable:  map[string]*node{},
		locks:    map[string]*memLock{},
		rng:      rand.New(rand.NewPCG(seed, 0)),
		capacity: math.MaxInt64,
	}
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = filepath.Clean(name)
	if err := m.count(OpCreate, name); err != nil {
		return nil, err
	}
	n, err := m.create(name)
	if err != nil {
		return nil, err
	}
	return &memFile{m: m, node: n, name: name, epoch: m.epoch}, nil
}

func (m *Mem) create(name string) (*node, error) {
	switch {
	case m.names[name] != nil || m.dirs[name]:
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	case !m.dirs[filepath.Dir(name)]:
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist}
	}
	n := newNode()
	m.names[name] = n
	m.pending = append(m.pending, change{to: name, node: n})
	return n, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = filepath.Clean(name)
	if err := m.count(OpOpen, name); err != nil {
		return nil, err
	}
	n := m.names[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m: m, node: n, name: name, epoch: m.epoch}, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = filepath.Clean(name)
	if err := m.count(OpStat, name); err != nil {
		return Info{}, err
	}
	if n := m.names[name]; n != nil {
		return Info{Size: n.size}, nil
	}
	if m.dirs[name] {
		return Info{Dir: true}, nil
	}
	return Info{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	if err := m.count(OpList, dir); err != nil {
		return nil, err
	}
	if !m.dirs[dir] {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	var names []string
	for name := range m.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	for name := range m.dirs {
		if filepath.Dir(name) == dir && name != dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to = filepath.Clean(from), filepath.Clean(to)
	if err := m.count(OpRename, from); err != nil {
		return err
	}
	n := m.names[from]
	if n == nil || !m.dirs[filepath.Dir(to)] {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	c := change{from: from, to: to, node: n}
	c.apply(m.names)
	m.pending = append(m.pending, c)
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = filepath.Clean(name)
	if err := m.count(OpRemove, name); err != nil {
		return err
	}
	if m.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	c := change{from: name}
	c.apply(m.names)
	m.pending = append(m.pending, c)
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	if err := m.count(OpMkdir, dir); err != nil {
		return err
	}
	for d := dir; !m.dirs[d]; d = filepath.Dir(d) {
		if m.names[d] != nil {
			return &fs.PathError{Op: "mkdir", Path: d, Err: syscall.ENOTDIR}
		}
		m.dirs[d] = true
	}
	return nil
}

// SyncDir implements FS. One that fails leaves some of the directory's changes durable and the others pending.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	failed := m.count(OpSyncDir, dir)
	m.pending = slices.DeleteFunc(m.pending, func(c change) bool {
		concerns := c.from != "" && filepath.Dir(c.from) == dir || c.to != "" && filepath.Dir(c.to) == dir
		if !concerns || failed != nil && m.rng.IntN(2) == 0 {
			return false
		}
		c.apply(m.durable)
		return true
	})
	return failed
}

// apply makes the change in a set of names.
func (c change) apply(names map[string]*node) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.node
	}
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = filepath.Clean(name)
	if err := m.count(OpLock, name); err != nil {
		return nil, err
	}
	if m.locks[name] != nil {
		return nil, fmt.Errorf("vfs: lock %s: %w", name, ErrLocked)
	}
	if m.names[name] == nil {
		if _, err := m.create(name); err != nil {
			return nil, err
		}
	}
	l := &memLock{m: m, name: name}
	m.locks[name] = l
	return l, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.locks[l.name] == l {
		delete(l.m.locks, l.name)
	}
	return nil
}

// Free implements FS.
func (m *Mem) Free(dir string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.count(OpFree, dir); err != nil {
		return 0, err
	}
	return m.free(), nil
}

func (m *Mem) free() int64 {
	if m.capacity == math.MaxInt64 {
		return m.capacity
	}
	var used int64
	for _, n := range m.names {
		used += n.allocated()
	}
	return max(m.capacity-used, 0)
}

// Kill ends the process, as kill -9 does: open files and locks are dead, but the kernel keeps what was written.
func (m *Mem) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.locks = map[string]*memLock{}
	m.epoch++
}

// Crash cuts the power and starts the machine again. Everything that was synced is there. Of the rest, each sector of 512
// bytes, each size and each change of a name is as it was or as it was to be, as the seed decides, independently of the
// others. Open files and locks are dead, and faults are gone.
func (m *Mem) Crash(seed uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, c := range m.pending {
		if rng.IntN(2) == 0 {
			c.apply(m.durable)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.durable)) {
		m.durable[name].crash(rng)
	}
	m.pending = nil
	m.names = maps.Clone(m.durable)
	m.locks = map[string]*memLock{}
	m.faults = nil
	m.epoch++
}
