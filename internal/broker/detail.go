package broker

import (
	"slices"
	"time"

	"github.com/barid-mqtt/barid/internal/listener"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// Detail is what metrics show of the broker's parts.
type Detail struct {
	Health        storage.Health
	Listeners     []ListenerDetail
	Groups        []GroupDetail // those that lag most, at most so many as were asked for
	GroupCount    int
	Streams       []StreamDetail // by name
	Loops         []time.Duration
	RetainedBytes int64
	DelayedBytes  int64
	MemoryUsed    int64 // of limits.memory_max_bytes
	MemoryLimit   int64 // 0: none
	Alarms        []string
}

// ListenerDetail is a listener and what it counted.
type ListenerDetail struct {
	Name, Type string
	listener.Stats
}

// GroupDetail is a shared group.
type GroupDetail struct {
	Name, Filter string
	Durable      bool
	Members      int
	Queued       int   // read and not given to anybody
	LagBytes     int64 // what the log holds for it, about
	from         message.Position
}

// StreamDetail is a stream.
type StreamDetail struct {
	Name     string
	Messages uint64
	Bytes    int64 // in its own store
}

// Detail looks at the broker's parts, and at the groups that lag most.
func (b *Broker) Detail(groups int) Detail {
	d := Detail{
		Health: b.engine.Health(), RetainedBytes: b.retained.Bytes(), Loops: b.loops.Busy(time.Now()),
		MemoryUsed: b.memory.Used(), MemoryLimit: b.cfg.Limits.MemoryMaxBytes,
	}
	for name, s := range b.listeners {
		if l := s.open.Load(); l != nil {
			d.Listeners = append(d.Listeners, ListenerDetail{name, s.options.Type, l.Stats()})
		}
	}
	for _, st := range b.streams.All() {
		info := st.Info()
		d.Streams = append(d.Streams, StreamDetail{st.Name(), info.Messages, info.Bytes})
	}
	for _, a := range b.alarms.Active() {
		d.Alarms = append(d.Alarms, a.Name)
	}
	b.delayed.mu.Lock()
	d.DelayedBytes = b.delayed.bytes
	b.delayed.mu.Unlock()
	d.Groups, d.GroupCount = b.groupDetails(groups)
	return d
}

// groupDetails describes the groups whose places in the log are the oldest, and says how many there are.
func (b *Broker) groupDetails(most int) (details []GroupDetail, count int) {
	begun := b.router.Begun()
	b.groups.each(func(g *group) {
		g.mu.Lock()
		defer g.mu.Unlock()
		details = append(details, GroupDetail{
			Name: g.key.name, Filter: g.key.filter, Durable: g.durable.Load(), Members: g.members.Len(),
			Queued: len(g.queue), from: g.cursor.place(begun),
		})
	})
	count = len(details)
	slices.SortFunc(details, func(x, y GroupDetail) int {
		switch {
		case x.Durable != y.Durable && x.Durable:
			return -1
		case x.Durable != y.Durable:
			return 1
		case x.from.Less(y.from):
			return -1
		case y.from.Less(x.from):
			return 1
		}
		return y.Queued - x.Queued
	})
	details = details[:min(most, count)]
	for i := range details {
		if g := &details[i]; g.Durable {
			g.LagBytes, _ = b.engine.Size(b.ctx, 0, g.from) // of a place that is gone, nothing is known
		}
	}
	return details, count
}
