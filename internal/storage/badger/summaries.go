package badger

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/summary"
)

// This file makes summaries of the log's topics, and answers from them. A run is some 256 KiB of blocks with one summary
// (package summary), a span some 16 MiB of runs with a file (summaryfile.go). Summaries are made after the commit by a
// goroutine of their own, and can be missing anywhere: what has none is read. They are wrong only where the log loses
// blocks that it had, so opening forgets those that reach beyond its end.

const (
	runBytes  = 256 << 10
	spanBytes = 16 << 20
	spanRuns  = 256 // a span has no more, however small they are
	// summaryStep is how much log gathers before it is summarized.
	summaryStep = 1 << 20
	// summaryGap is how much of the log that has no summaries is read for them when the engine opens.
	summaryGap = 64 << 20
	// spansCached is how many spans are in memory besides the newest: readers who lag share them.
	spansCached = 4
	// spansAsked is how many spans are looked through at a time.
	spansAsked = 64
)

// run is a row of blocks, from the end of the one before up to next, and the summary of its topics.
type run struct {
	next    uint64
	summary []byte
}

// span is a row of runs with a file.
type span struct {
	first, next uint64
	runs        []run  // nil: not in memory
	buf         []byte // that they are in, if they were read
}

// summaries are what an engine has of them.
type summaries struct {
	wake chan struct{}
	upTo atomic.Int64 // the size of the log up to which it was looked through

	// Owned by the summarizer.
	builder summary.Builder
	next    uint64 // blocks before it are in runs, or have none
	bytes   int64  // of the run that is gathered
	spanned int64  // of the runs in newest

	mu     sync.Mutex
	files  []span // rising
	cached []span // the one used last at the end; nobody has their runs without mu
	free   []byte // the memory of one that was cached
	newest span   // what has no file yet
}

// summarizer keeps the summaries up with the log.
func (e *Engine) summarizer() {
	defer e.goroutine.Done()
	for {
		select {
		case <-e.summaries.wake:
			if err := e.summarize(); err != nil && !errors.Is(err, storage.ErrClosed) {
				e.logger.Warn("the log was not summarized", "error", err)
			}
		case <-e.ending:
			return
		}
	}
}

// summarize adds what was committed since the last time.
func (e *Engine) summarize() error {
	s := &e.summaries
	for !e.isEnding() {
		e.mu.RLock()
		log, b := e.log, e.recent.from(s.next)
		e.mu.RUnlock()
		s.upTo.Store(log.end)
		switch {
		case s.next >= log.next:
			return nil
		case s.next < log.first:
			s.restart(log.first)
		case b == nil:
			if err := e.summarizeDisk(log.next); err != nil {
				return err
			}
		default:
			for i := range b.records {
				s.builder.Add(b.records[i].Message.Topic)
			}
			e.summarized(b.header.seq+1, b.bytes)
		}
	}
	return nil
}

// errEnough ends a scan of the log.
var errEnough = errors.New("enough")

// summarizeDisk adds blocks that are not in memory, up to an end.
func (e *Engine) summarizeDisk(end uint64) error {
	s := &e.summaries
	at, err := e.locate(s.next, new([]byte))
	if err != nil {
		return err
	}
	disk := e.disk.Load()
	if disk == nil {
		return storage.ErrClosed
	}
	err = disk.Scan(at.disk, func(_ uint64, payload []byte) error {
		h, err := parseHeader(payload)
		if err != nil {
			return err
		}
		if h.records == 0 {
			return nil
		}
		if h.seq >= end || e.isEnding() {
			return errEnough
		}
		err = eachRecord(&h, payload, func(_ int, topic, _ []byte) error {
			s.builder.Add(string(topic))
			return nil
		})
		if err != nil {
			return err
		}
		e.summarized(h.seq+1, int64(len(payload)))
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	if err == nil {
		s.next = max(s.next, end) // only sequences that were left out
	}
	return err
}

func (e *Engine) isEnding() bool {
	select {
	case <-e.ending:
		return true
	default:
		return false
	}
}

// restart leaves what comes before a sequence without summaries.
func (s *summaries) restart(next uint64) {
	s.builder.AppendTo(nil)
	s.next, s.bytes, s.spanned = next, 0, 0
	s.mu.Lock()
	s.newest = span{first: next, next: next}
	s.mu.Unlock()
}

// summarized notes that the topics of the blocks before next are in the builder, and ends the run, and the span, if they
// are large enough.
func (e *Engine) summarized(next uint64, bytes int64) {
	s := &e.summaries
	s.next = next
	if s.bytes += bytes; s.bytes < e.options.runBytes {
		return
	}
	r := run{next: next, summary: s.builder.AppendTo(nil)}
	s.spanned += s.bytes
	s.bytes = 0
	s.mu.Lock()
	s.newest.runs = append(s.newest.runs, r)
	s.newest.next = next
	done := s.newest
	s.mu.Unlock()
	if s.spanned < e.options.spanBytes && len(done.runs) < spanRuns {
		return
	}
	s.spanned = 0
	err := e.writeSpan(&done)
	if err != nil {
		e.logger.Warn("a summary of the log was not written", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = span{first: next, next: next}
	if err == nil {
		s.files = append(s.files, span{first: done.first, next: done.next})
	}
}

// skip returns the first place at or after another that may have something for q: nothing between has. It goes no
// further than the block before, and nowhere from a place that is gone.
func (e *Engine) skip(ctx context.Context, from message.Position, before uint64, q *summary.Question) message.Position {
	e.mu.RLock()
	first, end := e.log.first, min(before, e.log.next)
	e.mu.RUnlock()
	if q == nil || from.Block < first {
		return from
	}
	at := from.Block
	for range spansAsked {
		next, held := e.skipSpan(at, q)
		if next == at || at >= end || ctx.Err() != nil {
			break
		}
		if at = next; held {
			break
		}
	}
	if at = min(at, end); at > from.Block {
		return message.Position{Block: at}
	}
	return from
}

// skip returns the first sequence at or after another whose run may hold something, or the span's end.
func (s *span) skip(at uint64, q *summary.Question) uint64 {
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].next > at })
	for ; i < len(s.runs); i++ {
		if q.MayHold(s.runs[i].summary) {
			return at
		}
		at = s.runs[i].next
	}
	return at
}

// skipSpan returns the first sequence at or after another in whose run the summaries do not deny it, up to the end of the
// span, and whether that is before this end. Without a summary it is that other sequence.
func (e *Engine) skipSpan(at uint64, q *summary.Question) (next uint64, held bool) {
	s := &e.summaries
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.inMemory(at)
	if found == nil {
		i := sort.Search(len(s.files), func(i int) bool { return s.files[i].next > at })
		if i == len(s.files) || s.files[i].first > at {
			return at, false
		}
		if found = e.cacheSpan(s.files[i]); found == nil {
			return at, false
		}
	}
	next = found.skip(at, q)
	return next, next < found.next
}

// inMemory returns the span with a sequence, with its runs; nil: it is not there. The caller holds mu.
func (s *summaries) inMemory(at uint64) *span {
	if s.newest.first <= at && at < s.newest.next {
		return &s.newest
	}
	i := slices.IndexFunc(s.cached, func(c span) bool { return c.first <= at && at < c.next })
	if i < 0 {
		return nil
	}
	found := s.cached[i]
	s.cached = append(slices.Delete(s.cached, i, i+1), found)
	return &s.cached[len(s.cached)-1]
}

// cacheSpan reads the runs of a span, in the memory of the one that goes for it; nil: they are of no use. The caller holds
// mu, which is not held while they are read.
func (e *Engine) cacheSpan(found span) *span {
	s := &e.summaries
	buf := s.free
	s.free = nil
	s.mu.Unlock()
	buf, err := e.readSpan(&found, buf)
	s.mu.Lock()
	if err != nil {
		e.logger.Warn("a summary of the log is of no use", "error", err)
		s.files = slices.DeleteFunc(s.files, func(f span) bool { return f.first == found.first })
		return nil
	}
	found.buf = buf
	if len(s.cached) >= spansCached {
		s.free = s.cached[0].buf
		s.cached = slices.Delete(s.cached, 0, 1)
	}
	s.cached = append(s.cached, found)
	return &s.cached[len(s.cached)-1]
}

// forgetSummaries removes the files of spans that end before a sequence.
func (e *Engine) forgetSummaries(first uint64) error {
	s := &e.summaries
	s.mu.Lock()
	n := sort.Search(len(s.files), func(i int) bool { return s.files[i].next > first })
	gone := slices.Clone(s.files[:n])
	s.files = slices.Delete(s.files, 0, n)
	s.cached = slices.DeleteFunc(s.cached, func(c span) bool { return c.next <= first })
	s.mu.Unlock()
	return e.removeSpans(gone)
}
