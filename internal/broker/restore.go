package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file reads back what keep.go has kept.

// restoreLook is after how many entries it is looked at what they take of the memory.
const restoreLook = 4096

// numberStep is how far a kept number is ahead of those given out, so that it is kept seldom.
const numberStep = 1 << 20

// number gives out the next number of a kind, which none before a restart was.
func (b *Broker) number(of *atomic.Uint64, kept state.Number) uint64 {
	n := of.Add(1)
	if b.keeps && n%(numberStep/2) == 0 {
		b.submitOps([]storage.Op{kept.Put(n + numberStep)})
	}
	return n
}

// restorer reads the store when the broker starts.
type restorer struct {
	b       *Broker
	now     time.Time
	end     message.Position        // of the log
	places  map[groupKey]groupPlace // where groups read on
	members []func()                // to join them
	cursors map[state.Owner]map[string]state.StreamCursor
	older   map[*client]bool // whose snapshots do not tell what is parked
}

// restore brings back sessions, subscriptions, retained and delayed messages and groups. What was connected at the end
// is disconnected now.
func (b *Broker) restore() error {
	if !b.keeps {
		b.groups.declareAll()
		return nil
	}
	r := &restorer{b: b, now: b.clock.Now(), end: b.logEnd(), places: make(map[groupKey]groupPlace), older: make(map[*client]bool)}
	for _, step := range []func() error{r.numbers, r.retained, r.sessions, r.wills, r.snapshots, r.parked, r.inbound, r.streamCursors, r.subscriptions, r.groups, r.given, r.delayed} {
		if err := step(); err != nil {
			return err
		}
	}
	r.settle()
	return nil
}

// client returns the session with an owner; nil: there is none any more.
func (r *restorer) client(o state.Owner) *client {
	if c := r.b.registry.get(o.ClientID); c != nil && c.incarnation == o.Incarnation {
		return c
	}
	return nil
}

// scan calls fn for every entry of a space.
func (r *restorer) scan(space []byte, fn func(storage.KV) error) error {
	n := 0
	for kv, err := range r.b.engine.Scan(r.b.ctx, space) {
		if n++; n%restoreLook == 0 {
			followMemory()
		}
		if err == nil {
			err = fn(kv)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *restorer) numbers() error {
	ops := r.b.markOps()
	for _, n := range []struct {
		kept state.Number
		of   *atomic.Uint64
	}{{state.Incarnation, &r.b.incarnation}, {state.DelayedNext, &r.b.delayed.next}} {
		value, err := r.b.engine.Get(r.b.ctx, n.kept.Key())
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("reading the number %s: %w", n.kept, err)
		}
		if err == nil {
			v, err := n.kept.Decode(value)
			if err != nil {
				return err
			}
			n.of.Store(v)
		}
		ops = append(ops, n.kept.Put(n.of.Load()+numberStep))
	}
	r.b.submitOps(ops)
	return nil
}

func (r *restorer) retained() error {
	return r.scan(state.Retained, func(kv storage.KV) error {
		m, err := state.DecodeRetained(kv)
		if err == nil && !m.Expired(r.now) {
			err = r.b.retained.Set(m, message.Position{})
		}
		return err
	})
}

func (r *restorer) sessions() error {
	return r.scan(state.Sessions, func(kv storage.KV) error {
		s, err := state.DecodeSession(kv)
		if err != nil {
			return err
		}
		c := r.b.newClient(s.ClientID, s.ExpirySeconds > 0)
		c.incarnation, c.expiry, c.stored = s.Incarnation, s.ExpirySeconds, true
		c.leftAt = momentOf(s.LeftAt)
		if s.Unsettled {
			c.recall()
			c.mayRepeat = r.end
		}
		if s.Will != nil {
			c.rouse()
			c.will = &will{message: *s.Will.Message, expires: s.Will.Expires, expiry: s.Will.Expiry, delaySeconds: s.Will.DelaySeconds, id: s.Will.ID}
			c.willDue = s.WillDue
		}
		r.b.registry.reserve(0)
		r.b.registry.put(c)
		return nil
	})
}

// wills forgets the wills that were published.
func (r *restorer) wills() error {
	var over []storage.Op
	err := r.scan(state.WillsPublished, func(kv storage.KV) error {
		o, id, err := state.DecodeWillPublished(kv)
		c := r.client(o)
		switch {
		case err != nil:
		case c != nil && c.will != nil && c.will.id == id:
			c.will = nil
		default:
			over = append(over, state.Delete(kv.Key))
		}
		return err
	})
	r.b.submitOps(over)
	return err
}

func (r *restorer) snapshots() error {
	return r.scan(state.Snapshots, func(kv storage.KV) error {
		o, s, err := state.DecodeSnapshot(kv)
		if c := r.client(o); c != nil && err == nil {
			if s.ParkedTo == message.MaxPosition {
				s.ParkedTo = message.Position{}
				r.older[c] = true
			}
			c.restoreFrom(s)
			c.cursor.next, c.persisted = s.Next, later(s.Next, s.ParkedTo)
		}
		return err
	})
}

// restoreFrom remembers a session's snapshot until it is resumed, if that says more than its place.
func (c *client) restoreFrom(s *state.Snapshot) {
	if s.Next.Less(s.ParkedTo) || len(s.Flights) > 0 {
		c.recall()
		c.parkedTo = s.ParkedTo
	}
	if len(s.Flights)+len(s.Kept)+len(s.Replays) == 0 {
		c.lastID = s.LastID
		return
	}
	c.recall()
	c.asleep = s
}

// parked counts what is parked for sessions. What is before a session's place is past, and what is not before the end of what
// was parked for it belongs to a pass that was not finished: these go.
func (r *restorer) parked() error {
	var stale []storage.Op
	err := r.scan(state.Parked, func(kv storage.KV) error {
		o, p, err := state.DecodeParked(kv)
		if err != nil {
			return err
		}
		c, pos := r.client(o), p.Delivery.Position
		if r.older[c] && pos.Less(c.cursor.next) {
			delete(r.older, c)
			c.goBack(pos)
		}
		if c == nil || pos.Less(c.cursor.next) || !pos.Less(c.parkedTo) {
			stale = append(stale, state.Delete(kv.Key))
			return nil
		}
		c.recall()
		c.shelf.put(p.Bytes)
		return nil
	})
	r.older = nil
	r.b.submitOps(stale)
	for range r.b.engine.Scan(r.b.ctx, state.Bodies) {
		r.b.upkeep.unswept.Store(true)
		break
	}
	return err
}

// goBack has a session read from the first of what is parked for it, up to its kept place.
func (c *client) goBack(first message.Position) {
	c.recall()
	c.cursor.next, c.parkedTo = first, c.cursor.next
	if c.asleep != nil {
		c.asleep.Next, c.asleep.ParkedTo = first, c.parkedTo
	}
}

func (r *restorer) inbound() error {
	ids := make(map[*client][]uint16)
	err := r.scan(state.InboundIDs, func(kv storage.KV) error {
		o, id, err := state.DecodeInboundID(kv)
		if c := r.client(o); c != nil && err == nil {
			ids[c] = append(ids[c], id)
		}
		return err
	})
	for c, ids := range ids {
		c.rouse()
		c.session.RestoreInbound(ids)
	}
	return err
}

func (r *restorer) subscriptions() error {
	return r.scan(state.Subscriptions, func(kv storage.KV) error {
		o, s, err := state.DecodeSubscription(kv)
		c := r.client(o)
		if c == nil || err != nil {
			return err
		}
		versions := s.Versions.Prune(c.cursor.next)
		if versions == nil {
			return nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		sub := newSubscription(s.Key, s.Filter, s.Exclusive)
		given := s.Key[strings.IndexByte(s.Key, 0)+1:]
		if strings.HasPrefix(given, streamPrefix) {
			r.follow(c, s, sub, given, versions)
			return nil
		}
		if r.changedMeaning(s, given) {
			r.b.log.Warn("$queue subscription from before its stream was declared or taken out: it is forgotten", "client", c.id, "filter", given)
			r.b.submitOps([]storage.Op{state.DeleteSubscription(c.owner(), s.Key)})
			return nil
		}
		c.subs.put(sub)
		if versions.Ended || versions.Prev != nil {
			c.note(s.Key)
		}
		if !versions.Ended {
			r.b.subscriptions.Add(1)
			if s.Exclusive {
				r.b.exclusive.take(s.Filter, c)
			}
		}
		if s.Share == "" {
			c.enter(s.Key, sub, versions, "")
		} else {
			r.share(c, s.Key, sub, versions, s.Share)
		}
		return nil
	})
}

// share has a member join its group once the group's place is known: that of its oldest subscription, unless a later one
// was kept. A group reads on as soon as it has a durable member.
func (r *restorer) share(c *client, key string, sub *subscription, versions *session.Subscription, name string) {
	oldest := versions
	for oldest.Prev != nil {
		oldest = oldest.Prev
	}
	of := groupKey{name, sub.filter}
	if place, ok := r.places[of]; r.b.consumed(name) == nil && (!ok || oldest.From.Less(place.next)) {
		r.places[of] = groupPlace{next: oldest.From}
	}
	r.members = append(r.members, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.enter(key, sub, versions, name)
	})
}

func (r *restorer) groups() error {
	var kept []*state.Group
	err := r.scan(state.Groups, func(kv storage.KV) error {
		s, err := state.DecodeGroup(kv)
		if err == nil {
			kept = append(kept, s)
			r.places[groupKey{s.Name, s.Filter}] = groupPlace{s.Next, s.ParkedTo}
		}
		return err
	})
	r.b.groups.places = r.places
	r.b.groups.declareAll()
	if err := r.b.consumers.restore(r); err != nil {
		return err
	}
	for _, s := range kept {
		if r.b.consumed(s.Name) != nil {
			r.b.groups.declare(s.Name, s.Filter)
		}
	}
	for _, join := range r.members {
		join()
	}
	r.b.groups.places = nil
	var over []storage.Op
	for _, s := range kept {
		if g := r.b.groups.find(s.Name, s.Filter); g != nil {
			g.restore(s)
		} else {
			over = append(over, state.DeleteGroup(s.Name, s.Filter))
		}
	}
	r.b.submitOps(over)
	if err == nil {
		err = r.groupParked()
	}
	return err
}

// groupParked counts what is parked for groups. What is not before the end of a pass that was finished, or was given, goes.
func (r *restorer) groupParked() error {
	var stale []storage.Op
	err := r.scan(state.GroupParked, func(kv storage.KV) error {
		name, filter, pos, bytes, err := state.DecodeGroupParked(kv)
		if err != nil {
			return err
		}
		g := r.b.groups.find(name, filter)
		if g == nil {
			stale = append(stale, state.Delete(kv.Key))
			return nil
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		place := r.places[g.key]
		switch {
		case pos.Less(place.next) || !pos.Less(place.parkedTo):
			stale = append(stale, state.Delete(kv.Key))
		case !pos.Less(g.cursor.next): // nothing has read it since
			g.shelf.put(bytes)
		}
		return nil
	})
	r.b.submitOps(stale)
	return err
}

// restore takes up what had come back when the broker ended.
func (g *group) restore(s *state.Group) {
	back := make([]queued, 0, len(s.Returned))
	for i := range s.Returned {
		back = append(back, queued{s.Returned[i].Position, s.Returned[i].Body})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ledger.stored, g.ledger.next = true, s.Next
	g.comeBack(back)
}

// given restores what members had been given and had not finished. Where the session is gone, QoS 1 comes back to the
// group.
func (r *restorer) given() error {
	var stale []storage.Op
	err := r.scan(state.Assigned, func(kv storage.KV) error {
		o, s, err := state.DecodeGiven(kv)
		if err != nil {
			return err
		}
		if c := r.client(o); c != nil {
			c.mu.Lock()
			g, a := r.b.groups.linger(s.Name, s.Filter, s.Key, c)
			g.mu.Lock()
			a.restore(s)
			g.mu.Unlock()
			if c.asleep == nil {
				c.recall()
				c.asleep = &state.Snapshot{Next: c.cursor.next, LastID: c.lastID, ParkedTo: c.parkedTo}
			}
			c.mu.Unlock()
			return nil
		}
		g := r.b.groups.find(s.Name, s.Filter)
		if g == nil {
			stale = append(stale, state.Delete(kv.Key))
			return nil
		}
		if g.consumer != nil && g.consumer.owner() != o {
			stale = append(stale, state.Delete(kv.Key)) // of one that had its name before
			return nil
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.consumer != nil {
			g.consumer.restoreLeases(s)
		} else {
			g.orphaned(kv.Key, s)
		}
		return nil
	})
	r.b.submitOps(stale)
	return err
}

func (r *restorer) delayed() error {
	return r.scan(state.Delayed, func(kv storage.KV) error {
		d, err := state.DecodeDelayed(kv)
		if err == nil {
			r.b.delayed.add(1, messageBytes(d.Message))
			r.b.publishDelayed(d)
		}
		return err
	})
}

// settle starts the timers of sessions and wills. What is overdue is due at the first tick.
func (r *restorer) settle() {
	for _, c := range r.b.registry.all() {
		w := c.will
		if w != nil {
			c.will = nil
		}
		connected := c.leftAt == 0
		if connected {
			c.leftAt = momentOf(r.now)
		}
		switch {
		case w == nil && !connected: // all that there is to keep is kept
		case w == nil:
			r.b.leave(c, nil)
		case c.willDue.IsZero(): // it was connected
			r.b.leave(c, w)
		default:
			r.b.delayWill(c, w, max(0, c.willDue.Sub(r.now)))
		}
		left := time.Duration(c.expiry)*time.Second - r.now.Sub(c.leftAt.time())
		switch {
		case c.expiry == 0:
			r.b.end(c, endExpired)
		case c.expiry != mqtt.NeverExpires:
			r.b.expireAfter(c, max(0, left))
		}
	}
}

// wake reads what was in flight when the broker ended, so that the session can be resumed. It may read the log.
func (b *Broker) wake(c *client) error {
	c.mu.Lock()
	s := c.asleep
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	var blk storage.Block
	flights := make([]session.InFlight, 0, len(s.Flights))
	for i := range s.Flights {
		f, err := b.flight(&s.Flights[i], &blk)
		if err != nil {
			return err
		}
		if f.Delivery.Message == nil {
			c.mu.Lock()
			c.drop(message.DropLogTrimmed, nil, time.Now())
			c.mu.Unlock()
			continue
		}
		flights = append(flights, f)
	}
	given, err := b.wakeAccounts(c)
	if err != nil {
		return err
	}
	if len(given) > 0 { // in the order in which they were published: that in which they were sent is not kept
		flights = append(flights, given...)
		slices.SortStableFunc(flights, func(x, y session.InFlight) int { return x.Delivery.Position.Compare(y.Delivery.Position) })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rouse()
	if err := c.session.Restore(s.LastID, flights); err != nil {
		return err
	}
	for i := range s.Kept {
		f, _ := b.flight(&s.Kept[i], &blk)
		if f.Delivery.Message != nil {
			c.kept = append(c.kept, f.Delivery)
		}
	}
	for _, rp := range s.Replays {
		if sub := c.subs.get(rp.Key); sub != nil && sub.newest() != nil {
			sub.special().replay = c.replays.PushBack(&replay{key: rp.Key, of: sub, version: sub.newest(), after: rp.After, asOf: b.retainedAt})
		}
	}
	c.asleep = nil
	return nil
}

// flight makes a delivery of what was kept of it. blk is the block of the log that was read last.
func (b *Broker) flight(f *state.Flight, blk *storage.Block) (session.InFlight, error) {
	x := session.InFlight{PacketID: f.ID, Released: f.Released, Delivery: session.Delivery{
		Message: f.Body, QoS: f.QoS, Retain: f.Retain, SubscriptionIDs: f.SubscriptionIDs, Position: f.Position,
	}}
	if f.Released {
		x.Delivery.Message = new(message.Message) // only its identifier is sent from now on
		return x, nil
	}
	if x.Delivery.Message != nil {
		return x, nil
	}
	if blk.Seq != f.Position.Block {
		blocks, _, err := b.engine.Read(context.WithoutCancel(b.ctx), 0, message.Position{Block: f.Position.Block}, 1)
		var trimmed *storage.TrimmedError
		switch {
		case err != nil && !errors.As(err, &trimmed):
			return x, fmt.Errorf("reading a message in flight: %w", err)
		case len(blocks) > 0:
			*blk = blocks[0]
		}
	}
	if i := int(f.Position.Index); blk.Seq == f.Position.Block && i < len(blk.Records) {
		x.Delivery.Message = blk.Records[i].Message
		return x, nil
	}
	m, err := b.body(context.WithoutCancel(b.ctx), f.Position) // the log has forgotten it: it may have been parked
	x.Delivery.Message = m
	return x, err
}

// streamCursors reads where sessions read streams.
func (r *restorer) streamCursors() error {
	r.cursors = make(map[state.Owner]map[string]state.StreamCursor)
	return r.scan(state.StreamCursors, func(kv storage.KV) error {
		o, key, cursor, err := state.DecodeStreamCursor(kv)
		if err != nil || r.client(o) == nil {
			return err
		}
		if r.cursors[o] == nil {
			r.cursors[o] = make(map[string]state.StreamCursor)
		}
		r.cursors[o][key] = cursor
		return nil
	})
}

// follow restores a subscription to a stream. It is forgotten if it is over, or the stream is not declared any more. The
// caller holds c.mu.
func (r *restorer) follow(c *client, s *state.Subscription, sub *subscription, given string, versions *session.Subscription) {
	name, _, _ := strings.Cut(given[len(streamPrefix):], "/")
	st := r.b.streams.Get(name)
	place, kept := r.cursors[c.owner()][s.Key]
	if versions.Ended || st == nil || !kept {
		if st == nil {
			r.b.log.Warn("subscription to a stream that is not declared any more: it is forgotten", "client", c.id, "stream", name)
		}
		r.b.submitOps([]storage.Op{state.DeleteSubscription(c.owner(), s.Key), state.DeleteStreamCursor(c.owner(), s.Key)})
		return
	}
	c.subs.put(sub)
	r.b.subscriptions.Add(1)
	sub.special().follows = c.newFollower(st, s.Key, s.Filter, versions)
	sub.follows.start(&stream.Offset{Since: place.Since, Position: place.Next}, place.Next)
}
