// Package auth says who may connect and what they may do. It holds the interfaces that the broker asks, the chains that
// make one answer of many, and what every source of answers needs: rules, a cache of decisions, and a gate for slow work.
// The sources themselves are packages below this one and know nothing of each other.
//
//	CONNECT → Chain.Authenticate → each Authenticator in order: an Identity, a refusal, or ErrPass
//	AUTH    → Method → Exchange  → the same, by enhanced authentication; the chain is not asked then
//	PUBLISH, SUBSCRIBE, delivery → Permissions.Check: superuser, the client's own rules, each Authorizer in order, default
package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// Request is what a client said of itself in CONNECT, and where it came from. Password is the caller's;
// whoever wants to keep it copies it.
type Request struct {
	ClientID    string
	Username    string
	HasUsername bool
	Password    []byte
	HasPassword bool
	Version     mqtt.Version
	Listener    string
	RemoteAddr  net.Addr
	TLS         *tls.ConnectionState // nil: no TLS
}

// Identity is what an authenticator made of a client. Nobody changes it once the client is connected; authenticating
// again makes a new one.
type Identity struct {
	ClientID  string
	Username  string     // what rules go by: as the client gave it, or as a certificate or token says
	Superuser bool       // every action is allowed
	Roles     []string   // whose rules hold too
	ExpiresAt time.Time  // the connection ends then; zero: never
	Rules     Authorizer // rules of this client alone, a token's for example, asked before all others; nil: none

	// Filled in by the broker.
	Listener   string
	RemoteAddr net.Addr
	Version    mqtt.Version
}

// ErrPass says that an authenticator has nothing to say about a client: the next one is asked. Match it with errors.Is.
var ErrPass = errors.New("auth: unknown to this authenticator")

// Authenticator decides whether a client may connect. The error is, or wraps, ErrPass, or the mqtt.ReasonCode that the
// client gets; its text is logged, so it says why, and holds nothing secret. An authenticator that cannot tell, because a
// server is away for example, refuses with mqtt.ServerUnavailable rather than pass.
// It may be slow: it runs beside the connection, which waits for it. Work that takes a processor or a connection of its
// own goes through a Gate.
type Authenticator interface {
	Authenticate(ctx context.Context, r *Request) (Identity, error)
}

// Method is an enhanced authentication method of version 5, for example SCRAM-SHA-256.
type Method interface {
	// Name is the method's name on the wire.
	Name() string
	// Start begins an exchange with one client.
	Start(r *Request) Exchange
}

// Exchange is one client's authentication by a Method. It may be slow, as an Authenticator may.
type Exchange interface {
	// Next takes the client's data and returns the server's. done says that the client is who it says it is; until then
	// the client is asked to go on. An error, which is or wraps an mqtt.ReasonCode, ends it.
	Next(ctx context.Context, data []byte) (out []byte, id Identity, done bool, err error)
}

// Anonymous lets everybody in, under the name that they give.
type Anonymous struct{}

// Authenticate implements Authenticator.
func (Anonymous) Authenticate(_ context.Context, r *Request) (Identity, error) {
	return Identity{ClientID: r.ClientID, Username: r.Username}, nil
}

// Nobody lets nobody in.
type Nobody struct{}

// Authenticate implements Authenticator.
func (Nobody) Authenticate(context.Context, *Request) (Identity, error) {
	return Identity{}, mqtt.NotAuthorized
}

// Quick says that Authenticate answers at once, so that no goroutine is needed for it.
func (Anonymous) Quick() {}

// Quick says the same of Nobody.
func (Nobody) Quick() {}
