//go:build !linux

package conn

import (
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
)

// Loops are what connections without a goroutine share. There are none on this system: each has its own.
type Loops struct{}

// Loop is one of them.
type Loop struct{}

// NewLoops returns no loops.
func NewLoops(int, *metrics.Metrics) (*Loops, error) { return nil, nil }

// Busy returns nothing.
func (*Loops) Busy(time.Time) []time.Duration { return nil }

// Stop does nothing.
func (*Loops) Stop() {}

// Watch watches nothing, as there is no loop.
func (*Loops) Watch(int, func() bool) (stop func()) { return nil }

func (*Loops) take(*driver) bool { return false }
func (*Loop) look(*driver)       {}
