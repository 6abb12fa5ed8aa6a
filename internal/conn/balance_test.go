package conn

import (
	"fmt"
	"slices"
	"testing"
)

// looks gives a balancer loads, n times, and returns the moves that it made.
func looks(b *balancer, n int, loads ...float64) (moves []string) {
	for range n {
		if from, to, all := b.next(loads); from != to {
			moves = append(moves, fmt.Sprintf("%d→%d all=%t", from, to, all))
		}
	}
	return moves
}

func TestABalancerFollowsTheLoad(t *testing.T) {
	b := &balancer{loops: 3}
	for _, step := range []struct {
		what  string
		n     int
		loads []float64
		want  []string
		inUse int
	}{
		{"one loop that keeps up", 100, []float64{0.8, 0, 0}, nil, 1},
		{"a short peak", hotLooks - 1, []float64{1, 0, 0}, nil, 1},
		{"less again", 1, []float64{0.5, 0, 0}, nil, 1},
		{"another short peak", hotLooks - 1, []float64{1, 0, 0}, nil, 1},
		{"a load that lasts", 1, []float64{1, 0, 0}, []string{"0→1 all=false"}, 2},
		{"both have enough", 50, []float64{0.8, 0.6, 0}, nil, 2},
		{"one has too much, the other has room", hotLooks, []float64{0.3, 0.9, 0}, []string{"1→0 all=false"}, 2},
		{"both have too much", hotLooks, []float64{0.95, 0.9, 0}, []string{"0→2 all=false"}, 3},
		{"all have too much", 50, []float64{1, 1, 1}, nil, 3},
		{"a short calm", coolLooks - 1, []float64{0.2, 0.2, 0.1}, nil, 3},
		{"which ends", 1, []float64{0.2, 0.5, 0.1}, nil, 3},
		{"a calm that lasts", coolLooks, []float64{0.2, 0.2, 0.1}, []string{"2→1 all=true"}, 2},
		{"and lasts", coolLooks, []float64{0.2, 0.2, 0}, []string{"1→0 all=true"}, 1},
		{"nothing at all", 100, []float64{0, 0, 0}, nil, 1},
	} {
		if got := looks(b, step.n, step.loads...); !slices.Equal(got, step.want) || b.inUse != step.inUse {
			t.Errorf("%s: moves %q, %d loops in use, want %q, %d", step.what, got, b.inUse, step.want, step.inUse)
		}
	}
}

func TestOneLoopIsNotBalanced(t *testing.T) {
	if got := looks(&balancer{loops: 1}, 100, 1); len(got) > 0 {
		t.Errorf("moves %q", got)
	}
}
