package broker

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/clientcert"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// connecting is a CONNECT on its way to be accepted: what is known of it, and the conn.Handler that its connection
// talks to. One goroutine at a time works on it.
type connecting struct {
	broker   *Broker
	listener *listenerState
	net      net.Conn
	limits   *conn.Options // of the connection
	conn     *conn.Conn
	packet   *mqtt.Connect
	request  auth.Request
	exchange auth.Exchange
	link     *link
	assigned bool
	begun    time.Time
	leave    func() // the gate of the client id; nil: not inside
}

// Connect implements conn.Handler.
func (k *connecting) Connect(c *conn.Conn, p *mqtt.Connect) {
	k.packet, k.begun = p, time.Now()
	if !k.broker.rates.admitConnect(time.Now()) {
		k.broker.metrics.Hit(metrics.LimitConnectRate)
		c.Refuse(mqtt.ConnectionRateExceeded, "too many clients connect at once")
		return
	}
	if k.broker.memory.High() {
		k.broker.metrics.Hit(metrics.LimitMemoryConnect)
		c.Refuse(mqtt.ServerBusy, "the server's memory is nearly full")
		return
	}
	k.request.RemoteAddr, k.request.TLS = c.Info().RemoteAddr, k.listener.tlsState(k.net)
	if err := k.nameByCertificate(p); err != nil {
		k.authenticated(auth.Identity{}, err)
		return
	}
	if code := k.check(p); code.Failed() {
		c.Refuse(code, "")
		return
	}
	k.request = auth.Request{
		ClientID: p.ClientID, Username: p.Username, HasUsername: p.HasUsername, Password: p.Password, HasPassword: p.HasPassword,
		Version: p.Version, Listener: k.listener.name, RemoteAddr: k.request.RemoteAddr, TLS: k.request.TLS,
	}
	if k.banned(p.Username) {
		return
	}
	if p.HasAuthMethod {
		m := k.broker.methods[p.AuthMethod]
		if m == nil {
			c.Refuse(mqtt.BadAuthenticationMethod, "")
			return
		}
		k.exchange = m.Start(&k.request)
		k.broker.beside(func() { k.step(p.AuthData) })
		return
	}
	if a, ok := k.listener.authenticator.(quick); ok { // the answer is at hand: no goroutine for it
		id, err := a.Authenticate(k.broker.ctx, &k.request)
		k.authenticated(id, err)
		return
	}
	k.broker.beside(func() {
		id, err := k.listener.authenticator.Authenticate(k.broker.ctx, &k.request)
		k.authenticated(id, err)
	})
}

// banned refuses a client that is banned.
func (k *connecting) banned(username string) bool {
	ban, ok := k.broker.store.bans.Find(k.packet.ClientID, username, k.request.RemoteAddr)
	if ok {
		k.broker.logs.auth.Debug("banned client refused", "client", k.packet.ClientID, "address", k.request.RemoteAddr, "as", ban.As, "who", ban.Who)
		k.broker.metrics.Hit(metrics.LimitBan)
		k.conn.RefuseFor(mqtt.Banned, "", fmt.Sprintf("%s %q is banned%s", ban.As, ban.Who, because(ban.Reason)))
	}
	return ok
}

// quick are authenticators that answer at once.
type quick interface {
	auth.Authenticator
	Quick()
}

// Authenticate implements conn.Handler.
func (k *connecting) Authenticate(_ *conn.Conn, p *mqtt.Auth) {
	k.broker.beside(func() { k.step(p.AuthData) })
}

// step takes the enhanced authentication one packet further.
func (k *connecting) step(data []byte) {
	out, id, done, err := k.exchange.Next(k.broker.ctx, data)
	switch {
	case err != nil:
		k.authenticated(id, err)
	case done:
		k.packet.AuthData = out
		k.authenticated(id, nil)
	default:
		k.conn.Challenge(out)
	}
}

// check judges a CONNECT by the configuration.
func (k *connecting) check(p *mqtt.Connect) mqtt.ReasonCode {
	cfg := &k.broker.conf().MQTT
	switch {
	case p.ClientID == "" && p.Version < mqtt.V5 && (!p.CleanStart || p.Version == mqtt.V31):
		return mqtt.ClientIDNotValid
	case len(p.ClientID) > cfg.MaxClientIDBytes:
		return mqtt.ClientIDNotValid
	}
	if p.ClientID == "" {
		p.ClientID, k.assigned = newClientID(), true
		k.conn.SetClientID(p.ClientID)
	}
	if p.Will == nil {
		return mqtt.Success
	}
	switch {
	case int(p.Will.QoS) > cfg.MaxQoS:
		return mqtt.QoSNotSupported
	case p.Will.Retain && !cfg.RetainAvailable:
		return mqtt.RetainNotSupported
	case !k.broker.validTopic(k.listener.mount + p.Will.Topic):
		return mqtt.TopicNameInvalid
	case isSys(k.broker.destination(k.listener.mount + p.Will.Topic)):
		return mqtt.NotAuthorized
	}
	return mqtt.Success
}

// newClientID makes up an identifier that nobody else has, of characters that every client takes.
func newClientID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return "auto-" + hex.EncodeToString(b[:])
}

// codeOf is the reason code that an error is, or wraps.
func codeOf(err error) mqtt.ReasonCode {
	var code mqtt.ReasonCode
	if errors.As(err, &code) {
		return code
	}
	return mqtt.UnspecifiedError
}

// authenticated goes on with a client that is, or is not, who it says it is.
func (k *connecting) authenticated(id auth.Identity, err error) {
	b, p := k.broker, k.packet
	if err != nil {
		b.metrics.Hit(metrics.LimitAuthenticationFailure)
		b.logs.auth.Info("client refused", "client", p.ClientID, "address", k.request.RemoteAddr, "reason", err.Error())
		refuse := func() { k.conn.RefuseFor(codeOf(err), "", err.Error()) }
		if delay := b.failures.by.Note(k.request.RemoteAddr, time.Now()); delay > 0 {
			// The client hears of it before its time to connect is over.
			timeout := time.Duration(b.conf().MQTT.ConnectTimeoutSeconds) * time.Second
			time.AfterFunc(min(delay, timeout*4/5), refuse)
		} else {
			refuse()
		}
		return
	}
	if p.HasUsername || p.HasAuthMethod || id.Username != "" {
		b.metrics.Authenticated.Inc()
	} else {
		b.metrics.Anonymous.Inc()
	}
	if id.Username != p.Username && k.banned(id.Username) {
		return
	}
	k.link = &link{
		conn: k.conn, listener: k.listener, version: p.Version, receiveMaximum: receiveMaximum(p), mount: k.listener.mount,
		identity: &id, exchange: k.exchange, connectedAt: time.Now(), assigned: k.assigned,
		keepAlive: p.KeepAlive, cleanStart: p.CleanStart,
	}
	if cert := clientcert.Verified(k.request.TLS); cert != nil {
		k.link.certificateEnds = cert.NotAfter
	}
	k.link.complete(&id)
	if p.Will != nil {
		k.link.will = newWill(p.Will, k.listener.mount, p.ClientID, id.Username)
		k.link.will.id = b.number(&b.incarnation, state.Incarnation)
	}
	k.authorize()
}

// authorize goes on with a client whose will, if it has one, may be published. What is not allowed at CONNECT is not
// allowed when the will is due, and the client would not be there to be told.
func (k *connecting) authorize() {
	b, l := k.broker, k.link
	if l.will == nil {
		b.registry.enter(k.packet.ClientID, k.claim)
		return
	}
	m := &l.will.message
	a := auth.Access{Action: auth.Publish, Topic: b.destination(m.Topic), QoS: m.QoS, Retain: m.Retain}
	answer := func() {
		if b.allowed(nil, l, a) != auth.Allow {
			k.conn.Refuse(mqtt.NotAuthorized, "the will's topic is not allowed")
			return
		}
		b.registry.enter(k.packet.ClientID, k.claim)
	}
	if d, _ := l.grants.Check(b.permissions, l.identity, a); d != auth.Unknown {
		answer()
		return
	}
	b.beside(func() {
		b.permissions.Ask(b.ctx, l.identity, a)
		answer()
	})
}

func receiveMaximum(p *mqtt.Connect) uint16 {
	if p.ReceiveMaximum == 0 {
		return 65535
	}
	return p.ReceiveMaximum
}

// claim runs inside the gate of the client id: no other CONNECT of that client does meanwhile. It ends an older
// connection, and goes on when its session has settled.
func (k *connecting) claim(leave func()) {
	k.leave = leave
	if k.conn.IsClosing() { // it gave up while it waited
		leave()
		return
	}
	b := k.broker
	old := b.registry.get(k.packet.ClientID)
	if old == nil {
		k.resume(nil)
		return
	}
	if l := old.linked(func() { k.resume(old) }); l != nil {
		b.metrics.SessionsTakenOver.Inc()
		l.conn.CloseAfterInput(mqtt.SessionTakenOver, "another connection uses this client id")
		return
	}
	k.resume(old)
}

// resume finds or makes the session. old is the client's session, without a connection now; nil: it has none.
func (k *connecting) resume(old *client) {
	b, p := k.broker, k.packet
	if old != nil && b.registry.get(p.ClientID) != old {
		old = nil // it ended with its connection
	}
	if !b.admitConnection() {
		b.metrics.Hit(metrics.LimitConnections)
		k.refuse(mqtt.QuotaExceeded)
		return
	}
	if old != nil && p.CleanStart {
		b.end(old, endDiscarded)
		old = nil
	}
	expiry := b.expiryOf(p)
	c := old
	if c == nil {
		if !b.registry.reserve(b.conf().Limits.MaxSessions) {
			b.connections.Add(-1)
			b.metrics.Hit(metrics.LimitSessions)
			k.refuse(mqtt.QuotaExceeded)
			return
		}
		c = b.newClient(p.ClientID, expiry > 0)
	}
	k.link.client = c
	if !c.durable.Load() && (k.link.will == nil || !b.keeps) {
		k.accept(c, old != nil, expiry)
		return
	}
	// A durable session and a will exist once they are committed, and all that the session's last connection sent is
	// settled before.
	err := k.keep(c, expiry, func(_ message.Position, err error) {
		if err != nil {
			k.giveUp(old, mqtt.ServerUnavailable)
			return
		}
		b.work(func() {
			if err := errors.Join(b.capAtResume(c), b.wake(c)); err != nil {
				b.logs.client.Error("session not resumed", "client", c.id, "error", err)
				k.giveUp(old, mqtt.ServerUnavailable)
				return
			}
			k.permit(c, func() { k.accept(c, old != nil, expiry) })
		})
	})
	if err != nil {
		k.giveUp(old, mqtt.ServerBusy)
	}
}

// keep submits a session that is about to be connected, with its new will.
func (k *connecting) keep(c *client, expiry uint32, done func(message.Position, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expiry = expiry
	c.submitGroups()
	ops := c.sessionOps(true, k.link.will, time.Time{})
	if len(ops) > 0 && c.durable.Load() {
		return c.submitState(ops, done)
	}
	return c.broker.engine.Submit(0, storage.Unit{Ops: ops}, done)
}

// giveUp refuses a client whose session, if it is a new one, comes to nothing.
func (k *connecting) giveUp(old *client, code mqtt.ReasonCode) {
	if old == nil {
		k.broker.registry.unreserve()
	}
	k.broker.connections.Add(-1)
	k.refuse(code)
}

func (k *connecting) refuse(code mqtt.ReasonCode) {
	k.leave()
	k.conn.Refuse(code, "")
}

// accept joins connection and session and answers the CONNECT.
func (k *connecting) accept(c *client, present bool, expiry uint32) {
	defer k.leave()
	b, l := k.broker, k.link
	c.cancelTimers()
	if present {
		b.metrics.SessionsResumed.Inc()
	} else {
		b.registry.put(c)
		b.metrics.SessionsCreated.Inc()
	}
	ack, keepAlive := k.connack(present, expiry)
	c.mu.Lock()
	c.expiry = expiry
	accepted := k.conn.Accept(l, ack, keepAlive)
	if accepted { // under the lock, so that nothing is delivered before CONNACK, and nothing settled before this
		c.attach(l)
		c.permitted()
		l.expireAccess()
		l.rates = b.rates.enter(l)
	}
	c.mu.Unlock()
	if !accepted {
		b.connections.Add(-1)
		b.settle(c)
		return
	}
	b.metrics.Connects.Inc()
	b.metrics.Connect.Observe(time.Since(k.begun))
	b.countConnect(c.id, time.Now())
	if _, banned := b.store.bans.Find(c.id, l.identity.Username, k.request.RemoteAddr); banned { // while it connected
		k.conn.Close(mqtt.AdministrativeAction, "banned")
	}
	l.tellConnected(present)
	b.logs.client.Debug("client connected", "client", c.id, "address", k.request.RemoteAddr, "version", l.version.String(), "session_present", present)
	k.conn.ResumeWith(func(batch *conn.Batch) {
		c.mu.Lock()
		c.pump(batch)
		c.mu.Unlock()
		k.conn.FlushWith(batch)
	})
}

// Aborted implements conn.Handler.
func (k *connecting) Aborted(*conn.Conn) {}

// connack fills the CONNACK: what a version 5 client is told of our limits where they differ from the standard's
// defaults, and of what we made of its wishes.
func (k *connecting) connack(present bool, expiry uint32) (ack *mqtt.Connack, keepAlive uint16) {
	p, cfg := k.packet, &k.broker.conf().MQTT
	keepAlive = p.KeepAlive
	ack = &mqtt.Connack{SessionPresent: present}
	if p.Version < mqtt.V5 {
		return ack, keepAlive
	}
	if limit := uint16(cfg.KeepAliveMaxSeconds); limit > 0 && (keepAlive == 0 || keepAlive > limit) {
		keepAlive = limit
		ack.ServerKeepAlive = &keepAlive
	}
	if expiry != p.SessionExpirySeconds {
		ack.SessionExpirySeconds = &expiry
	}
	if k.assigned {
		ack.AssignedClientID = p.ClientID
	}
	if p.HasAuthMethod {
		ack.AuthData = p.AuthData
	}
	ack.ReceiveMaximum = uint16(cfg.ReceiveMaximum)
	ack.MaximumPacketSize = k.limits.MaxPacketBytes
	ack.TopicAliasMaximum = k.limits.TopicAliasMaximum
	if cfg.MaxQoS < 2 {
		qos := mqtt.QoS(cfg.MaxQoS)
		ack.MaximumQoS = &qos
	}
	no := false
	for _, o := range []struct {
		available bool
		field     **bool
	}{
		{cfg.RetainAvailable, &ack.RetainAvailable}, {cfg.WildcardAvailable, &ack.WildcardAvailable},
		{cfg.SharedAvailable, &ack.SharedAvailable}, {cfg.SubscriptionIDsAvailable, &ack.SubscriptionIDs},
	} {
		if !o.available {
			*o.field = &no
		}
	}
	return ack, keepAlive
}

// expiryOf is how long a session lives without a connection, as the client wishes and the configuration allows.
func (b *Broker) expiryOf(p *mqtt.Connect) uint32 {
	if p.Version >= mqtt.V5 {
		return b.capExpiry(p.SessionExpirySeconds, p.Version)
	}
	if p.CleanStart {
		return 0
	}
	return b.capExpiry(mqtt.NeverExpires, p.Version)
}

func (b *Broker) capExpiry(seconds uint32, v mqtt.Version) uint32 {
	limit := b.conf().Session.ExpiryMaxSeconds
	if v < mqtt.V5 && seconds > 0 {
		limit = b.conf().Session.ExpiryV3Seconds
	}
	if limit > 0 && int64(seconds) > limit {
		return uint32(limit)
	}
	return seconds
}
