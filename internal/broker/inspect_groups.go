package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/storage"
)

// GroupInfo is what can be seen of a group of shared subscriptions.
type GroupInfo struct {
	Name     string
	Filter   string // of a queue without one of its own: those of its stream
	Strategy string
	Durable  bool
	Declared bool // it is there without members
	Members  []MemberInfo
	Lag      int64 // messages that it has to give, or at least so many
	LagExact bool
}

// MemberInfo is one member of a group.
type MemberInfo struct {
	ClientID  string
	Connected bool
	InFlight  int // given to it by the group, and not finished
}

// What is read of the log to count how far groups lag behind: for one group, and for all of a list.
const (
	lagBytes     = 16 << 20
	lagBytesAll  = 64 << 20
	lagReadBytes = 1 << 20
)

// Groups lists the groups of shared subscriptions that match, but those of consumers, by name and filter: at most limit of them after the first
// skip, and how many there are. How far a group lags is counted, for which the log is read.
func (b *Broker) Groups(ctx context.Context, match func(name, filter string) bool, skip, limit int) (page []GroupInfo, total int, err error) {
	var all []*group
	b.groups.each(func(g *group) {
		if g.consumer == nil && (match == nil || match(g.key.name, g.shownFilter())) {
			all = append(all, g)
		}
	})
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(strings.Compare(a.key.name, b.key.name), strings.Compare(a.key.filter, b.key.filter))
	})
	total = len(all)
	budget := int64(lagBytesAll)
	skip = min(max(skip, 0), total)
	for _, g := range all[skip:min(skip+limit, total)] {
		info, err := g.info(ctx, &budget)
		if err != nil {
			return nil, total, err
		}
		page = append(page, info)
	}
	return page, total, nil
}

func (g *group) shownFilter() string { return strings.Join(g.matched(), ", ") }

// info describes the group.
func (g *group) info(ctx context.Context, budget *int64) (i GroupInfo, err error) {
	g.mu.Lock()
	i = GroupInfo{
		Name: g.key.name, Filter: g.shownFilter(), Strategy: g.members.Strategy().String(), Durable: g.durable.Load(), Declared: g.declared,
		Lag: int64(len(g.queue)), LagExact: true,
	}
	members := g.members.Members()
	i.Members = make([]MemberInfo, len(members))
	for k, m := range members {
		i.Members[k] = MemberInfo{ClientID: m.client.id, Connected: m.client.online.Load(), InFlight: m.account.n}
	}
	behind, from := i.Durable && !g.cursor.live, g.cursor.next
	g.mu.Unlock()
	for k, m := range members {
		i.Members[k].InFlight += m.client.inFlightOf(g)
	}
	if behind {
		var n int64
		n, i.LagExact, err = g.countFrom(ctx, from, budget)
		i.Lag += n
	}
	return i, err
}

// inFlightOf counts what a group that is not durable gave the client and is not finished.
func (c *client) inFlightOf(g *group) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.session.InFlightDeliveries() {
		if f.Delivery.Group == g {
			n++
		}
	}
	for d := range c.session.QueuedDeliveries() {
		if d.Group == g {
			n++
		}
	}
	return n
}

// countFrom counts what there is for the group from a place on, as far as the budget of bytes to read goes.
func (g *group) countFrom(ctx context.Context, from message.Position, budget *int64) (n int64, all bool, err error) {
	now, left := g.broker.clock.Now(), min(int64(lagBytes), *budget)
	defer func(before int64) { *budget -= before - left }(left)
	count := func(m *message.Message) {
		left -= messageBytes(m)
		if g.wants(m) && !m.Expired(now) && (g.stream == nil || !g.stream.TooOld(m, time.Now())) {
			n++
		}
	}
	if g.stream != nil && from.Less(g.stream.End()) {
		from, err = g.stream.Records(ctx, from, func(r router.Record) bool {
			count(r.Message)
			return left > 0
		})
		if err != nil {
			return n, false, err
		}
	}
	for left > 0 {
		blocks, next, err := g.broker.engine.Read(ctx, 0, from, lagReadBytes)
		var trimmed *storage.TrimmedError
		switch {
		case errors.As(err, &trimmed) && from.Less(trimmed.First):
			from = trimmed.First
			continue
		case err != nil:
			return n, false, err
		case len(blocks) == 0:
			return n, true, nil
		}
		for i := range blocks {
			left -= 64 // a block without anything for the group is not free either
			for k := range blocks[i].Records {
				if pos := (message.Position{Block: blocks[i].Seq, Index: uint32(k)}); !pos.Less(from) {
					count(blocks[i].Records[k].Message)
				}
			}
		}
		from = next
	}
	return n, false, nil
}
