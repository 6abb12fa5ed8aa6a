package trace

import (
	"container/list"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
)

// recent is the memory of what happened. Drops, refusals and ends of connections are always remembered, what happens to a
// message otherwise only while it is watched.
//
// What is always remembered is kept by class, a reason or a kind, and there by client: the last few events of each, and
// how many there were. A class has a share of the memory, and lets go of the client that was quiet for longest. So a
// client that has millions of messages dropped takes the room of one, a flood of one reason leaves the others alone, and
// what happened to a quiet client an hour ago is still there.
type recent struct {
	seed  maphash.Seed
	gates [classes]atomic.Pointer[gate]

	mu      sync.Mutex // guards what follows; nothing else is locked while it is held
	classes [classes]lru
	watched lru // of messages, by ID
}

// classes are the reasons, and after them the kinds that have none.
const (
	reasonClasses = 64
	classes       = reasonClasses + int(kinds)
)

// Bounds of the memory.
const (
	eventsKept     = 8  // of a client in a class
	eventsWatched  = 64 // of a watched message
	eventBytes     = 320
	entryBytes     = 160
	usedClasses    = 20 // what the memory is shared among: all reasons, and the kinds that are always remembered
	recentMinBytes = 256 << 10
)

func newRecent(maxBytes int64) *recent {
	r := &recent{seed: maphash.MakeSeed()}
	maxBytes = max(maxBytes, recentMinBytes)
	r.watched = newLRU(maxBytes / 2)
	for i := range r.classes {
		r.classes[i] = newLRU(maxBytes / 2 / usedClasses)
	}
	return r
}

// classOf is where an event that is always remembered belongs.
func classOf(kind Kind, reason message.DropReason) int {
	if reason != message.NotDropped {
		return min(int(reason), reasonClasses-1)
	}
	return reasonClasses + int(kind)
}

// lru is a bounded memory of entries by key, the one that was quiet for longest first to go.
type lru struct {
	limit, bytes int64
	entries      map[string]*list.Element // of *entry
	order        *list.List
}

// entry is what is remembered under one key.
type entry struct {
	key    string
	bytes  int64
	count  int64 // of events, with those that are not remembered by themselves
	events []*Event
}

func newLRU(limit int64) lru {
	return lru{limit: limit, entries: make(map[string]*list.Element), order: list.New()}
}

// add remembers an event under a key, which has at most n, and counts count.
func (l *lru) add(key string, e *Event, n int, count int64) {
	el, ok := l.entries[key]
	if !ok {
		el = l.order.PushFront(&entry{key: key, bytes: entryBytes + int64(len(key))})
		l.entries[key] = el
		l.bytes += el.Value.(*entry).bytes
	}
	l.order.MoveToFront(el)
	x := el.Value.(*entry)
	x.count += count
	if len(x.events) >= n {
		l.grow(x, -sizeOf(x.events[0]))
		x.events = slices.Delete(x.events, 0, 1)
	}
	x.events = append(x.events, e)
	l.grow(x, sizeOf(e))
	for l.bytes > l.limit && l.order.Len() > 1 {
		last := l.order.Remove(l.order.Back()).(*entry)
		delete(l.entries, last.key)
		l.bytes -= last.bytes
	}
}

func (l *lru) grow(x *entry, bytes int64) {
	x.bytes += bytes
	l.bytes += bytes
}

func sizeOf(e *Event) int64 {
	n := eventBytes + len(e.ClientID) + len(e.Username) + len(e.Text) + len(e.Topic) + len(e.Message.Topic) + len(e.Message.ClientID) + len(e.Message.Username)
	for _, s := range e.List {
		n += 16 + len(s)
	}
	return int64(n)
}

// gate decides which events of a class are remembered by themselves: of one client the first few, and then ten a
// second. Others are counted. It costs a flood little, and takes no lock.
type gate struct {
	slots  [gateSlots]gateSlot
	second atomic.Int64
	n      atomic.Int64 // in that second
}

type gateSlot struct {
	owner   atomic.Uint64 // hash of the client that has the slot
	due     atomic.Int64  // when it would have been quiet, if each event took gateInterval
	skipped atomic.Int64
}

const (
	gateSlots    = 256
	gateInterval = int64(100 * time.Millisecond)
	gateBurst    = 8
	gateSecond   = 2000 // of all clients
)

// admit reports whether an event is to be remembered by itself, and how many were not since the last one.
func (g *gate) admit(client uint64, now int64) (skipped int64, ok bool) {
	s := &g.slots[client%gateSlots]
	due := s.due.Load()
	if s.owner.Load() != client {
		s.owner.Store(client)
		s.skipped.Store(0)
		due = 0
	} else if due-now > (gateBurst-1)*gateInterval {
		s.skipped.Add(1)
		return 0, false
	}
	if second := now / int64(time.Second); g.second.Load() != second {
		g.second.Store(second)
		g.n.Store(0)
	}
	if g.n.Add(1) > gateSecond {
		s.skipped.Add(1)
		return 0, false
	}
	s.due.Store(max(due, now) + gateInterval)
	return s.skipped.Swap(0), true
}

// admit asks the gate of a class.
func (r *recent) admit(class int, client string, now time.Time) (skipped int64, ok bool) {
	g := r.gates[class].Load()
	if g == nil {
		r.gates[class].CompareAndSwap(nil, new(gate))
		g = r.gates[class].Load()
	}
	return g.admit(maphash.String(r.seed, client), now.UnixNano())
}

// keep remembers an event of a class for good, as far as anything is.
func (r *recent) keep(class int, client string, e *Event, count int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.classes[class].add(client, e, eventsKept, count)
}

// watch remembers an event of a message that is watched.
func (r *recent) watch(e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watched.add(e.Message.ID, e, eventsWatched, 1)
}

// Query says which events are wanted; empty fields say nothing.
type Query struct {
	ClientID  string // whom it is about, or who published
	Topic     string // of the message; a filter is possible
	MessageID string
	Reason    string // of the drop, or the kind of the event
	Since     time.Time
	Limit     int // 0: all
}

func (q *Query) wants(e *Event) bool {
	return (q.ClientID == "" || e.ClientID == q.ClientID || e.Message.ClientID == q.ClientID) &&
		(q.MessageID == "" || strings.EqualFold(e.Message.ID, q.MessageID)) &&
		(q.Reason == "" || e.Reason != message.NotDropped && e.Reason.String() == q.Reason || e.Kind.String() == q.Reason) &&
		!e.At.Before(q.Since) && (q.Topic == "" || e.isOn(q.Topic))
}

// events lists what is remembered and wanted, the newest first.
func (r *recent) events(q Query) []*Event {
	var found []*Event
	seen := make(map[*Event]bool)
	take := func(l *lru) {
		for el := l.order.Front(); el != nil; el = el.Next() {
			for _, e := range el.Value.(*entry).events {
				if !seen[e] && q.wants(e) {
					seen[e] = true
					found = append(found, e)
				}
			}
		}
	}
	r.mu.Lock()
	for i := range r.classes {
		take(&r.classes[i])
	}
	take(&r.watched)
	r.mu.Unlock()
	slices.SortStableFunc(found, func(a, b *Event) int { return b.At.Compare(a.At) })
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[:q.Limit]
	}
	return found
}

// Tally is how often something happened to a client.
type Tally struct {
	ClientID string
	Kind     Kind
	Reason   message.DropReason
	Count    int64 // as far back as the client is remembered
	Last     *Event
}

// tallies lists how often each thing happened to a client, what happened last first.
func (r *recent) tallies(client string) (all []Tally) {
	r.mu.Lock()
	for class := range r.classes {
		if el, ok := r.classes[class].entries[client]; ok {
			x := el.Value.(*entry)
			last := x.events[len(x.events)-1]
			all = append(all, Tally{client, last.Kind, last.Reason, x.count + r.skipped(class, client), last})
		}
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b Tally) int { return b.Last.At.Compare(a.Last.At) })
	return all
}

// skipped is how many of a client were counted since the last one that is remembered.
func (r *recent) skipped(class int, client string) int64 {
	g := r.gates[class].Load()
	if g == nil {
		return 0
	}
	h := maphash.String(r.seed, client)
	if s := &g.slots[h%gateSlots]; s.owner.Load() == h {
		return s.skipped.Load()
	}
	return 0
}
