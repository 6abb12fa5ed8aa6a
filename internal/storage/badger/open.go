package badger

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/wal"
)

// ErrWordSize says that the program was built for 32 bits. Badger's table builder takes memory twice there, once a table
// outgrows its first buffer, and what is read later is not what was written.
var ErrWordSize = errors.New("a program for 32 bits cannot keep data on disk: Badger damages its tables there; set durability: memory, or use a build for 64 bits")

// Open opens a data directory, or makes one. It replays what the state may lack, so that the engine it returns has all
// that was ever done. On 32 bits it returns ErrWordSize.
func Open(o Options) (*Engine, error) {
	if strconv.IntSize < 64 {
		return nil, ErrWordSize
	}
	o = o.withDefaults()
	dir, err := lockDirectory(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	e, err := openIn(&o, dir)
	if err != nil {
		return nil, errors.Join(err, dir.unlock())
	}
	return e, nil
}

func openIn(o *Options, dir *directory) (*Engine, error) {
	if err := dir.prepare(); err != nil {
		return nil, err
	}
	s, err := openState(o.stateDir(), o)
	if err != nil {
		return nil, err
	}
	o.took = new(storage.Commit)
	disk, err := openDisk(o, dir, 0)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	e := newEngine(o, dir, s)
	e.disk.Store(disk)
	if err := e.recoverState(); err != nil {
		return nil, errors.Join(err, disk.Close(), s.close())
	}
	e.start()
	return e, nil
}

func newEngine(o *Options, dir *directory, s *state) *Engine {
	e := &Engine{
		options:  *o,
		logger:   o.Logger,
		dir:      dir,
		state:    s,
		cache:    newCache(o.CacheBytes),
		done:     make(chan settled, 1),
		gathered: make(chan struct{}, 1),
		dirty:    make(chan struct{}, 1),
		urgent:   make(chan struct{}, 1),
		keep:     make(chan struct{}, 1),
		ending:   make(chan struct{}),
		closed:   make(chan struct{}),
		claims:   claims{limit: claimsKept},
		overlay:  newOverlay(),
		tails:    make(map[*tail]struct{}),
	}
	e.summaries.wake = make(chan struct{}, 1)
	e.queued = sync.NewCond(&e.queueMu)
	e.moved = sync.NewCond(&e.mu)
	return e
}

func (e *Engine) start() {
	e.lookAtSpace()
	e.front.Add(2)
	go e.run()
	go e.release()
	e.goroutine.Add(4)
	go e.apply()
	go e.keeper()
	go e.summarizer()
	go e.pageKeeper()
}

// recoverState finds out where the log is and brings the state up to date. Nothing runs yet.
func (e *Engine) recoverState() error {
	m, err := e.state.meta()
	if err != nil {
		return err
	}
	e.applied = m
	if err := e.findEnds(m); err != nil {
		return err
	}
	if err := e.replay(m); err != nil {
		return err
	}
	if err := e.skipTo(m.next); err != nil {
		return err
	}
	if err := e.openSummaries(); err != nil {
		return err
	}
	e.visible = e.log.next
	return nil
}

// findEnds reads the first and the last block on disk.
func (e *Engine) findEnds(m meta) error {
	disk := e.disk.Load()
	if recovery := disk.Recovery(); recovery.CutBytes > 0 {
		e.logger.Warn("the log's torn end was cut off", "file", recovery.File, "offset", recovery.Offset,
			"bytes", recovery.CutBytes, "lost_blocks", recovery.LostBlocks)
	}
	e.log = position{first: 1, next: 1, disk: disk.Next() - 1}
	e.nextUnit = 1
	e.index.add(point{disk: disk.First() - 1, after: 1})
	if disk.First() == disk.Next() {
		return nil
	}
	oldest, err := e.headerOf(disk.First())
	if err != nil {
		return err
	}
	newest, err := e.headerOf(e.log.disk)
	if err != nil {
		return err
	}
	e.index = index{}
	e.index.add(point{disk: disk.First() - 1, after: oldest.header.seq})
	e.index.add(point{disk: e.log.disk, after: newest.header.after()})
	e.log.first, e.log.start = oldest.header.seq, oldest.header.start
	e.log.next, e.log.end = newest.header.after(), newest.header.start
	if newest.header.records > 0 {
		e.log.end += newest.bytes
	}
	e.log.checkpoint = newest.header.checkpoint
	e.nextUnit = newest.header.firstUnit + uint64(newest.header.units)
	e.claims.last, e.claims.permitted = newest.header.tokens, newest.header.tokens
	return e.forget(min(m.first, e.log.next))
}

// headerOf reads a block's header.
func (e *Engine) headerOf(disk uint64) (*block, error) {
	buf := scratch.Get().(*[]byte)
	defer putScratch(buf)
	payload, err := e.readInto(*buf, disk)
	if err != nil {
		return nil, err
	}
	*buf = payload
	h, err := parseHeader(payload)
	if err != nil {
		return nil, fmt.Errorf("storage: read block %d on disk: %w", disk, err)
	}
	return &block{header: h, disk: disk, bytes: int64(len(payload))}, nil
}

// replay applies the ops after the last checkpoint again: a power cut may have left the state with any mixture of them.
func (e *Engine) replay(m meta) error {
	disk := e.disk.Load()
	if m.applied+1 < disk.First() {
		return fmt.Errorf("storage: the state in %s has the log up to block %d, and the log begins with block %d: they do not belong together",
			e.options.stateDir(), m.applied, disk.First())
	}
	if m.applied > e.log.disk {
		// With SyncKernel a power cut does this; else the log's last block was damaged after it was synced.
		e.logger.Error("the log lost blocks that the state has", "log_ends", e.log.disk, "state_has", m.applied)
	}
	e.log.applied = min(m.applied, e.log.disk)
	e.log.checkpoint = min(e.log.checkpoint, e.log.applied)
	from := max(e.log.checkpoint+1, disk.First())
	err := disk.Scan(from, func(sequence uint64, payload []byte) error {
		h, err := parseHeader(payload)
		if err != nil {
			return fmt.Errorf("storage: replay block %d on disk: %w", sequence, err)
		}
		ops, err := decodeOps(&h, payload)
		if err != nil {
			return fmt.Errorf("storage: replay block %d on disk: %w", sequence, err)
		}
		e.log.unkept += int64(len(payload))
		e.index.learn(point{disk: sequence, after: h.after()})
		e.overlay.put(ops)
		if e.overlay.bytes() > overlayLimit {
			return e.flushReplay(sequence)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.flushReplay(e.log.disk)
}

func (e *Engine) flushReplay(applied uint64) error {
	old := e.overlay.age()
	if old == nil {
		return nil
	}
	defer e.overlay.forget()
	applied = max(applied, e.log.applied) // it had more before
	m := meta{applied: applied, first: e.log.first, next: e.log.next}
	if err := e.state.apply(old, m); err != nil {
		return err
	}
	e.log.applied, e.applied = applied, m
	return nil
}

// skipTo leaves out sequences, so that none is used twice, if the log lost blocks that the state knows of. That happens
// after a power cut with SyncKernel only. An empty block keeps the gap.
func (e *Engine) skipTo(next uint64) error {
	if next <= e.log.next {
		return nil
	}
	h := header{seq: next, start: e.log.end, firstUnit: e.nextUnit, tokens: e.claims.permitted, checkpoint: e.log.checkpoint}
	sequence, err := e.disk.Load().Append(appendBlock(nil, &h, nil))
	if err != nil {
		return fmt.Errorf("storage: write the log: %w", err)
	}
	e.log.disk, e.log.next = sequence, next
	e.index.add(point{disk: sequence, after: next})
	return nil
}

// Close implements storage.Engine. It waits for the callbacks that are left, so it must not be called from one.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() {
		e.queueMu.Lock()
		e.closing = true
		e.queueMu.Unlock()
		e.queued.Signal()
		e.front.Wait()
		e.drainTails()
		close(e.ending)
		e.goroutine.Wait()
		e.closeErr = e.letGo()
		close(e.closed)
	})
	<-e.closed
	return e.closeErr
}

// letGo gives up everything that an engine holds. Its goroutines have ended.
func (e *Engine) letGo() error {
	e.mu.Lock()
	e.gone = true
	e.mu.Unlock()
	err := e.leaveCheckpoint()
	e.use.Lock() // whoever reads the state has finished
	defer e.use.Unlock()
	var noRoom *noRoomError
	if closeErr := e.state.close(); errors.As(closeErr, &noRoom) {
		e.logger.Warn("the state was left as a kill leaves it: the next start replays the log", "error", closeErr)
	} else {
		err = errors.Join(err, closeErr)
	}
	if disk := e.disk.Swap(nil); disk != nil {
		err = errors.Join(err, disk.Close())
	}
	return errors.Join(err, e.dir.unlock())
}

// leaveCheckpoint spares the next start the replay.
func (e *Engine) leaveCheckpoint() error {
	if e.fault != nil || e.stateErr != nil || e.log.disk == 0 {
		return nil
	}
	err := e.checkpoint()
	if err == nil {
		h := header{seq: e.log.next, start: e.log.end, firstUnit: e.nextUnit, tokens: e.claims.permitted, checkpoint: e.log.checkpoint}
		_, err = e.disk.Load().Append(appendBlock(nil, &h, nil))
	}
	if errors.Is(err, wal.ErrNoSpace) || errors.Is(err, storage.ErrFull) {
		e.logger.Warn("no room for a checkpoint: the next start replays the log", "error", err)
		return nil
	}
	return err
}
