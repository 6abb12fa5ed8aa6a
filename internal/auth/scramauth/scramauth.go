// Package scramauth is enhanced authentication (MQTT 5, section 4.12) by SCRAM-SHA-256 and SCRAM-SHA-512. CONNECT and AUTH
// carry the messages of pkg/scram as authentication data, and CONNACK the server's last.
package scramauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/scram"
)

// Keys are where users' credentials are kept.
type Keys interface {
	// Find returns the credentials of a user for a hash. It takes the same time for every name.
	Find(user string, h scram.Hash) (scram.Credentials, bool)
	// Iterations is what most users' credentials have, so that those that are not there look alike; 0: unknown.
	Iterations(h scram.Hash) int
}

// Method is one mechanism.
type Method struct {
	hash   scram.Hash
	keys   Keys
	secret []byte
}

var _ auth.Method = (*Method)(nil)

// New returns the method of a hash. Secret, the same over restarts, makes up the salts of users that do not exist.
func New(h scram.Hash, keys Keys, secret []byte) *Method { return &Method{h, keys, secret} }

// Name implements auth.Method.
func (m *Method) Name() string { return m.hash.Name() }

// Start implements auth.Method.
func (m *Method) Start(r *auth.Request) auth.Exchange {
	find := func(user string) (scram.Credentials, bool) { return m.keys.Find(user, m.hash) }
	decoy := scram.Decoy{Secret: m.secret, Iterations: m.keys.Iterations(m.hash)}
	return &exchange{server: scram.NewServer(m.hash, find, decoy), clientID: r.ClientID, username: r.Username}
}

type exchange struct {
	server             *scram.Server
	clientID, username string
}

// Next implements auth.Exchange. Whether the user, the password or both are wrong, the client gets one and the same answer.
func (e *exchange) Next(_ context.Context, data []byte) (out []byte, id auth.Identity, done bool, err error) {
	out, done, err = e.server.Next(data)
	switch {
	case errors.Is(err, scram.ErrProof):
		return nil, id, false, fmt.Errorf("%w: %w", mqtt.NotAuthorized, err)
	case err != nil:
		return nil, id, false, fmt.Errorf("%w: %w", mqtt.ProtocolError, err)
	case !done:
		return out, id, false, nil
	case e.username != "" && e.username != e.server.User():
		// Nobody is to be known by one name here and another there.
		return nil, id, false, fmt.Errorf("%w: the username of the connection is not the one that was authenticated", mqtt.NotAuthorized)
	}
	return out, auth.Identity{ClientID: e.clientID, Username: e.server.User()}, true, nil
}
