package broker

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is declared queues: $queue/<name>, where a stream of that name is declared. All who subscribe to it are members
// of one durable group, which is there from the first SUBSCRIBE on for as long as the stream is declared. It differs from
// other groups in where it reads: what the stream's own store has, and then the log, from the place on up to which the store
// is complete. So it never holds the log, and a message that came back is read from the stream again.

// queueAccount at the end of an account's key tells a queue's accounts from those that are left of a share that the same
// filter meant before the stream was declared.
const queueAccount = "\x00queue"

// queued returns the stream that a filter $queue/<name>… means; nil: none of that name is declared.
func (b *Broker) queued(filter string) *stream.Stream {
	name, _, _ := strings.Cut(filter[len(queuePrefix):], "/")
	return b.streams.Get(name)
}

// consumed returns the stream that a group of a name consumes; nil: none. The names of others have no slash.
func (b *Broker) consumed(group string) *stream.Stream {
	if name, ok := strings.CutPrefix(group, queuePrefix); ok {
		return b.streams.Get(name)
	}
	return nil
}

// isQueue reports whether the group consumes a stream, or did before that was taken out of the configuration.
func (g *group) isQueue() bool { return strings.HasPrefix(g.key.name, queuePrefix) }

// parseQueue takes $queue/<name> apart, where st is the stream of that name. A filter after it can only be the stream's own:
// members of one group that want different messages would have nobody to give the others to.
func (l *link) parseQueue(given string, st *stream.Stream) (p parsedFilter, share string, code mqtt.ReasonCode) {
	share = queuePrefix + st.Name()
	p.stream, p.key = st, l.key(given)
	if l.mount != "" {
		p.filter = l.mount + "#"
	}
	if _, filter, narrow := strings.Cut(given[len(queuePrefix):], "/"); narrow && !slices.Equal(st.Config().Filters, []string{l.mount + filter}) {
		return p, share, mqtt.TopicFilterInvalid
	}
	if !l.client.broker.cfg.MQTT.SharedAvailable {
		return p, share, mqtt.SharedNotSupported
	}
	return p, share, mqtt.Success
}

// beginning is where a group begins that was never there.
func (g *group) beginning() message.Position {
	if g.stream != nil {
		return message.Position{} // the oldest that the stream has
	}
	return g.broker.logEnd()
}

// matched are the filters by which the router finds the group.
func (g *group) matched() []string {
	if g.consumer != nil {
		return g.consumer.filters()
	}
	if g.stream != nil && g.key.filter == "" {
		return g.stream.Config().Filters
	}
	return []string{g.key.filter}
}

// wants reports whether a record of the log is the group's.
func (g *group) wants(m *message.Message) bool {
	if g.consumer != nil {
		return g.consumer.wants(m.Topic)
	}
	if g.stream == nil {
		return m.QoS > mqtt.AtMostOnce && mqtt.MatchTopic(g.key.filter, m.Topic)
	}
	return (g.key.filter == "" || mqtt.MatchTopic(g.key.filter, m.Topic)) && g.stream.Matches(m.Topic)
}

// tooOld drops what has waited longer than it may, or the stream does not show any more. What has expired by itself goes when its turn comes.
func (g *group) tooOld(m *message.Message) bool {
	if g.stream == nil {
		old := g.broker.tooOld(m, time.Now())
		if old {
			g.broker.drop(message.DropQueueAge, g.Name(), m, time.Now())
		}
		return old
	}
	if !g.stream.TooOld(m, time.Now()) {
		return false
	}
	g.broker.drop(message.DropStreamTrimmed, g.Name(), m, time.Now())
	return true
}

// ReadParked implements router.Parked: it queues what the stream's store has before the log, or what was parked.
func (g *group) ReadParked(ctx context.Context, b *conn.Batch) bool {
	if g.consumer != nil {
		return g.consumer.readHistory(ctx, b)
	}
	if g.stream == nil {
		return g.readParked(ctx, b)
	}
	from := g.skip(g.stream.Info().First)
	if !from.Less(g.stream.End()) {
		return true
	}
	b.AtEnd(g)
	n := 0
	next, err := g.stream.Records(ctx, from, func(r router.Record) bool {
		n++
		return n <= followTurn && g.readKept(r)
	})
	if err != nil {
		if ctx.Err() == nil {
			g.broker.log.Error("a queue's stream was not read", "queue", g.stream.Name(), "error", err)
		}
		return false
	}
	g.mu.Lock()
	if g.reads() && g.cursor.next.Less(next) {
		g.cursor.next = next
	}
	g.mu.Unlock()
	g.feed(b) // and it asks for another turn, if there is room
	return false
}

// reads reports whether the turn goes on. The caller holds g.mu.
func (g *group) reads() bool { return !g.cursor.live && g.durable.Load() && !g.rewound }

// readKept queues a record of the stream's store, and returns false if that is not to go on.
func (g *group) readKept(r router.Record) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.reads() {
		return false
	}
	return r.Position.Less(g.cursor.next) || !g.wants(r.Message) || g.tooOld(r.Message) || g.push(r)
}

// skip moves the group to the first message that the stream still has, and returns where it stands.
func (g *group) skip(first message.Position) message.Position {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reads() && g.cursor.next.Less(first) {
		if !g.cursor.next.IsZero() { // or it never began
			g.broker.drop(message.DropStreamTrimmed, g.Name(), nil, time.Now())
		}
		g.cursor.next = first
		g.changed()
	}
	return g.cursor.next
}

// retired moves queues past what their stream has let go of.
func (b *Broker) retired(st *stream.Stream, first, end message.Position, n uint64) {
	b.groups.each(func(g *group) {
		if g.stream == st {
			g.retired(first, end, n)
		}
	})
}

func (g *group) retired(first, end message.Position, n uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cursor.live || !g.cursor.next.Less(end) {
		return
	}
	if first.Less(g.cursor.next) || g.key.filter != "" {
		n = 1 // at least: how many of them the group had still to give is not known
	}
	g.broker.dropMany(message.DropStreamTrimmed, g.Name(), nil, time.Now(), int64(n))
	g.cursor.next = end
	g.changed()
}

// trimmed is why a message of the group is gone before it was read again.
func (g *group) trimmed() message.DropReason {
	if g.isQueue() {
		return message.DropStreamTrimmed
	}
	return message.DropLogTrimmed
}

// flight makes a delivery of what was kept of it, with the message from where the group reads. That is nil if it is gone.
func (g *group) flight(f *state.Flight, blk *storage.Block) (session.InFlight, error) {
	if !g.isQueue() || f.Released || f.Body != nil {
		return g.broker.flight(f, blk)
	}
	x := session.InFlight{PacketID: f.ID, Delivery: session.Delivery{QoS: f.QoS, Retain: f.Retain, SubscriptionIDs: f.SubscriptionIDs, Position: f.Position}}
	if g.stream == nil {
		return x, nil
	}
	m, err := g.stream.At(context.WithoutCancel(g.broker.ctx), f.Position)
	x.Delivery.Message = m
	return x, err
}

// changedMeaning reports whether a $queue filter stood for a share when it was subscribed to and means a stream now, or the
// other way round.
func (r *restorer) changedMeaning(s *state.Subscription, given string) bool {
	return strings.HasPrefix(given, queuePrefix) && (r.b.queued(given) != nil) != strings.HasPrefix(s.Share, queuePrefix)
}
