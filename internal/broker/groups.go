package broker

import (
	"maps"
	"slices"
	"sync"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/share"
)

// groups are the shared-subscription groups, by name and filter. A group is there while it has members, or is declared,
// or something that it gave is not finished.
type groups struct {
	broker   *Broker
	declared []groupKey // durable from the start and without members

	mu     sync.Mutex
	byKey  map[groupKey]*group
	places map[groupKey]groupPlace // where groups read on that are being restored; nil otherwise
}

// groupPlace is where a group reads on, as it was kept.
type groupPlace struct{ next, parkedTo message.Position }

type groupKey struct{ name, filter string }

// of returns a group, or makes it; nothing is routed to a new one yet. The caller holds gs.mu.
func (gs *groups) of(key groupKey) *group {
	if g := gs.byKey[key]; g != nil {
		return g
	}
	b := gs.broker
	g := &group{broker: b, key: key, seq: b.seq.Add(1), stream: b.consumed(key.name)}
	g.members, g.accounts = share.New[*member](b.shareStrategy, g.seq), make(map[*account]struct{})
	gs.byKey[key] = g
	return g
}

// route has the router give messages to a group. The caller holds gs.mu.
func (gs *groups) route(g *group) {
	if !g.routed.IsNowhere() {
		return
	}
	from := g.beginning()
	g.mu.Lock()
	g.cursor = cursor{next: from}
	g.declared = g.declared || g.stream != nil
	g.mu.Unlock()
	g.enter()
}

// enter puts the group where the router finds it. Its cursor alone says from which place of the log on: a group that was
// restored is behind the end of the log, and what it has not read there is parked and counted, too. The caller holds
// groups.mu.
func (g *group) enter() {
	g.routed.Enter(g.broker.router, g, g.matched(), message.Position{}, func(v *session.Subscription) {
		v.RetainAsPublished, v.Follows, v.Stream = true, g.stream != nil, g.consumer != nil
	})
}

// join adds a member to a group, which it makes if need be. The lock of m's client is held; key is what that knows the
// subscription by.
func (gs *groups) join(name, filter, key string, m *member) *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.of(groupKey{name, filter})
	gs.route(g)
	if g.stream != nil {
		key += queueAccount
	}
	m.account = m.client.account(key, g)
	m.account.member = true
	g.mu.Lock()
	g.members.Add(m)
	g.mu.Unlock()
	g.refresh()
	return g
}

// declare makes a group durable by itself: it keeps messages for members that are yet to come. Declare groups that a
// configuration names in groups.declared, before the broker restores; this is for those that come later.
func (gs *groups) declare(name, filter string) *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.of(groupKey{name, filter})
	gs.route(g)
	g.mu.Lock()
	g.declared = true
	g.mu.Unlock()
	g.refresh()
	return g
}

// declareAll declares the groups that the configuration names.
func (gs *groups) declareAll() {
	for _, key := range gs.declared {
		gs.declare(key.name, key.filter)
	}
}

// leave removes a member. A group without members ends.
func (gs *groups) leave(g *group, m *member) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g.mu.Lock()
	g.members.Remove(m)
	g.mu.Unlock()
	gs.left(g)
}

// left ends the group if nobody is left in it. The caller holds gs.mu.
func (gs *groups) left(g *group) {
	g.mu.Lock()
	over := g.over()
	g.mu.Unlock()
	if over {
		g.routed.Leave(g.broker.router)
	}
	g.refresh()
	gs.forget(g)
}

// forget forgets a group that nothing is left of. The caller holds gs.mu.
func (gs *groups) forget(g *group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle() && gs.byKey[g.key] == g {
		delete(gs.byKey, g.key)
	}
}

// drop is forget for callers that hold no lock of groups.
func (gs *groups) drop(g *group) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.forget(g)
}

// find returns a group, or nil.
func (gs *groups) find(name, filter string) *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.byKey[groupKey{name, filter}]
}

// linger returns a group that may have no members any more, but an account of c for what it was given before.
func (gs *groups) linger(name, filter, key string, c *client) (*group, *account) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.of(groupKey{name, filter})
	return g, c.account(key, g)
}

// each calls fn for every group.
func (gs *groups) each(fn func(*group)) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, g := range gs.byKey {
		fn(g)
	}
}

// all lists the groups that there are.
func (gs *groups) all() []*group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return slices.Collect(maps.Values(gs.byKey))
}

func (gs *groups) len() int {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return len(gs.byKey)
}
