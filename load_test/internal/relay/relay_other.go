//go:build !linux || 386

package relay

import (
	"context"
	"errors"
)

// Run says that there is none on this system.
func Run(context.Context, string) error {
	return errors.New("the relay runs on Linux only, and not on 386")
}
