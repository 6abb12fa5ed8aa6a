// Package auth says who may connect and what they may do. It holds the interfaces that the broker asks and their
// simplest answers; an authenticator or authoriser of any kind is added behind them.
package auth

import (
	"context"
	"crypto/tls"
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

// Identity is what an authenticator made of a client.
type Identity struct {
	ClientID  string
	Username  string
	Superuser bool      // every action is allowed
	ExpiresAt time.Time // the connection ends then; zero: never
}

// Authenticator decides whether a client may connect. The error is, or wraps, the mqtt.ReasonCode that the client gets.
// It may be slow: it runs beside the connection, which waits for it.
type Authenticator interface {
	Authenticate(ctx context.Context, r *Request) (Identity, error)
}

// Action is what a client wants to do with a topic.
type Action uint8

// The actions.
const (
	Publish Action = iota
	Subscribe
)

// Decision is an authoriser's answer.
type Decision uint8

// The answers. Unknown says that the answer takes time and has to be asked for with Ask.
const (
	Deny Decision = iota
	Allow
	Unknown
)

// Authorizer decides what a client may do. Topic is a topic name for Publish and a filter, without its share, for
// Subscribe.
type Authorizer interface {
	// Check answers at once, from what is at hand. It is called for every PUBLISH.
	Check(id *Identity, a Action, topic string) Decision
	// Ask finds out what Check did not know, so that Check knows it from then on. It may take its time.
	Ask(ctx context.Context, id *Identity, a Action, topic string)
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

// Everything allows everything.
type Everything struct{}

// Check implements Authorizer.
func (Everything) Check(*Identity, Action, string) Decision { return Allow }

// Ask implements Authorizer.
func (Everything) Ask(context.Context, *Identity, Action, string) {}

// Quick says that Authenticate answers at once, so that no goroutine is needed for it.
func (Anonymous) Quick() {}

// Quick says the same of Nobody.
func (Nobody) Quick() {}
