package stream

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/summary"
)

// What one call of History returns and does.
const (
	defaultLimit = 100
	maxLimit     = 10_000
	maxPageBytes = 16 << 20
	maxLogBytes  = 64 << 20 // of the log that are looked through
	readBytes    = 1 << 20
)

// Query asks for a part of the history.
type Query struct {
	Stream   string           // name of a stream; "": what the log has, or a stream that has all that Filters match
	Filters  []string         // topic filters; none: everything
	From     message.Position // where to begin; zero: as far back as there is anything
	Since    time.Time        // not zero: begin with the first message that was published then
	Limit    int              // messages; 0: 100
	MaxBytes int              // of their topics, payloads and properties, but at least one message; 0: 16 MiB
}

// Page is a part of the history.
type Page struct {
	Records []router.Record
	// Next is where to go on. A page may be empty, or not full, and yet not the last.
	Next message.Position
	// Complete says that the page has everything that was published in its part of the history and matches, as far back as
	// the stream reaches if the query said no place: nothing had been let go of, or was not kept to begin with.
	Complete bool
	// End says that there was nothing more when the page was made.
	End bool
}

// pager fills a page.
type pager struct {
	Page
	filters []string
	limit   int
	room    int
	st      *Stream // nil: no stream
	s       *Streams
	now     time.Time
}

// History returns messages in the order of the log.
func (s *Streams) History(ctx context.Context, q Query) (*Page, error) {
	p := &pager{s: s, filters: q.Filters, limit: q.Limit, room: q.MaxBytes, now: time.Now()}
	if p.limit <= 0 {
		p.limit = defaultLimit
	}
	p.limit = min(p.limit, maxLimit)
	if p.room <= 0 {
		p.room = maxPageBytes
	}
	p.room = min(p.room, maxPageBytes)
	if p.st = s.choose(q); p.st == nil && q.Stream != "" {
		return nil, ErrUnknown
	}
	if p.st == nil {
		return s.logHistory(ctx, q, p)
	}
	return p.st.history(ctx, q, p)
}

// choose returns the stream that a query is answered from; nil: the log.
func (s *Streams) choose(q Query) *Stream {
	if q.Stream != "" {
		return s.Get(q.Stream)
	}
	return s.Covering(q.Filters)
}

// Covering returns a stream that has every message that the filters match; nil: there is none.
func (s *Streams) Covering(filters []string) *Stream {
	if len(filters) == 0 {
		return nil
	}
	for _, st := range s.All() {
		if c := st.Config(); !c.LastValue && CoversAll(c.Filters, filters) {
			return st
		}
	}
	return nil
}

// history answers from a stream.
func (st *Stream) history(ctx context.Context, q Query, p *pager) (*Page, error) {
	if st.Config().LastValue { // so that a topic has one message
		if err := st.Flush(ctx); err != nil {
			return nil, err
		}
	}
	from := q.From
	if !q.Since.IsZero() {
		at, err := st.Locate(ctx, q.Since)
		if err != nil {
			return nil, err
		}
		if from.Less(at) {
			from = at
		}
	}
	p.Complete = st.completeFrom(q)
	for {
		next, err := st.Kept(ctx, from, p.take)
		if err != nil {
			return nil, err
		}
		if p.full() {
			p.Next = next
			return &p.Page, nil
		}
		again, err := st.s.readLog(ctx, next, p)
		if err != nil {
			return nil, err
		}
		if !again {
			return &p.Page, nil
		}
		from = p.Next // the stream has taken over more of the log meanwhile
		if first := st.s.o.Engine.Health().First; st.End().Less(first) {
			p.Complete, from = false, first // it had not: there is a gap
		}
	}
}

// completeFrom reports whether the stream has missed nothing of what a query asks for.
func (st *Stream) completeFrom(q Query) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if q.From.IsZero() && q.Since.IsZero() {
		return !st.state.First.Less(st.state.Complete)
	}
	if !q.Since.IsZero() {
		if st.cfg.Keep > 0 && q.Since.Before(time.Now().Add(-st.cfg.Keep)) {
			return false
		}
		return !q.Since.Before(st.state.CompleteSince)
	}
	floor := st.state.First
	if floor.Less(st.state.Complete) {
		floor = st.state.Complete
	}
	return !q.From.Less(floor)
}

// logHistory answers from what the log happens to have.
func (s *Streams) logHistory(ctx context.Context, q Query, p *pager) (*Page, error) {
	from := q.From
	if !q.Since.IsZero() {
		at, err := s.locate(ctx, from, q.Since)
		if err != nil {
			return nil, err
		}
		from = at
	}
	for {
		again, err := s.readLog(ctx, from, p)
		if err != nil || !again {
			return &p.Page, err
		}
		from = s.o.Engine.Health().First
	}
}

// readLog fills the page from the log. again says that the log was trimmed: from p.Next on it is to be tried again.
func (s *Streams) readLog(ctx context.Context, from message.Position, p *pager) (again bool, err error) {
	p.Next = from
	asks := summary.Ask(p.asked())
	for looked := 0; looked < maxLogBytes; looked += readBytes {
		blocks, next, err := s.o.Engine.ReadFor(ctx, 0, p.Next, readBytes, math.MaxUint64, asks)
		var trimmed *storage.TrimmedError
		if errors.As(err, &trimmed) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if next == p.Next {
			p.End = true
			return false, nil
		}
		for _, blk := range blocks {
			for i, rec := range blk.Records {
				pos := message.Position{Block: blk.Seq, Index: uint32(i)}
				if rec.Message == nil || pos.Less(p.Next) || p.st != nil && !p.st.Matches(rec.Message.Topic) || !p.shows(rec.Message) {
					continue
				}
				if !p.take(router.Record{Position: pos, Message: rec.Message}) {
					p.Next = pos
					return false, nil
				}
			}
		}
		p.Next = next
	}
	return false, nil
}

// asked are filters that match all that the page is to have.
func (p *pager) asked() []string {
	switch {
	case len(p.filters) > 0:
		return p.filters
	case p.st != nil:
		return p.st.Config().Filters
	}
	return []string{"#"}
}

func (p *pager) shows(m *message.Message) bool {
	if p.st != nil {
		return p.st.Shows(m, p.now)
	}
	return !p.s.o.Expired(m, p.now)
}

func (p *pager) full() bool { return len(p.Records) >= p.limit || p.room <= 0 }

// take takes a record into the page; false: the page is full.
func (p *pager) take(r router.Record) bool {
	if p.full() {
		return false
	}
	if len(p.filters) > 0 && !matchesAny(p.filters, r.Message.Topic) {
		return true
	}
	size := len(r.Message.Topic) + len(r.Message.Payload) + len(r.Message.Properties)
	if size > p.room && len(p.Records) > 0 {
		p.room = 0
		return false
	}
	p.room -= size
	p.Records = append(p.Records, r)
	return true
}
