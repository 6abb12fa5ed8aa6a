package broker

import (
	"runtime/metrics"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	counters "github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/monitor"
)

// This file watches how the broker is doing: what there is of everything, and how much happens.

// rateWindow is over how many seconds the current rates are taken.
const rateWindow = 10

// tick is what was counted until a moment.
type tick struct {
	at     time.Time
	counts monitor.Counts
}

// watch is what is remembered of how the broker was doing.
type watch struct {
	history *monitor.History

	mu     sync.Mutex // guards what follows
	levels counters.Levels
	ticks  []tick // one a second, the oldest first
	sample tick   // when the history got its last sample
	// commits are those until the last sample; owned by the timers' goroutine.
	commits counters.Distribution
}

func newWatch(now time.Time) watch {
	return watch{history: monitor.New(), ticks: []tick{{at: now}}, sample: tick{at: now}}
}

// Metrics are the broker's counters.
func (b *Broker) Metrics() *counters.Metrics { return b.metrics }

// Monitor is how the broker was doing.
func (b *Broker) Monitor() *monitor.History { return b.watch.history }

// Levels counts what there is, which takes a moment where there are many sessions.
func (b *Broker) Levels() counters.Levels {
	var shared, durable, away int64
	b.groups.each(func(g *group) {
		g.mu.Lock()
		shared += int64(g.members.Len())
		g.mu.Unlock()
	})
	for _, c := range b.registry.all() {
		if !c.durable.Load() {
			continue
		}
		if !c.online.Load() {
			away++
		}
		c.mu.Lock()
		durable += int64(c.subs.len())
		c.mu.Unlock()
	}
	b.delayed.mu.Lock()
	waiting := b.delayed.n
	b.delayed.mu.Unlock()
	w := &b.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &w.levels
	b.noteLevels(l)
	l.Shared.Set(shared)
	l.Delayed.Set(int64(waiting))
	l.DurableSubscriptions, l.DurableAway = durable, away
	return *l
}

// noteLevels notes what is known without counting. The caller holds watch.mu.
func (b *Broker) noteLevels(l *counters.Levels) {
	l.Sessions.Set(int64(b.registry.len()))
	l.Connected.Set(b.connections.Load())
	l.Topics.Set(int64(b.router.Filters()))
	l.Subscriptions.Set(b.subscriptions.Load())
	l.Retained.Set(int64(b.retained.Len()))
}

// countedSoFar is what was counted since the broker started.
func (b *Broker) countedSoFar() monitor.Counts {
	m := b.metrics
	return monitor.Counts{
		Received: m.PublishReceived.Load(), Sent: m.PublishSent.Load(),
		BytesReceived: m.BytesReceived.Load(), BytesSent: m.BytesSent.Load(),
		Dropped: m.DroppedTotal() + m.Dropped(message.DropNoSubscriber), Persisted: m.Logged.Load(),
	}
}

// watchLoad notes once a second how much there is and happens, and every ten seconds gives the history a sample.
func (b *Broker) watchLoad(now time.Time) {
	w := &b.watch
	counts := b.countedSoFar()
	w.mu.Lock()
	b.noteLevels(&w.levels)
	if len(w.ticks) > rateWindow {
		w.ticks = append(w.ticks[:0], w.ticks[len(w.ticks)-rateWindow:]...)
	}
	w.ticks = append(w.ticks, tick{now, counts})
	last := w.sample
	due := now.Truncate(monitor.Interval).After(last.at)
	if due {
		w.sample = tick{now, counts}
	}
	w.mu.Unlock()
	if !due || !b.restored.Load() {
		return
	}
	s := monitor.Sample{Time: now.Truncate(monitor.Interval).UTC(), Counts: counts.Since(last.counts), States: b.states()}
	all := b.metrics.Commit.Load()
	commits := all.Since(w.commits)
	w.commits = all
	s.Commits, s.CommitTime, s.CommitSlow = commits.Count(), commits.Sum, commits.Quantile(0.99)
	w.history.Add(s)
}

// states are how things are.
func (b *Broker) states() monitor.States {
	l, h := b.Levels(), b.engine.Health()
	return monitor.States{
		Sessions: l.Sessions.Now, Connected: l.Connected.Now, Subscriptions: l.Subscriptions.Now, Topics: l.Topics.Now,
		DurableSubscriptions: l.DurableSubscriptions, DurableAway: l.DurableAway,
		Retained: l.Retained.Now, Shared: l.Shared.Now, Delayed: l.Delayed.Now,
		MemoryBytes: MemoryInUse(), LogBytes: h.LogBytes, DiskFree: h.FreeBytes, QueueBytes: h.QueueBytes, Alarms: int64(b.alarms.ActiveCount()),
	}
}

// Current is how things are now, and what happened in the last seconds, of which there were so many.
func (b *Broker) Current() (states monitor.States, counts monitor.Counts, seconds float64) {
	now, so := time.Now(), b.countedSoFar()
	w := &b.watch
	w.mu.Lock()
	first := w.ticks[0]
	w.mu.Unlock()
	return b.states(), so.Since(first.counts), max(now.Sub(first.at).Seconds(), 0.001)
}

// Started is when the broker was made.
func (b *Broker) Started() time.Time { return b.started }

// MaxDescriptors is how many descriptors the process may have; 0: no limit, or it is not known.
func (b *Broker) MaxDescriptors() uint64 { return b.descriptors.limit }

// MemoryInUse is how much of the machine's memory the process holds, as Go's runtime counts it.
func MemoryInUse() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64()) - int64(s[1].Value.Uint64())
}
