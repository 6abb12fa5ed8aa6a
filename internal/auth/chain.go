package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/barid-mqtt/barid/mqtt"
)

// Chain asks authenticators in order until one accepts or refuses the client. Whom all of them pass on is let in if the
// client gave no username and Anonymous is set, and is refused otherwise.
type Chain struct {
	Steps     []Step
	Anonymous bool
}

// Step is one authenticator of a chain and its name in logs.
type Step struct {
	Name string
	Authenticator
}

// Authenticate implements Authenticator.
func (c *Chain) Authenticate(ctx context.Context, r *Request) (Identity, error) {
	for _, s := range c.Steps {
		id, err := s.Authenticate(ctx, r)
		switch {
		case err == nil:
			return id, nil
		case !errors.Is(err, ErrPass):
			return Identity{}, fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	switch {
	case r.HasUsername:
		return Identity{}, fmt.Errorf("%w: no such user", mqtt.BadUserNameOrPassword)
	case c.Anonymous:
		return Identity{ClientID: r.ClientID}, nil
	}
	return Identity{}, fmt.Errorf("%w: no credentials", mqtt.NotAuthorized)
}

// Permissions make one decision of many authorisers.
type Permissions struct {
	sources []Authorizer
	noMatch Decision
	slow    bool // an answer may be Unknown
}

// NewPermissions returns the permissions that sources grant, asked in order. What none of them, nor the rules of the
// client itself, says anything about is allowed if allowNoMatch is set. Without any source every client without rules of
// its own may do everything.
func NewPermissions(sources []Authorizer, allowNoMatch bool) *Permissions {
	p := &Permissions{sources: sources}
	if allowNoMatch {
		p.noMatch = Allow
	}
	for _, source := range sources {
		p.slow = p.slow || !versioned(source)
	}
	return p
}

// Check returns Allow, Deny, Unknown or, for a filter that is granted in part, Partly. stable says that the
// answer holds as long as Version does.
func (p *Permissions) Check(id *Identity, a Access) (d Decision, stable bool) {
	if p.Open(id) {
		return Allow, true
	}
	d, stable = NoMatch, true
	for i := -1; i < len(p.sources); i++ {
		source := id.Rules
		if i >= 0 {
			source = p.sources[i]
		}
		if source == nil {
			continue
		}
		stable = stable && versioned(source)
		d = d.Then(func() Decision { return source.Check(id, a) })
		if d != NoMatch && d != Narrow {
			return d, stable
		}
	}
	return d.Then(func() Decision { return p.noMatch }), stable
}

// Open reports whether a client may do everything, whatever the rules.
func (p *Permissions) Open(id *Identity) bool {
	return id.Superuser || len(p.sources) == 0 && id.Rules == nil
}

func versioned(source Authorizer) bool {
	_, ok := source.(Versioned)
	return ok
}

// Slow reports whether an answer about a client may be Unknown.
func (p *Permissions) Slow(id *Identity) bool {
	return !p.Open(id) && (p.slow || id.Rules != nil && !versioned(id.Rules))
}

// Ask finds out what is Unknown.
func (p *Permissions) Ask(ctx context.Context, id *Identity, a Access) {
	if id.Rules != nil && !p.askOne(ctx, id.Rules, id, a) {
		return
	}
	for _, source := range p.sources {
		if !p.askOne(ctx, source, id, a) {
			return
		}
	}
}

// askOne has one source find out. It reports whether the next one matters.
func (p *Permissions) askOne(ctx context.Context, source Authorizer, id *Identity, a Access) bool {
	d := source.Check(id, a)
	if d == Unknown {
		source.Ask(ctx, id, a)
		d = source.Check(id, a)
	}
	return d == NoMatch || d == Narrow
}

// Version changes whenever a stable answer may have changed.
func (p *Permissions) Version() uint64 {
	var sum uint64
	for _, source := range p.sources {
		if v, ok := source.(Versioned); ok {
			sum += v.Version()
		}
	}
	return sum
}
