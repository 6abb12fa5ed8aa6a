package broker

import (
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/tracing"
	"github.com/barid-mqtt/barid/mqtt"
)

// link is one connection of a client: what a session needs to know of it, and the conn.Port that its packets go to.
type link struct {
	// Static once the connection is accepted.
	client         *client
	conn           *conn.Conn
	listener       *listenerState
	version        mqtt.Version
	receiveMaximum uint16
	mount          string
	connectedAt    time.Time
	keepAlive      uint16 // seconds that the client asked for
	cleanStart     bool
	// certificateEnds is when the connection ends with the client's certificate; zero: it has shown none.
	certificateEnds time.Time
	assigned        bool // the client id was made up here

	// Owned by whoever feeds the connection.
	identity  *auth.Identity
	grants    auth.Cache    // of publishing and subscribing
	exchange  auth.Exchange // of enhanced authentication; nil: none
	will      *will         // nil: none, or discarded by DISCONNECT; once there is a client, guarded by its mu
	logged    bool          // the last message had to be committed, as the next one may
	slowed    bool          // it was paused for the PUBLISH that is being handled
	topic     string        // of the last PUBLISH
	packetID  uint16        // of the PUBLISH that is being handled
	packetQoS mqtt.QoS
	trace     *message.Trace // of that; nil: it is not followed
	read      time.Duration  // when it was read, since the broker's start
	rates     []*rate        // that what the client publishes counts for; none: no limit
	paid      bool           // the PUBLISH that is being handled, and is to be retried, has been counted
	receipts  receipts       // guarded by client.mu
	expiry    timer          // of identity; guarded by client.mu
	ended     func()         // called once the connection is over and the session detached; nil: nobody waits. Guarded by Broker.mu
}

// busyRetry is how long to wait before the engine, which was busy, is asked again.
const busyRetry = 5 * time.Millisecond

// receivePublish handles a PUBLISH that is within the rates.
func (l *link) receivePublish(b *conn.Batch, p *mqtt.Publish) (conn.Verdict, error) {
	c, cfg := l.client, &l.client.broker.cfg.MQTT
	if int(p.QoS) > cfg.MaxQoS {
		return conn.Done, l.refuseAndEnd(b, p, mqtt.QoSNotSupported)
	}
	if p.Retain && !cfg.RetainAvailable {
		return conn.Done, l.refuseAndEnd(b, p, mqtt.RetainNotSupported)
	}
	if l.pause() {
		return conn.Retry, nil
	}
	topic := l.topicOf(p.Topic)
	code, verdict := l.mayPublish(b, topic, p)
	if verdict == conn.Retry {
		return verdict, nil
	}
	if p.QoS > mqtt.AtMostOnce {
		inbound, retry := l.admit(p)
		switch {
		case retry:
			return conn.Retry, nil
		case inbound == session.Answer:
			c.broker.metrics.PublishRepeated.Inc()
			l.conn.AckNow(b, mqtt.PUBREC, p.PacketID, mqtt.Success)
			return conn.Done, nil
		case inbound == session.Wait:
			c.broker.metrics.PublishRepeated.Inc()
			return conn.Done, nil
		case inbound == session.QuotaExceeded:
			c.broker.metrics.Hit(metrics.LimitReceiveMaximum)
			return conn.Done, l.refuseAndEnd(b, p, mqtt.ReceiveMaximumExceeded)
		}
	}
	if code.Failed() {
		return conn.Done, l.refuse(b, topic, p, code)
	}
	l.packetID, l.packetQoS, l.read = p.PacketID, p.QoS, b.Now.Sub(c.broker.started)
	m := l.message(b.Now, topic, p)
	defer m.Release()
	if c.broker.tracer != nil {
		l.follow(m, p, b.Now)
	}
	if w := c.broker.trace.Watch(); w != nil {
		l.tellReceived(w, m, p.PacketID, b.Now)
	}
	code, waits, err := c.broker.publish(b, m, publisher{
		packetID: p.PacketID, keepID: p.QoS == mqtt.ExactlyOnce && c.durable.Load(), waiter: l,
		ops: l.inboundOps(p.QoS, p.PacketID)})
	if m.Trace != nil && (err != nil || !waits || p.QoS == mqtt.AtMostOnce) {
		tracing.Of(m.Trace).End(ended(code, err))
	}
	if err == storage.ErrBusy {
		l.forget(p)
		l.conn.Suspend()
		time.AfterFunc(busyRetry, l.conn.Resume)
		return conn.Retry, nil
	}
	l.logged = waits
	if err != nil {
		code, waits = mqtt.UnspecifiedError, false
	}
	if waits || p.QoS == mqtt.AtMostOnce {
		return conn.Done, nil
	}
	if l.version < mqtt.V5 && notKept(code) { // no acknowledgement for what is not kept, and no other way to say so
		l.forget(p)
		return conn.Done, code
	}
	l.settle(b, p.QoS, p.PacketID, code)
	return conn.Done, nil
}

// ended is the code of a PUBLISH that was handled, or not.
func ended(code mqtt.ReasonCode, err error) mqtt.ReasonCode {
	switch err {
	case nil:
		return code
	case storage.ErrBusy:
		return mqtt.ServerBusy
	}
	return mqtt.UnspecifiedError
}

// follow begins the trace of the PUBLISH that is being handled, if it is to have one.
func (l *link) follow(m *message.Message, p *mqtt.Publish, now time.Time) {
	l.trace = nil
	if span := l.client.broker.tracer.Begin(m.Topic, l.client.id, p, now); span != nil {
		l.trace = &message.Trace{Span: span}
		m.Trace = l.trace
	}
}

// notKept reports whether a code means that a message which is allowed is lost unless it is sent again.
func notKept(code mqtt.ReasonCode) bool {
	return code == mqtt.QuotaExceeded || code == mqtt.UnspecifiedError
}

// isSys reports whether a topic belongs to the broker's own tree, which no client publishes to.
func isSys(topic string) bool { return topic == "$SYS" || strings.HasPrefix(topic, "$SYS/") }

// isRead reports whether a topic stands for a stream or a queue, which are read and not published to.
func isRead(topic string) bool {
	return strings.HasPrefix(topic, streamPrefix) || strings.HasPrefix(topic, queuePrefix)
}

// mayPublish judges the topic and asks for permission for where the message is to end up. Retry means that the answer
// takes time.
func (l *link) mayPublish(batch *conn.Batch, topic string, p *mqtt.Publish) (mqtt.ReasonCode, conn.Verdict) {
	b := l.client.broker
	if !b.validTopic(topic) || isRead(topic) {
		return mqtt.TopicNameInvalid, conn.Done
	}
	topic = b.destination(topic)
	if isSys(topic) {
		return mqtt.NotAuthorized, conn.Done
	}
	a := auth.Access{Action: auth.Publish, Topic: topic, QoS: p.QoS, Retain: p.Retain}
	switch b.allowed(&batch.Tally, l, a) {
	case auth.Allow:
		return mqtt.Success, conn.Done
	case auth.Unknown:
		l.conn.Suspend()
		b.beside(func() {
			b.permissions.Ask(b.ctx, l.identity, a)
			l.conn.Resume()
		})
		return 0, conn.Retry
	}
	return mqtt.NotAuthorized, conn.Done
}

// allowed asks for permission, and counts the answer in t; nil: among what everybody counts.
func (b *Broker) allowed(t *metrics.Tally, l *link, a auth.Access) auth.Decision {
	if b.permissions.Open(l.identity) {
		return auth.Allow
	}
	d, remembered := l.grants.Check(b.permissions, l.identity, a)
	if d == auth.Unknown {
		return d
	}
	if t == nil {
		t = new(metrics.Tally)
		defer b.metrics.Add(t)
	}
	t.Access(d == auth.Allow || d == auth.Partly, remembered)
	return d
}

// admit asks the session about a PUBLISH with a packet identifier. retry says that it has to wait: the connection is
// suspended until one of its own messages is acknowledged.
func (l *link) admit(p *mqtt.Publish) (verdict session.Inbound, retry bool) {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.InboundPaused() {
		c.paused = true
		l.conn.Suspend()
		return 0, true
	}
	c.noteGrowth()
	return c.session.ReceivePublish(p.PacketID, p.QoS), false
}

// forget takes an admission back.
func (l *link) forget(p *mqtt.Publish) {
	if p.QoS == mqtt.AtMostOnce {
		return
	}
	l.client.mu.Lock()
	l.client.session.PublishDone(p.PacketID, p.QoS, mqtt.QuotaExceeded)
	l.client.mu.Unlock()
}

// refuse answers a PUBLISH that is not allowed: version 5 by its code, older ones as configured.
func (l *link) refuse(b *conn.Batch, topic string, p *mqtt.Publish, code mqtt.ReasonCode) error {
	c := l.client
	if code == mqtt.NotAuthorized {
		c.broker.metrics.PublishesRefused.Inc()
	}
	l.tellRefused(topic, p, code, b.Now)
	if l.version < mqtt.V5 && c.broker.conf().Auth.DenyAction == "disconnect" {
		return code
	}
	if p.QoS > mqtt.AtMostOnce {
		l.settle(b, p.QoS, p.PacketID, code)
	}
	return nil
}

// refuseAndEnd is for a PUBLISH that no client that was told the broker's limits sends: it ends the connection.
func (l *link) refuseAndEnd(b *conn.Batch, p *mqtt.Publish, code mqtt.ReasonCode) error {
	l.tellRefused(l.topicOf(p.Topic), p, code, b.Now)
	return code
}

// settle ends the handling of a PUBLISH that waits for nothing, and acknowledges it.
func (l *link) settle(b *conn.Batch, qos mqtt.QoS, id uint16, code mqtt.ReasonCode) {
	code = l.ackCode(code)
	c := l.client
	c.mu.Lock()
	c.session.PublishDone(id, qos, code)
	c.mu.Unlock()
	l.conn.AckNow(b, ackOf(qos), id, code)
}

// ackCode is what an acknowledgement says: for versions that know no codes, a refusal is a success, or else a QoS 2
// identifier would be forgotten that the client goes on to release.
func (l *link) ackCode(code mqtt.ReasonCode) mqtt.ReasonCode {
	if l.version < mqtt.V5 {
		return mqtt.Success
	}
	return code
}

func ackOf(qos mqtt.QoS) mqtt.Type {
	if qos == mqtt.ExactlyOnce {
		return mqtt.PUBREC
	}
	return mqtt.PUBACK
}

// Wait implements router.Waiter for the PUBLISH that is being handled.
func (l *link) Wait() (p router.Pending, waits bool) {
	if l.packetQoS == mqtt.AtMostOnce {
		return p, false
	}
	ticket := l.conn.AckLater(ackOf(l.packetQoS), l.packetID)
	tracing.Of(l.trace).Commit()
	return router.Pending{Ticket: uint64(ticket), PacketID: l.packetID, QoS: l.packetQoS, Read: l.read, Trace: l.trace}, true
}

// Unwait implements router.Waiter.
func (l *link) Unwait() { l.conn.AckCancel() }

// Committed implements router.Waiter: it acknowledges a message that the engine has, or refused. It runs on the engine's
// goroutine.
func (l *link) Committed(p router.Pending, code mqtt.ReasonCode) {
	c, qos, id, ticket := l.client, p.QoS, p.PacketID, conn.Ticket(p.Ticket)
	c.broker.metrics.Acknowledge.Observe(c.broker.released() - p.Read)
	tracing.Of(p.Trace).End(code)
	c.mu.Lock()
	now, answer := c.link, false
	// A QoS 1 identifier of an earlier connection may mean another message by now, a QoS 2 identifier may not.
	if now == l || qos == mqtt.ExactlyOnce {
		answer = c.session.PublishDone(id, qos, code)
	}
	if c.paused && now != nil && !c.session.InboundPaused() {
		c.paused = false
		now.conn.Resume()
	}
	c.mu.Unlock()
	switch {
	case now == nil || now != l && !answer:
	case code.Failed() && now.version < mqtt.V5:
		now.conn.Close(code, "") // no acknowledgement for what is not kept, and no other way to say so
	case now == l:
		l.conn.AckReady(ticket, code)
	default: // the same identifier came again on a newer connection
		now.conn.AckReady(now.conn.AckLater(ackOf(qos), id), code)
	}
}

// Ack implements conn.Port.
func (l *link) Ack(b *conn.Batch, t mqtt.Type, p *mqtt.Ack) error {
	c := l.client
	if t == mqtt.PUBREL {
		return l.release(b, p.PacketID)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch t {
	case mqtt.PUBACK:
		if d, ok := c.session.ReceivePuback(p.PacketID, p.Code); ok {
			c.completed(p.PacketID, &d, p.Code)
			d.Message.Release()
		} else {
			c.unfit(t, p.PacketID)
		}
	case mqtt.PUBREC:
		l.received(b, c.session.ReceivePubrec(p.PacketID, p.Code), p)
	case mqtt.PUBCOMP:
		if d, ok := c.session.ReceivePubcomp(p.PacketID, p.Code); ok {
			c.completed(p.PacketID, &d, mqtt.Success)
			d.Message.Release()
		} else {
			c.unfit(t, p.PacketID)
		}
	}
	c.pump(b)
	return nil
}

// completed ends a delivery. The caller holds c.mu.
func (c *client) completed(id uint16, d *session.Delivery, code mqtt.ReasonCode) {
	if a := accountOf(d); a != nil {
		a.completed(id)
	} else {
		c.dirtied()
	}
	if w := c.broker.trace.Watch(); w != nil {
		c.tellAcknowledged(w, id, d, code)
	}
	if code.Failed() {
		c.drop(message.DropRefused, d.Message, time.Now())
	} else {
		c.broker.metrics.Acknowledged.Inc()
	}
}

// unfit counts an acknowledgement that ends or furthers nothing. The caller holds c.mu.
func (c *client) unfit(t mqtt.Type, id uint16) {
	m := &c.broker.metrics.Unacknowledged
	if c.session.Outstanding(id) {
		m.Misplaced[t].Inc()
	} else {
		m.Unknown[t].Inc()
	}
}

// received answers a PUBREC. The caller holds the client's lock.
func (l *link) received(b *conn.Batch, r session.PubrecResult, p *mqtt.Ack) {
	switch {
	case r.Finished:
		l.client.completed(p.PacketID, &r.Delivery, p.Code)
		r.Delivery.Message.Release()
	case r.Release && l.client.broker.keeps && accountOf(&r.Delivery) != nil:
		accountOf(&r.Delivery).released(b, l, p.PacketID)
	case r.Release && l.client.broker.keeps && l.client.durable.Load():
		l.client.releases = append(l.client.releases, p.PacketID)
		l.client.keepReleases()
	case r.Known || !p.Code.Failed(): // a refusal of what is not known needs no answer
		code := mqtt.Success
		if !r.Known {
			l.client.unfit(mqtt.PUBREC, p.PacketID)
			code = mqtt.PacketIDNotFound
		}
		w := l.conn.Begin(b)
		w.Pubrel(p.PacketID, code)
		w.End()
	}
}

// release answers a PUBREL: a durable session's once the removal of the identifier is kept.
func (l *link) release(b *conn.Batch, id uint16) error {
	c := l.client
	c.mu.Lock()
	known := c.session.ReceivePubrel(id)
	durable := c.durable.Load()
	if known && !durable {
		c.session.PubrelDone(id)
	}
	c.mu.Unlock()
	if !known {
		c.broker.metrics.Unacknowledged.Unknown[mqtt.PUBREL].Inc()
		l.conn.AckNow(b, mqtt.PUBCOMP, id, mqtt.PacketIDNotFound)
		return nil
	}
	if !durable {
		l.conn.AckNow(b, mqtt.PUBCOMP, id, mqtt.Success)
		return nil
	}
	ticket := l.conn.AckLater(mqtt.PUBCOMP, id)
	var unit storage.Unit
	if c.broker.keeps {
		unit.Ops = []storage.Op{state.DeleteInboundID(c.owner(), id)}
	}
	err := c.broker.submit(unit, func(_ message.Position, err error) {
		if err != nil {
			l.conn.Close(mqtt.ServerUnavailable, "")
			return
		}
		c.mu.Lock()
		c.session.PubrelDone(id)
		c.mu.Unlock()
		l.conn.AckReady(ticket, mqtt.Success)
	})
	if err != nil {
		return mqtt.ServerBusy
	}
	return nil
}

// Writable implements conn.Port.
func (l *link) Writable(b *conn.Batch) {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.pump(b)
	}
}

// Disconnect implements conn.Port.
func (l *link) Disconnect(p *mqtt.Disconnect) error {
	if p.SessionExpirySeconds != nil {
		if err := l.changeExpiry(*p.SessionExpirySeconds); err != nil {
			return err
		}
	}
	if p.Code == mqtt.NormalDisconnection {
		l.client.mu.Lock()
		l.will = nil // [MQTT-3.14.4-3]
		l.client.mu.Unlock()
	}
	return nil
}

func (l *link) changeExpiry(seconds uint32) error {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expiry == 0 && seconds != 0 {
		return &mqtt.DecodeError{Code: mqtt.ProtocolError, Packet: mqtt.DISCONNECT,
			Reason: "a session expiry of 0 cannot be raised (MQTT 5, section 3.14.2.2.2)"}
	}
	c.expiry = c.broker.capExpiry(seconds, l.version)
	return nil
}

// Closed implements conn.Port.
func (l *link) Closed() { l.client.broker.disconnected(l) }
