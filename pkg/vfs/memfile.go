package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

// memFile is an open file of a Mem.
type memFile struct {
	m      *Mem
	node   *node
	name   string
	epoch  int
	closed bool // guarded by m.mu
}

// begin counts an operation. dead says that the file cannot be used, failed that the operation is to fail. The caller
// holds m.mu.
func (f *memFile) begin(op Op) (dead, failed error) {
	if f.closed {
		return &fs.PathError{Op: op.String(), Path: f.name, Err: fs.ErrClosed}, nil
	}
	if f.epoch != f.m.epoch {
		return &fs.PathError{Op: op.String(), Path: f.name, Err: fmt.Errorf("before the crash: %w", fs.ErrClosed)}, nil
	}
	return nil, f.m.count(op, f.name)
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if dead, failed := f.begin(OpRead); dead != nil || failed != nil {
		return 0, first(dead, failed)
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	n := int(min(int64(len(p)), max(f.node.size-off, 0)))
	f.node.read(p[:n], off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	dead, failed := f.begin(OpWrite)
	if dead != nil {
		return 0, dead
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrInvalid}
	}
	n := len(p)
	switch free := f.m.free(); {
	case failed != nil:
		n = f.m.rng.IntN(len(p) + 1)
	case f.node.growth(off, int64(len(p))) > free:
		failed = &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		for n > 0 && f.node.growth(off, int64(n)) > free {
			n = max(n-chunkBytes, 0)
		}
	}
	f.node.write(p[:n], off)
	return n, failed
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	dead, failed := f.begin(OpSync)
	switch {
	case dead != nil:
		return dead
	case failed != nil:
		f.node.failSync(f.m.rng)
		return failed
	}
	f.node.sync()
	return nil
}

func (f *memFile) Preallocate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if dead, failed := f.begin(OpPreallocate); dead != nil || failed != nil {
		return first(dead, failed)
	}
	if f.node.growth(0, size) > f.m.free() {
		return &fs.PathError{Op: "preallocate", Path: f.name, Err: syscall.ENOSPC}
	}
	f.node.preallocate(size)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if dead, failed := f.begin(OpTruncate); dead != nil || failed != nil {
		return first(dead, failed)
	}
	f.node.truncate(size)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if dead, failed := f.begin(OpStat); dead != nil || failed != nil {
		return 0, first(dead, failed)
	}
	return f.node.size, nil
}

// Close never fails, but a second one does.
func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
