//go:build !linux

package conn

import "github.com/barid-mqtt/barid/internal/metrics"

// Loop is what connections without a goroutine share. There is none on this system: each has its own.
type Loop struct{}

// NewLoop returns no loop.
func NewLoop(*metrics.Metrics) (*Loop, error) { return nil, nil }

// Stop does nothing.
func (*Loop) Stop() {}

func (*Loop) add(*driver, int) bool { return false }
func (*Loop) eject(*driver)         {}
