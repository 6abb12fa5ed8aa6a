package broker

import (
	"errors"
	"fmt"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/config"
)

// access is who may connect and what clients may do, as configured.
type access struct {
	steps   []auth.Step    // authenticators, in the order in which they are asked; none: only what listeners allow
	reloads []func() error // read again what may change while the broker runs
	closes  []func() error
}

// opener makes one source of answers, and registers with access what it needs at a reload and at the end.
type opener[T any] struct {
	name string
	open func(*access) (T, error)
}

// openAccess makes the authenticators and authorisers that the configuration asks for, unless an Option has set others.
func (b *Broker) openAccess() error {
	cfg := &b.cfg.Auth
	authenticators := []opener[auth.Authenticator]{}
	for _, name := range cfg.Authenticators() {
		for _, o := range authenticators {
			if o.name != name {
				continue
			}
			a, err := o.open(&b.access)
			if err != nil {
				return fmt.Errorf("auth: %s: %w", name, err)
			}
			b.access.steps = append(b.access.steps, auth.Step{Name: name, Authenticator: a})
		}
	}
	authorizers := []opener[auth.Authorizer]{}
	var sources []auth.Authorizer
	for _, o := range authorizers { // in the order in which they are asked
		a, err := o.open(&b.access)
		if err != nil {
			return fmt.Errorf("auth: %s: %w", o.name, err)
		}
		sources = append(sources, a)
	}
	if b.permissions == nil {
		b.permissions = auth.NewPermissions(sources, cfg.NoMatch == config.NoMatchAllow)
	}
	return nil
}

// authenticatorOf decides who may connect at a listener.
func (b *Broker) authenticatorOf(ln config.Listener) auth.Authenticator {
	anonymous := b.cfg.AnonymousAllowed(ln)
	steps := certificateStep(ln, b.cfg.Auth.Order, b.access.steps)
	switch {
	case b.authenticator != nil:
		return b.authenticator
	case len(steps) > 0:
		return &auth.Chain{Steps: steps, Anonymous: anonymous}
	case anonymous:
		return auth.Anonymous{}
	}
	return auth.Nobody{}
}

// reload reads again what may change. What cannot be read stays as it was.
func (a *access) reload() error {
	var errs []error
	for _, fn := range a.reloads {
		errs = append(errs, fn())
	}
	return errors.Join(errs...)
}

func (a *access) close() error {
	var errs []error
	for _, fn := range a.closes {
		errs = append(errs, fn())
	}
	return errors.Join(errs...)
}
