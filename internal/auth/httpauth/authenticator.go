package httpauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/acljson"
	"github.com/barid-mqtt/barid/mqtt"
)

var authenticationBody = []string{"clientid=${clientid}", "username=${username}", "password=${password}"}

// Authenticator asks a server who may connect.
type Authenticator struct{ c *client }

var _ auth.Authenticator = (*Authenticator)(nil)

// NewAuthenticator makes an authenticator. Close ends it.
func NewAuthenticator(o Options) (*Authenticator, error) {
	c, err := newClient(&o, authenticationBody, onlyAuthorisation)
	if err != nil {
		return nil, err
	}
	return &Authenticator{c}, nil
}

// Authenticate implements auth.Authenticator.
func (a *Authenticator) Authenticate(ctx context.Context, r *auth.Request) (auth.Identity, error) {
	v := values{
		clientID: r.ClientID, username: r.Username, password: string(r.Password), listener: r.Listener, peer: hostOf(r.RemoteAddr),
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		subject := r.TLS.PeerCertificates[0].Subject
		v.commonName, v.subject = subject.CommonName, subject.String()
	}
	answer, err := a.c.ask(ctx, &v)
	switch {
	case err != nil && a.c.pass && !errors.Is(err, mqtt.ServerBusy):
		return auth.Identity{}, auth.ErrPass
	case errors.Is(err, mqtt.ServerBusy):
		return auth.Identity{}, err
	case err != nil:
		return auth.Identity{}, fmt.Errorf("%w: %w", mqtt.ServerUnavailable, err)
	case answer.result == ignore:
		return auth.Identity{}, auth.ErrPass
	case answer.result == deny:
		return auth.Identity{}, fmt.Errorf("%w: the server said deny", mqtt.NotAuthorized)
	}
	return identity(r, &answer)
}

// identity is that of a client whom the server lets in. Rules that cannot be read let nobody in: they may deny.
func identity(r *auth.Request, a *answer) (auth.Identity, error) {
	id := auth.Identity{ClientID: r.ClientID, Username: r.Username, Superuser: a.superuser, ExpiresAt: a.expiresAt}
	if !a.expiresAt.IsZero() && !a.expiresAt.After(time.Now()) {
		return auth.Identity{}, fmt.Errorf("%w: expire_at of the answer has passed", mqtt.NotAuthorized)
	}
	rules, err := acljson.Parse(a.acl)
	if err != nil {
		return auth.Identity{}, fmt.Errorf("%w: acl of the answer: %w", mqtt.ServerUnavailable, err)
	}
	id.Rules = rules
	return id, nil
}

// hostOf is the address without its port; not valid where there is none.
func hostOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Close ends the connections to the server that are idle.
func (a *Authenticator) Close() { a.c.close() }
