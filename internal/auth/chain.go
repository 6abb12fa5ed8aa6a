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
}

// NewPermissions returns the permissions that sources grant, asked in order. What none of them, nor the rules of the
// client itself, says anything about is allowed if allowNoMatch is set. Without any source every client without rules of
// its own may do everything.
func NewPermissions(sources []Authorizer, allowNoMatch bool) *Permissions {
	p := &Permissions{sources: sources}
	if allowNoMatch {
		p.noMatch = Allow
	}
	return p
}

// Check returns Allow, Deny, Unknown or, for a filter that is granted in part, Partly. version identifies the state of
// the rules that the answer comes from; stable says that it holds as long as that is the Version.
func (p *Permissions) Check(id *Identity, a Access) (d Decision, stable bool) {
	if p.open(id) {
		return Allow, true
	}
	narrow := false
	stable = true
	for i := -1; i < len(p.sources); i++ {
		source := id.Rules
		if i >= 0 {
			source = p.sources[i]
		}
		if source == nil {
			continue
		}
		if _, ok := source.(Versioned); !ok {
			stable = false
		}
		switch d := source.Check(id, a); d {
		case NoMatch:
		case Narrow:
			narrow = true
		case Allow:
			return p.whole(narrow), stable
		default:
			return d, stable
		}
	}
	if p.noMatch == Allow {
		return p.whole(narrow), stable
	}
	return Deny, stable
}

// whole is what the grant of a whole filter comes to, after some of it was denied.
func (p *Permissions) whole(narrow bool) Decision {
	if narrow {
		return Partly
	}
	return Allow
}

// open reports whether a client may do everything.
func (p *Permissions) open(id *Identity) bool {
	return id.Superuser || len(p.sources) == 0 && id.Rules == nil
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
