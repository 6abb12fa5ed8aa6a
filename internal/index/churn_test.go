package index

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// churned is a value of the churn test. It has one filter only, so that a match says which filter it came from.
type churned struct {
	filter string
	stable bool
}

// TestMatchDuringChurn changes an index from some goroutines and matches in others. Every match must hold each stable
// subscription that fits, once, and nothing that does not fit.
func TestMatchDuringChurn(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	x := New[*churned]()
	var stable []*churned
	for range 60 {
		c := &churned{filter: churnFilter(rng), stable: true}
		stable = append(stable, c)
		x.Add(c.filter, c)
	}
	var done atomic.Bool
	var writers, readers sync.WaitGroup
	for i := range uint64(3) {
		writers.Go(func() { churn(x, rand.New(rand.NewPCG(seed, 1+i)), &done) })
	}
	for i := range uint64(2) {
		readers.Go(func() { matchChurned(t, x, stable, rand.New(rand.NewPCG(seed, 100+i))) })
	}
	readers.Wait()
	done.Store(true)
	writers.Wait()
	if x.Len() != len(stable) {
		t.Errorf("%d pairs are left, want %d", x.Len(), len(stable))
	}
	checkShape(t, x)
	for _, c := range stable {
		x.Remove(c.filter, c)
	}
	checkEmpty(t, x)
}

// churn adds and removes subscriptions of its own until it is told to stop, then removes all. The bursts to one filter make
// its values many and few again; the filters with numbers make tables grow and shrink.
func churn(x *Index[*churned], rng *rand.Rand, done *atomic.Bool) {
	for !done.Load() {
		mine := make([]*churned, 1+rng.IntN(200))
		same, kind := churnFilter(rng), rng.IntN(3)
		for i := range mine {
			filter := same
			switch kind {
			case 1:
				filter = churnFilter(rng)
			case 2:
				filter = fmt.Sprintf("a/%d/+", i)
			}
			mine[i] = &churned{filter: filter}
			x.Add(filter, mine[i])
		}
		rng.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
		for _, c := range mine {
			x.Remove(c.filter, c)
		}
	}
}

func matchChurned(t *testing.T, x *Index[*churned], stable []*churned, rng *rand.Rand) {
	var buf []*churned
	for range 5000 {
		topic := churnTopic(rng)
		parts := strings.Split(topic, "/")
		seen := map[*churned]bool{}
		buf = x.Match(topic, buf[:0])
		for _, c := range buf {
			if seen[c] {
				t.Errorf("Match(%q) has %q twice", topic, c.filter)
			}
			seen[c] = true
			if !naiveMatch(strings.Split(c.filter, "/"), parts) {
				t.Errorf("Match(%q) has %q", topic, c.filter)
			}
		}
		for _, c := range stable {
			if naiveMatch(strings.Split(c.filter, "/"), parts) && !seen[c] {
				t.Errorf("Match(%q) misses %q", topic, c.filter)
			}
			if seen[c] && !x.HasMatch(topic, func(v *churned) bool { return v == c }) {
				t.Errorf("HasMatch(%q) misses %q", topic, c.filter)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func churnTopic(rng *rand.Rand) string {
	parts := make([]string, 1+rng.IntN(4))
	for i := range parts {
		parts[i] = []string{"a", "b", "ab"}[rng.IntN(3)]
	}
	return strings.Join(parts, "/")
}

func churnFilter(rng *rand.Rand) string {
	parts := make([]string, 1+rng.IntN(4))
	for i := range parts {
		parts[i] = []string{"a", "b", "ab", "+"}[rng.IntN(4)]
	}
	if rng.IntN(4) == 0 {
		parts[len(parts)-1] = "#"
	}
	return strings.Join(parts, "/")
}

// TestWalkDuringChurn walks while others change the index: every stable pair is seen, under its own filter.
func TestWalkDuringChurn(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	x := New[*churned]()
	for range 60 {
		c := &churned{filter: churnFilter(rng), stable: true}
		x.Add(c.filter, c)
	}
	var done atomic.Bool
	var writers sync.WaitGroup
	for i := range uint64(2) {
		writers.Go(func() { churn(x, rand.New(rand.NewPCG(seed, 1+i)), &done) })
	}
	for range 300 {
		stable := 0
		x.Walk(func(filter string, c *churned) bool {
			if c.filter != filter {
				t.Errorf("Walk has %q under %q", c.filter, filter)
			}
			if c.stable {
				stable++
			}
			return true
		})
		if stable != 60 {
			t.Fatalf("Walk saw %d stable pairs of 60", stable)
		}
	}
	done.Store(true)
	writers.Wait()
}
