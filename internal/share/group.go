package share

import (
	"math/rand/v2"
	"slices"
)

// Key is what the hashing strategies look at.
type Key struct {
	ClientID string // the publisher's
	Topic    string
}

// Usable says of a member whether it can take a message now, and what it has in flight.
type Usable[M comparable] func(member M) (load int, ok bool)

// Group is one shared-subscription group: its members and whose turn it is. Make it with New.
type Group[M comparable] struct {
	strategy Strategy
	random   *rand.Rand
	members  []M      // in the order in which they came
	seats    []uint32 // seats[i] is members[i]'s seat, see takeSeat
	turn     int      // index of the member whose turn it is
	stuck    M        // Sticky: the member chosen, if isStuck
	isStuck  bool
}

// New makes an empty group. The seed is for what is chosen at random; hashes do not depend on it.
func New[M comparable](strategy Strategy, seed uint64) *Group[M] {
	return &Group[M]{strategy: strategy, random: rand.New(rand.NewPCG(seed, 0))}
}

// Strategy is how the group chooses.
func (g *Group[M]) Strategy() Strategy { return g.strategy }

// Len is the number of members.
func (g *Group[M]) Len() int { return len(g.members) }

// Members returns the members in the order in which they came. The slice is the caller's.
func (g *Group[M]) Members() []M { return slices.Clone(g.members) }

// Any reports whether a member is as is asks.
func (g *Group[M]) Any(is func(M) bool) bool { return slices.ContainsFunc(g.members, is) }

// Add adds a member and reports whether it is new. It comes last in the turn.
func (g *Group[M]) Add(member M) bool {
	if slices.Contains(g.members, member) {
		return false
	}
	g.seats = append(g.seats, g.takeSeat())
	g.members = append(g.members, member)
	return true
}

// Remove removes a member and reports whether it was there. The turn of the others stays as it is.
func (g *Group[M]) Remove(member M) bool {
	i := slices.Index(g.members, member)
	if i < 0 {
		return false
	}
	g.members = slices.Delete(g.members, i, i+1)
	g.seats = slices.Delete(g.seats, i, i+1)
	if i < g.turn {
		g.turn--
	}
	if g.turn >= len(g.members) {
		g.turn = 0
	}
	if g.isStuck && g.stuck == member {
		g.unstick()
	}
	return true
}

// takeSeat returns the lowest number that no member has. The hashing strategies hash over seats, so a member that comes
// in another's place takes over just its keys.
func (g *Group[M]) takeSeat() uint32 {
	taken := make([]bool, len(g.seats)+1)
	for _, seat := range g.seats {
		if int(seat) < len(taken) {
			taken[seat] = true
		}
	}
	return uint32(slices.Index(taken, false))
}

// Pick chooses the member that gets a message, among those that usable accepts; a nil usable accepts all, with no load.
// ok is false if there is none: the caller may try again with a usable that also accepts members which are offline and
// keep a queue.
func (g *Group[M]) Pick(key Key, usable Usable[M]) (member M, ok bool) {
	if len(g.members) == 0 {
		return member, false
	}
	if usable == nil {
		usable = func(M) (int, bool) { return 0, true }
	}
	i := -1
	switch g.strategy {
	case Random:
		i = g.pickRandom(usable)
	case Sticky:
		return g.pickSticky(usable)
	case HashClientID:
		i = g.pickHash(hash(key.ClientID), usable)
	case HashTopic:
		i = g.pickHash(hash(key.Topic), usable)
	case LeastInflight:
		i = g.pickLeast(usable)
	default: // RoundRobin, RoundRobinPerGroup, Local
		i = g.pickTurn(usable)
	}
	if i < 0 {
		return member, false
	}
	return g.members[i], true
}

// pickRandom tries one member first, which nearly always will do. When it does not, all are asked.
func (g *Group[M]) pickRandom(usable Usable[M]) int {
	first := g.random.IntN(len(g.members))
	if _, ok := usable(g.members[first]); ok {
		return first
	}
	chosen, seen := -1, 0
	for i, m := range g.members {
		if i == first {
			continue
		}
		if _, ok := usable(m); ok {
			if seen++; g.random.IntN(seen) == 0 {
				chosen = i
			}
		}
	}
	return chosen
}

func (g *Group[M]) pickTurn(usable Usable[M]) int {
	for n := range g.members {
		i := g.after(n)
		if _, ok := usable(g.members[i]); ok {
			g.turn = (i + 1) % len(g.members)
			return i
		}
	}
	return -1
}

func (g *Group[M]) pickLeast(usable Usable[M]) int {
	chosen, least := -1, 0
	for n := range g.members {
		i := g.after(n)
		if load, ok := usable(g.members[i]); ok && (chosen < 0 || load < least) {
			chosen, least = i, load
		}
	}
	if chosen >= 0 {
		g.turn = (chosen + 1) % len(g.members)
	}
	return chosen
}

// after is the index of the member that comes n after the one whose turn it is.
func (g *Group[M]) after(n int) int {
	if n += g.turn; n >= len(g.members) {
		n -= len(g.members)
	}
	return n
}

func (g *Group[M]) pickSticky(usable Usable[M]) (member M, ok bool) {
	if g.isStuck {
		if _, ok := usable(g.stuck); ok {
			return g.stuck, true
		}
	}
	i := g.pickRandom(usable)
	if i < 0 {
		return member, false // the member that was chosen may become usable again
	}
	g.stuck, g.isStuck = g.members[i], true
	return g.stuck, true
}

func (g *Group[M]) unstick() {
	var none M
	g.stuck, g.isStuck = none, false
}

// pickHash gives the key to the member whose seat weighs most for it. When a member comes or goes, only keys that it
// gets or had move. A key whose member is not usable goes to the next by weight, and returns.
func (g *Group[M]) pickHash(key uint64, usable Usable[M]) int {
	chosen, heaviest := -1, uint64(0)
	for i, seat := range g.seats {
		weight := mix(key ^ mix(uint64(seat)+1))
		if chosen >= 0 && weight <= heaviest {
			continue
		}
		if _, ok := usable(g.members[i]); ok {
			chosen, heaviest = i, weight
		}
	}
	return chosen
}

// hash is FNV-1a: the same in every process, so that keys stay where they are over a restart.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix spreads the bits of x over all of them (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
