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

// sweepBodies forgets bodies that no parked message and nothing in flight refers to.
func (b *Broker) sweepBodies() error {
	used := newUsedPlaces(b.upkeep.used)
	for kv, err := range b.engine.Scan(b.ctx, state.Parked) {
		if err != nil {
			return err
		}
		if pos, ok := state.ParkedAt(kv.Key); ok {
			used.add(pos)
		}
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
	for _, p := range c.taken {
		used.add(p.Delivery.Position)
	}
}
