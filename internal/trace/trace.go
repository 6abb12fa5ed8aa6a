// Package trace is the one way by which the parts of the broker say what happens to connections and messages. An Event
// has typed reasons; what reads them are the memory of recent decisions, traces to files, and the debug log, which all say
// it with the same names.
//
//	drop, refusal, end of a connection ──→ Note ──→ gate ──→ memory, debug log
//	                                         │
//	everything, while it is watched ──→ Emit ┴────→ memory of the message, queue ──→ writer ──→ files
//
// While nobody traces and nothing was published over HTTP lately, a part that has something to say finds that out with
// one atomic load (Spine.Watch returns nil), and goes on.
package trace

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// Options make a Spine.
type Options struct {
	Dir             string // of the traces' files; made when the first is needed
	MaxTraces       int    // at the same time, stopped ones included
	MaxBytes        int64  // of one trace's log
	PayloadMaxBytes int    // of a payload, where a trace wants payloads
	RecentMaxBytes  int64  // of the memory of recent decisions
	Log             *slog.Logger
}

// Spine takes events. The nil Spine takes none. Its methods may be called from any goroutine, with locks held.
type Spine struct {
	opts    Options
	watch   atomic.Pointer[Watch]
	recent  *recent
	queue   chan item
	writing sync.WaitGroup

	until    atomic.Int64                // nanoseconds since 1970 up to which messages are watched that came over HTTP
	injected [injectedSlots]atomic.Int64 // when those were published, by a hash of it

	mu     sync.Mutex // guards what follows; taken by nobody who handles packets
	traces map[string]*trace
	now    func() time.Time
	closed bool
}

// Messages that come over HTTP are watched by themselves: their publisher was told an ID to ask for. As many as there are
// slots are known at a time, and for so long after the last one others are looked at to find them.
const (
	injectedSlots = 4096
	injectedFor   = 10 * time.Minute
)

// queueEvents is how many events may wait for the writer. What does not fit is left out of the traces, and counted there.
const queueEvents = 4096

// Open makes a spine, and knows the traces that an earlier process left, as stopped. Close ends it.
func Open(o Options) (*Spine, error) {
	s := &Spine{opts: o, recent: newRecent(o.RecentMaxBytes), queue: make(chan item, queueEvents), traces: make(map[string]*trace), now: time.Now}
	if err := s.restore(); err != nil {
		return nil, err
	}
	s.writing.Go(s.write)
	return s, nil
}

// Close stops all traces and the writer. Nothing is emitted any more.
func (s *Spine) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	for _, t := range s.traces {
		s.stop(t)
	}
	s.refresh()
	s.mu.Unlock()
	s.queue <- item{end: true}
	s.writing.Wait()
}

// Watch is what is watched now. It does not change.
type Watch struct {
	spine    *Spine
	rules    []*trace
	payloads bool
	injected bool // messages that came over HTTP are looked for
}

// Watch returns what is watched; nil: nothing, and there is nothing to emit.
func (s *Spine) Watch() *Watch {
	if s == nil {
		return nil
	}
	return s.watch.Load()
}

// Message emits what happens to a message, if it is watched. more completes the event; it is called only then.
func (w *Watch) Message(kind Kind, m *message.Message, clientID string, remote net.Addr, at time.Time, more func(*Event)) {
	known := w.injected && w.spine.isInjected(m)
	if !known && !w.sees(m, clientID, remote) {
		return
	}
	e := &Event{At: at, Kind: kind, ClientID: clientID, Remote: remote, Message: AboutMessage(m)}
	if more != nil {
		more(e)
	}
	w.emit(e, m)
}

// sees reports whether a trace is about a message or its subscriber.
func (w *Watch) sees(m *message.Message, clientID string, remote net.Addr) bool {
	for _, t := range w.rules {
		if t.isAbout(clientID, m.ClientID, m.Topic, nil, remote) {
			return true
		}
	}
	return false
}

// Connection reports whether a trace is about a connection, by its client, its address, or a topic that a packet names.
func (w *Watch) Connection(clientID string, remote net.Addr, topic string, filters []string) bool {
	for _, t := range w.rules {
		if t.isAbout(clientID, "", topic, filters, remote) {
			return true
		}
	}
	return false
}

// Emit writes an event to the traces that are about it, and remembers it with its message.
func (w *Watch) Emit(e *Event) { w.emit(e, nil) }

// emit is Emit, with the message for traces that want payloads; nil: none.
func (w *Watch) emit(e *Event, m *message.Message) {
	if e.Message.ID != "" {
		w.spine.recent.watch(e)
	}
	var to []*trace
	for _, t := range w.rules {
		if t.isAbout(e.ClientID, e.Message.ClientID, e.topic(), e.List, e.Remote) {
			to = append(to, t)
		}
	}
	if len(to) == 0 {
		return
	}
	it := item{event: e, to: to}
	if w.payloads && m != nil {
		it.payload = bytes.Clone(m.Payload[:min(len(m.Payload), w.spine.opts.PayloadMaxBytes)])
	}
	select {
	case w.spine.queue <- it:
	default:
		for _, t := range to {
			t.lost.Add(1)
		}
	}
}

// isOn reports whether an event is about a topic, or one that a filter matches.
func (e *Event) isOn(filter string) bool {
	topic := e.topic()
	return topic != "" && (topic == filter || mqtt.MatchTopic(filter, topic))
}

// Note takes an event that is always remembered: a drop, a refusal, the end of a connection. m is the message; nil: none.
// count is how many it stands for. more completes the event; it is called only if somebody reads it.
func (s *Spine) Note(kind Kind, reason message.DropReason, clientID string, m *message.Message, at time.Time, count int64, more func(*Event)) {
	if s == nil {
		return
	}
	key := clientID
	if key == "" && m != nil {
		key = m.ClientID // the message as a whole is its publisher's
	}
	class := classOf(kind, reason)
	skipped, admitted := s.recent.admit(class, key, at)
	w := s.watch.Load()
	if !admitted && w == nil {
		return
	}
	e := &Event{At: at, Kind: kind, Reason: reason, ClientID: clientID, Message: AboutMessage(m)}
	if count > 1 {
		e.Count = count
	}
	if more != nil {
		more(e)
	}
	if w != nil {
		w.note(e, m)
	}
	if admitted {
		s.recent.keep(class, key, e, count+skipped)
		s.debug(e, skipped)
	}
}

// note emits what is always remembered, if it is watched as well.
func (w *Watch) note(e *Event, m *message.Message) {
	switch {
	case m != nil && (w.sees(m, e.ClientID, e.Remote) || w.injected && w.spine.isInjected(m)),
		m == nil && w.Connection(e.ClientID, e.Remote, e.Topic, nil):
		w.emit(e, m)
	}
}

// debug logs an event.
func (s *Spine) debug(e *Event, skipped int64) {
	log := s.opts.Log
	if log == nil || !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	var attrs []slog.Attr
	for name, value := range e.Fields() {
		attrs = append(attrs, slog.Any(name, value))
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Int64("more_before", skipped))
	}
	log.LogAttrs(context.Background(), slog.LevelDebug, strings.ReplaceAll(e.Kind.String(), "_", " "), attrs...)
}

// Injected has a message that came over HTTP watched.
func (s *Spine) Injected(m *message.Message) {
	if s == nil {
		return
	}
	at := m.PublishedAt.UnixNano()
	s.injected[injectedSlot(at)].Store(at)
	until := m.PublishedAt.Add(injectedFor).UnixNano()
	if s.until.Swap(until) < m.PublishedAt.UnixNano() { // nobody looked for them
		s.mu.Lock()
		s.refresh()
		s.mu.Unlock()
	}
}

func injectedSlot(at int64) uint64 { return uint64(at) * 0x9E3779B97F4A7C15 >> (64 - 12) }

func (s *Spine) isInjected(m *message.Message) bool {
	at := m.PublishedAt.UnixNano()
	return s.injected[injectedSlot(at)].Load() == at
}

// refresh brings up to date what is watched. The caller holds s.mu.
func (s *Spine) refresh() {
	w := &Watch{spine: s, injected: !s.closed && s.until.Load() > s.now().UnixNano()}
	for _, t := range s.traces {
		if t.running {
			w.rules = append(w.rules, t)
			w.payloads = w.payloads || t.Payload != Hidden
		}
	}
	if len(w.rules) == 0 && !w.injected {
		w = nil
	}
	s.watch.Store(w)
}

// Events lists what is remembered and wanted, the newest first.
func (s *Spine) Events(q Query) []*Event { return s.recent.events(q) }

// Tallies lists how often messages of a client were dropped and its connections ended, by reason, what came last first.
// They are at least that many.
func (s *Spine) Tallies(clientID string) []Tally { return s.recent.tallies(clientID) }

// Story is what is remembered of one message, in the order in which it happened.
type Story struct {
	Message About
	Events  []*Event
}

// Stories lists messages of which something is remembered that is wanted, what happened last first. An event that is
// wanted brings all others of its message.
func (s *Spine) Stories(q Query) []Story {
	limit := q.Limit
	q.Limit = 0
	var ids []string
	for _, e := range s.recent.events(q) {
		if id := e.Message.ID; id != "" && !slices.Contains(ids, id) {
			if ids = append(ids, id); limit > 0 && len(ids) == limit {
				break
			}
		}
	}
	of := make(map[string][]*Event)
	for _, e := range s.recent.events(Query{}) {
		of[e.Message.ID] = append(of[e.Message.ID], e)
	}
	stories := make([]Story, 0, len(ids))
	for _, id := range ids {
		events := of[id]
		slices.Reverse(events)
		stories = append(stories, Story{events[0].Message, events})
	}
	return stories
}
