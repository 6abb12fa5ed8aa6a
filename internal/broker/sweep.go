package broker

import (
	"hash/maphash"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

// This file forgets the bodies of parked messages that nobody waits for any more. Which are waited for is noted in a Bloom
// filter, since there may be millions: of those that are not, one in some hundred stays until the next sweep, which
// asks for other bits.

const (
	usedBits   = 16 // for each place that is expected
	usedProbes = 4
	usedLeast  = 1 << 16 // bits
	usedMost   = 1 << 25 // 4 MiB; with more than a few million places more bodies stay for a while
)

// usedPlaces are the places in the log whose bodies are needed. There may be others among them by mistake, and none is missing.
type usedPlaces struct {
	bits []uint64
	seed maphash.Seed
	n    int // that were added, about
}

// newUsedPlaces has room for as many places as are expected.
func newUsedPlaces(expected int) *usedPlaces {
	bits := usedLeast
	for bits < usedMost && bits/usedBits < expected {
		bits *= 2
	}
	return &usedPlaces{bits: make([]uint64, bits/64), seed: maphash.MakeSeed()}
}

func (u *usedPlaces) probe(pos message.Position, fn func(word *uint64, bit uint64) bool) bool {
	h := maphash.Comparable(u.seed, pos)
	at, step := uint32(h), uint32(h>>32)|1
	for range usedProbes {
		i := at % uint32(len(u.bits)*64)
		if !fn(&u.bits[i/64], 1<<(i%64)) {
			return false
		}
		at += step
	}
	return true
}

func (u *usedPlaces) add(pos message.Position) {
	u.n++
	u.probe(pos, func(word *uint64, bit uint64) bool {
		*word |= bit
		return true
	})
}

func (u *usedPlaces) has(pos message.Position) bool {
	return u.probe(pos, func(word *uint64, bit uint64) bool { return *word&bit != 0 })
}

// sweep forgets what was parked for sessions and groups and is past, and then bodies that no parked message and nothing in
// flight refers to.
func (b *Broker) sweep() error {
	used := newUsedPlaces(b.upkeep.used)
	if err := b.sweepParked(used); err != nil {
		return err
	}
	if err := b.sweepGroups(used); err != nil {
		return err
	}
	for _, c := range b.registry.all() { // last: what is taken from where it was parked is in memory before it is gone there
		c.usedBodies(used)
	}
	b.groups.each(func(g *group) { g.usedBodies(used) })
	b.upkeep.used = used.n
	var ops []storage.Op
	for kv, err := range b.engine.Scan(b.ctx, state.Bodies) {
		if err != nil {
			return err
		}
		if pos, ok := state.BodyAt(kv.Key); ok && !used.has(pos) {
			ops = append(ops, state.Delete(kv.Key))
		}
		if len(ops) == parkUnitOps {
			if err := b.commitOps(ops); err != nil {
				return err
			}
			ops = nil
		}
	}
	return b.commitOps(ops)
}

// usedBodies adds the places of what the session has under way.
func (c *client) usedBodies(used *usedPlaces) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.session.InFlightDeliveries() {
		used.add(f.Delivery.Position)
	}
	if c.asleep != nil {
		for i := range c.asleep.Flights {
			used.add(c.asleep.Flights[i].Position)
		}
	}
}

// sweepParked forgets what was parked for sessions and is past, or was left by a pass that failed, and adds the places of
// the rest.
func (b *Broker) sweepParked(used *usedPlaces) error {
	var c *client // whose messages these are
	var owner state.Owner
	var over []storage.Op
	var first, end message.Position
	forget := func() {
		if c != nil && len(over) > 0 {
			c.mu.Lock()
			if !c.ended {
				c.submitSnapshot(over...) // in one commit with a place that is not before them
			}
			c.mu.Unlock()
		}
		over = nil
	}
	for kv, err := range b.engine.Scan(b.ctx, state.Parked) {
		if err != nil {
			return err
		}
		o, pos, ok := state.ParkedAt(kv.Key)
		if !ok {
			continue
		}
		if o != owner {
			forget()
			owner, first, end = o, message.Position{}, message.Position{}
			if c = b.registry.get(o.ClientID); c != nil && c.incarnation == o.Incarnation {
				c.mu.Lock()
				first, end = c.placeLocked(b.router.Begun()), c.parkedTo
				c.mu.Unlock()
			} else {
				c = nil // purge is about to forget it
			}
		}
		if c == nil || !pos.Less(first) && pos.Less(end) {
			used.add(pos)
			continue
		}
		if over = append(over, state.Delete(kv.Key)); len(over) == parkUnitOps {
			forget()
		}
	}
	forget()
	return nil
}
