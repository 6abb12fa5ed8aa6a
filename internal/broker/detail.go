package broker

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/listener"
	"github.com/barid-mqtt/barid/internal/storage"
)

// Detail is what metrics show of the broker's parts.
type Detail struct {
	Health        storage.Health
	Listeners     []ListenerDetail
	Groups        []GroupDetail // those that lag most, at most so many as were asked for
	GroupCount    int
	Consumers     []ConsumerDetail // likewise
	ConsumerCount int
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
	Waiting      int64 // messages in the log and parked for it, as far as that was counted since the start
	WaitingBytes int64
}

// StreamDetail is a stream.
type StreamDetail struct {
	Name     string
	Messages uint64
	Bytes    int64 // in its own store
}

// Detail looks at the broker's parts, and at the groups and consumers that lag most: at most so many of each.
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
	d.Groups, d.GroupCount = b.groupDetails(groups, func(g *group) bool { return g.consumer == nil })
	d.Consumers, d.ConsumerCount = b.consumerDetails(groups), len(b.consumers.all())
	return d
}

// groupDetails describes the groups for which most waits, of those that are wanted, and says how many of these there are.
func (b *Broker) groupDetails(most int, wanted func(*group) bool) (details []GroupDetail, count int) {
	b.groups.each(func(g *group) {
		if !wanted(g) {
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		waiting := g.waitingFor()
		details = append(details, GroupDetail{
			Name: g.key.name, Filter: g.key.filter, Durable: g.durable.Load(), Members: g.members.Len(),
			Queued: len(g.queue), Waiting: waiting.messages, WaitingBytes: waiting.bytes,
		})
	})
	count = len(details)
	slices.SortFunc(details, func(x, y GroupDetail) int {
		return cmp.Or(cmp.Compare(y.WaitingBytes, x.WaitingBytes), cmp.Compare(y.Queued, x.Queued), strings.Compare(x.Name+x.Filter, y.Name+y.Filter))
	})
	return details[:min(most, count)], count
}
