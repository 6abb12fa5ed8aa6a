package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/mqtt"
)

// A table of subscriptions has what was put into it and not taken out, be it a few or thousands.
func TestSubscriptionsAreFoundByTheirKeys(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, most := range []int{fewSubscriptions + 2, 200, 3 * keyFanMin} {
		var s subscriptions
		want := map[string]*subscription{}
		check := func(when string) {
			t.Helper()
			if s.len() != len(want) {
				t.Fatalf("%s: %d, not %d (seed %d)", when, s.len(), len(want), seed)
			}
			seen := map[string]bool{}
			for key, sub := range s.all() {
				if want[key] != sub || seen[key] {
					t.Fatalf("%s: %q was listed and is not there, or again (seed %d)", when, key, seed)
				}
				seen[key] = true
			}
			if len(seen) != len(want) {
				t.Fatalf("%s: %d of %d are listed (seed %d)", when, len(seen), len(want), seed)
			}
		}
		for step := range 6 * most {
			key := fmt.Sprintf("some/%d/+", rng.IntN(most*5/4))
			if got := s.get(key); got != want[key] {
				t.Fatalf("%q: %p, not %p (seed %d)", key, got, want[key], seed)
			}
			if want[key] != nil {
				s.remove(key)
				s.remove(key)
				delete(want, key)
			} else if step < 4*most || rng.IntN(4) == 0 { // at last they become fewer
				want[key] = newSubscription(key, key, false)
				s.put(want[key])
			}
			if step%(most/2) == 0 {
				check("while it changes")
			}
		}
		check("then")
		for key := range s.all() {
			s.remove(key)
			delete(want, key)
			if len(want)%(most/4) == 0 {
				check("while all are removed")
			}
		}
		check("at last")
	}
}

// What most subscriptions have nothing of is one for all of them, and nobody writes there.
func TestOrdinarySubscriptionsShareWhatTheyDoNotHave(t *testing.T) {
	s := newSubscription("a", "a", false)
	s.grant(true)
	s.special().changes++
	if s.rare == &entitled || !s.whole {
		t.Errorf("a subscription with something rare has %+v", *s.rare)
	}
	s.special().changes = 0
	if s.plain(); s.rare != &entitled {
		t.Error("one that has nothing any more keeps its own")
	}
	s.grant(false)
	if other := newSubscription("$exclusive/a", "a", true); s.rare != &ordinary || other.key() != "$exclusive/a" || !other.only {
		t.Errorf("%+v, %+v", *s.rare, *other.rare)
	}
	if ordinary != (rare{}) || entitled != (rare{whole: true}) {
		t.Errorf("they were changed: %+v, %+v", ordinary, entitled)
	}
	if size := unsafe.Sizeof(*s); size > 48 && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("a subscription takes %d bytes", size)
	}
}

// Subscriptions that say the same from one place of the log on are kept as one version.
func TestVersionsThatSayTheSameAreShared(t *testing.T) {
	b := new(Broker)
	from := message.Position{Block: 7}
	make := func(qos mqtt.QoS, id uint32, prev *session.Subscription, at message.Position) *session.Subscription {
		return b.shared(session.NewSubscription(mqtt.FilterOptions{QoS: qos}, id, prev).Committed(at))
	}
	first := make(1, 9, nil, from)
	if make(1, 9, nil, from) != first {
		t.Error("two that say the same are two")
	}
	for i, other := range []*session.Subscription{make(2, 9, nil, from), make(2, 8, nil, from), make(2, 8, first, from), make(2, 8, first, from.Next())} {
		if other == first || other.At(message.Position{Block: 8}) != other {
			t.Errorf("other %d is the same", i)
		}
	}
}
