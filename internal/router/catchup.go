package router

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/summary"
)

// readBytes is how much of the log a worker reads at a time.
const readBytes = 256 << 10

// Reader is a durable subscriber that lags behind: it reads the log from its own place, through its own subscriptions,
// when it can take more.
type Reader interface {
	// Lag returns where the reader stands; ok is false when it is not behind, or cannot take anything now.
	Lag() (from message.Position, ok bool)
	// Read offers a block, of which the reader takes the records from its place on. It returns false when it takes no
	// more for now. Where the reader is Asking, records that it has not asked for may have no message.
	Read(b *conn.Batch, blk storage.Block) bool
	// Join moves the reader's place to next, the end of what was read. If begun says that no later block was dispatched
	// yet, the reader belongs to the tail from then on, and Join returns true.
	Join(next message.Position, begun func() uint64) bool
	// Lost moves the reader's place to first, since the log was trimmed up to there.
	Lost(first message.Position)
}

// Parked is a Reader that may have messages which left the log before it read them. They come before the log.
type Parked interface {
	// ReadParked offers them to the reader, as far as it takes them, and reports whether none is left.
	ReadParked(ctx context.Context, b *conn.Batch) bool
}

// Asking is a Reader that says what it looks for, so that nothing else of the log need be read, or decoded.
type Asking interface {
	// Asks returns the question, which covers all that the reader may take from blocks that are dispatched; nil: anything.
	Asks() *summary.Question
}

// catchUp is the pool of workers that serve readers, in turns.
type catchUp struct {
	r       *Router
	ctx     context.Context
	cancel  context.CancelFunc
	mu      sync.Mutex
	wake    sync.Cond
	queue   []Reader
	states  map[Reader]turn
	stopped bool
	wg      sync.WaitGroup
}

// turn says what a reader that is with the pool is waiting for.
type turn uint8

const (
	queued turn = iota + 1
	served
	servedAgain // asked for another turn while it was served
)

func (c *catchUp) start(r *Router, workers int) {
	c.r = r
	c.wake.L = &c.mu
	c.states = make(map[Reader]turn)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for range workers {
		c.wg.Go(c.work)
	}
}

func (c *catchUp) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.cancel()
	c.wake.Broadcast()
	c.wg.Wait()
}

// CatchUp has a worker read the log for rd. It is called whenever rd fell behind and can take something: it got a
// connection, or room. Locks may be held.
func (r *Router) CatchUp(rd Reader) {
	c := &r.catchUp
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.states[rd] {
	case 0:
		c.states[rd] = queued
		c.queue = append(c.queue, rd)
		c.wake.Signal()
	case served:
		c.states[rd] = servedAgain
	}
}

func (c *catchUp) work() {
	b := conn.NewBatch()
	for {
		rd := c.next()
		if rd == nil {
			return
		}
		b.Now = time.Now()
		again := c.serve(b, rd)
		b.Flush(c.r.opts.Metrics)
		c.mu.Lock()
		if again || c.states[rd] == servedAgain {
			c.states[rd] = queued
			c.queue = append(c.queue, rd)
			c.wake.Signal()
		} else {
			delete(c.states, rd)
		}
		c.mu.Unlock()
	}
}

func (c *catchUp) next() Reader {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && !c.stopped {
		c.wake.Wait()
	}
	if c.stopped {
		return nil
	}
	rd := c.queue[0]
	c.queue[0] = nil
	c.queue = c.queue[1:]
	c.states[rd] = served
	return rd
}

// read reads some of the log for a reader: what it asks for.
func (c *catchUp) read(rd Reader, from message.Position) ([]storage.Block, message.Position, error) {
	e := c.r.opts.Engine
	a, ok := rd.(Asking)
	if !ok {
		return e.Read(c.ctx, 0, from, readBytes)
	}
	begun := c.r.Begun() // before it asks: subscriptions that come later hold from there on
	return e.ReadFor(c.ctx, 0, from, readBytes, begun, a.Asks())
}

// serve gives a reader one turn and reports whether it wants another at once.
func (c *catchUp) serve(b *conn.Batch, rd Reader) (again bool) {
	from, ok := rd.Lag()
	if !ok {
		return false
	}
	if p, ok := rd.(Parked); ok && !p.ReadParked(c.ctx, b) {
		return false
	}
	blocks, next, err := c.read(rd, from)
	var trimmed *storage.TrimmedError
	switch {
	case errors.As(err, &trimmed):
		rd.Lost(trimmed.First)
		return true
	case err != nil:
		return false // the engine is closed, or says by Health what is wrong with it
	}
	for _, blk := range blocks {
		if !rd.Read(b, blk) {
			return false
		}
	}
	return !rd.Join(next, c.r.Begun)
}
