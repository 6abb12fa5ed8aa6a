package broker

import (
	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// Authenticate implements conn.Port: a client authenticates again on its open connection. Its other packets wait.
func (l *link) Authenticate(p *mqtt.Auth) error {
	b := l.client.broker
	switch p.Code {
	case mqtt.ReAuthenticate:
		m := b.methods[p.AuthMethod]
		if m == nil {
			return mqtt.BadAuthenticationMethod
		}
		r := b.requestOf(l)
		l.exchange = m.Start(&r)
	case mqtt.ContinueAuthentication:
		if l.exchange == nil {
			return mqtt.ProtocolError
		}
	default:
		return mqtt.ProtocolError
	}
	l.conn.Suspend()
	b.beside(func() { l.step(p.AuthData) })
	return nil
}

// step takes the authentication one packet further. A failure ends the connection [MQTT-4.12.1-2].
func (l *link) step(data []byte) {
	b := l.client.broker
	out, id, done, err := l.exchange.Next(b.ctx, data)
	switch {
	case err != nil:
		b.metrics.Hit(metrics.LimitAuthenticationFailure)
		b.logs.auth.Info("client failed to authenticate again", "client", l.client.id, "address", l.conn.Info().RemoteAddr, "reason", err.Error())
		l.conn.Close(codeOf(err), "")
		return
	case done:
		l.identify(&id)
		l.conn.SendAuth(mqtt.Success, out)
	default:
		l.conn.SendAuth(mqtt.ContinueAuthentication, out)
	}
	l.conn.Resume()
}

// identify makes the client of a connection, on which nothing else is handled now, who it has proved to be.
func (l *link) identify(id *auth.Identity) {
	l.complete(id)
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	l.identity, l.exchange = id, nil
	l.grants.Reset()
	l.receipts = receipts{}
	l.expireAccess()
}

// complete adds what the connection knows to an identity.
func (l *link) complete(id *auth.Identity) {
	id.Listener, id.Version, id.RemoteAddr = l.listener.name, l.version, l.conn.Info().RemoteAddr
	if end := l.certificateEnds; !end.IsZero() && (id.ExpiresAt.IsZero() || end.Before(id.ExpiresAt)) {
		id.ExpiresAt = end
	}
}

func (b *Broker) requestOf(l *link) auth.Request {
	return auth.Request{ClientID: l.client.id, Username: l.identity.Username, Version: l.version, Listener: l.listener.name,
		RemoteAddr: l.conn.Info().RemoteAddr}
}
