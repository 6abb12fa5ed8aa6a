package auth

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/barid-mqtt/barid/mqtt"
)

// Gate bounds how much of something slow happens at a time, and how much waits for it: a flood of CONNECT packets costs
// neither all processors nor memory without end. Each kind of work has its own gate, so that a server that does not
// answer holds up nobody who needs a hash.
type Gate struct {
	slots   chan struct{}
	inside  atomic.Int64
	maximum int64
}

// NewGate returns a gate for atOnce callers at a time and waiting more in front of it.
func NewGate(atOnce, waiting int) *Gate {
	return &Gate{slots: make(chan struct{}, atOnce), maximum: int64(atOnce + waiting)}
}

// Do runs fn when it is the caller's turn. It fails with mqtt.ServerBusy when too many wait, and when ctx ends first.
func (g *Gate) Do(ctx context.Context, fn func() error) error {
	defer g.inside.Add(-1)
	if g.inside.Add(1) > g.maximum {
		return fmt.Errorf("%w: too many clients wait for their authentication", mqtt.ServerBusy)
	}
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", mqtt.ServerBusy, ctx.Err())
	}
	defer func() { <-g.slots }()
	return fn()
}
