package broker

import (
	"errors"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
)

// change is what a SUBSCRIBE or UNSUBSCRIBE does to one subscription, between its entry into the index and its commit.
type change struct {
	key      string
	sub      *subscription
	version  *session.Subscription
	retained bool           // send retained messages
	asOf     uint64         // of the retained messages, the last change when the commit took effect
	offset   *stream.Offset // where to read a stream; nil: where it stands, or not of a stream
}

// Subscribe implements conn.Port: the connection waits until the subscriptions are committed.
func (l *link) Subscribe(_ *conn.Batch, p *mqtt.Subscribe) error {
	if p.SubscriptionID != 0 && !l.client.broker.cfg.MQTT.SubscriptionIDsAvailable {
		return mqtt.SubscriptionIDsNotSupported
	}
	for _, f := range p.Filters {
		if l.unknown(f) {
			l.ask(p)
			return nil
		}
	}
	return l.subscribe(p)
}

// unknown reports whether the authoriser needs time for a filter.
func (l *link) unknown(f mqtt.FilterOptions) bool {
	parsed, _, code := l.parseFilter(f.Filter)
	return !code.Failed() && l.maySubscribe(parsed, f.QoS) == auth.Unknown
}

func (l *link) maySubscribe(f parsedFilter, qos mqtt.QoS) auth.Decision {
	answer := auth.Allow
	for _, topic := range f.topics() {
		switch d, _ := l.grants.Check(l.client.broker.permissions, l.identity, subscribing(topic, qos)); d {
		case auth.Allow:
		case auth.Unknown, auth.Partly:
			if answer != auth.Unknown {
				answer = d
			}
		default:
			return d
		}
	}
	return answer
}

// countGrant counts an answer about a filter; whether it was remembered is not told apart, since it was asked for before.
func (l *link) countGrant(d auth.Decision) {
	b := l.client.broker
	if b.permissions.Open(l.identity) {
		return
	}
	b.metrics.AccessAsked.Inc()
	if d == auth.Allow || d == auth.Partly {
		b.metrics.AccessAllowed.Inc()
	} else {
		b.metrics.AccessDenied.Inc()
	}
}

func subscribing(topic string, qos mqtt.QoS) auth.Access {
	return auth.Access{Action: auth.Subscribe, Topic: topic, QoS: qos}
}

// ask has the authoriser find out about all filters of a SUBSCRIBE, which is then handled.
func (l *link) ask(p *mqtt.Subscribe) {
	b := l.client.broker
	l.conn.Suspend()
	b.beside(func() {
		for _, f := range p.Filters {
			if parsed, _, code := l.parseFilter(f.Filter); !code.Failed() {
				for _, topic := range parsed.topics() {
					b.permissions.Ask(b.ctx, l.identity, subscribing(topic, f.QoS))
				}
			}
		}
		l.conn.ResumeWith(func(*conn.Batch) {
			if err := l.subscribe(p); err != nil {
				l.conn.Close(codeOf(err), "")
			}
		})
	})
}

func (l *link) subscribe(p *mqtt.Subscribe) error {
	c := l.client
	codes := make([]mqtt.ReasonCode, len(p.Filters))
	changes := make([]change, 0, len(p.Filters))
	c.mu.Lock()
	for i, f := range p.Filters {
		var ch change
		if ch, codes[i] = c.subscribe(l, f, p); !codes[i].Failed() {
			changes = append(changes, ch)
			continue
		}
		c.broker.metrics.SubscribesRefused.Inc()
		if codes[i] == mqtt.NotAuthorized {
			c.broker.metrics.SubscribesUnauthorized.Inc()
		}
	}
	c.mu.Unlock()
	if l.version == mqtt.V31 && c.broker.conf().MQTT.RefuseV31Subscribe == config.V31Close && anyFailed(codes) {
		return mqtt.NotAuthorized
	}
	l.commit(changes, func(b *conn.Batch) {
		l.conn.Send(b, &mqtt.Suback{PacketID: p.PacketID, Codes: l.subackCodes(p, codes)})
		c.mu.Lock()
		c.startReplays(changes)
		c.mu.Unlock()
	})
	return nil
}

// startReplays begins to send the retained messages that changes ask for, once those are kept. The caller holds c.mu.
func (c *client) startReplays(changes []change) {
	for i := range changes {
		ch := &changes[i]
		if !ch.retained {
			continue
		}
		c.rouse()
		c.cancelReplay(ch.sub)
		ch.sub.special().replay = c.replays.PushBack(&replay{key: ch.key, of: ch.sub, version: ch.version, asOf: ch.asOf, epoch: c.epoch})
		delete(c.coming, ch.key)
	}
	if c.coming != nil && len(c.coming) == 0 {
		c.coming = nil
	}
	c.dirtied()
}

func anyFailed(codes []mqtt.ReasonCode) bool {
	for _, code := range codes {
		if code.Failed() {
			return true
		}
	}
	return false
}

// subackCodes translates refusals for MQTT 3.1, whose SUBACK has no code for them: the QoS asked for, and no messages.
func (l *link) subackCodes(p *mqtt.Subscribe, codes []mqtt.ReasonCode) []mqtt.ReasonCode {
	if l.version == mqtt.V31 {
		for i := range codes {
			if codes[i].Failed() {
				codes[i] = mqtt.ReasonCode(p.Filters[i].QoS)
			}
		}
	}
	return codes
}

// commit puts in force what changed, and keeps it, with the connection suspended. then runs on the connection.
//
// From which place of the log on a change holds must be the same after a crash, since the identifiers of what is sent
// follow from what the log has for the client. So the place is taken from an empty unit first and kept by a second one,
// and nothing is sent in between.
func (l *link) commit(changes []change, then func(*conn.Batch)) {
	c := l.client
	l.conn.Suspend()
	err := c.broker.submit(storage.Unit{}, func(pos message.Position, err error) {
		if err == nil {
			err = l.commitAt(pos, changes, then)
		}
		if err != nil {
			l.conn.Close(mqtt.ServerUnavailable, "")
		}
	})
	if err != nil {
		l.conn.Close(mqtt.ServerBusy, "the server is busy")
	}
}

// commitAt puts changes in force from a place on, and keeps that.
func (l *link) commitAt(pos message.Position, changes []change, then func(*conn.Batch)) error {
	c := l.client
	c.mu.Lock()
	defer c.mu.Unlock()
	ops, replays := c.takeEffect(l, changes, pos)
	resume := func(b *conn.Batch) {
		then(b)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unhold(l)
		c.pump(b) // a group may have waited for the subscription as well
	}
	if len(ops) == 0 {
		c.prune()
		l.conn.ResumeWith(resume)
		return nil
	}
	return c.keepChanges(ops, replays, func(_ message.Position, err error) {
		if err != nil {
			l.conn.Close(mqtt.ServerUnavailable, "")
			return
		}
		c.mu.Lock()
		c.prune()
		c.mu.Unlock()
		l.conn.ResumeWith(resume)
	})
}

// keepChanges submits what keeps changes, with the session's state if replays are to begin: as soon as the engine is not busy.
// The caller holds c.mu.
func (c *client) keepChanges(ops []storage.Op, replays bool, done func(message.Position, error)) error {
	if !replays {
		return c.broker.submit(storage.Unit{Ops: ops}, done)
	}
	err := c.submitState(ops, done)
	if !errors.Is(err, storage.ErrBusy) {
		return err
	}
	time.AfterFunc(busyRetry, func() { // with the state as it is then
		c.mu.Lock()
		err := c.keepChanges(ops, replays, done)
		c.mu.Unlock()
		if err != nil {
			done(message.Position{}, err)
		}
	})
	return nil
}

// takeEffect puts changes in force from a place on, and returns what keeps that, and whether the session's state has to be
// kept along with it. Until unhold, nothing is sent to l. The caller holds c.mu.
func (c *client) takeEffect(l *link, changes []change, pos message.Position) (ops []storage.Op, replays bool) {
	for i := range changes {
		changes[i].asOf = c.broker.retainedFor(changes[i].sub.filter).Changes()
		c.inForce(&changes[i], pos)
	}
	ops = c.subscriptionOps(changes, pos)
	replays = c.noteReplays(changes) && len(ops) > 0
	if l != nil && c.link == l {
		c.holds = l // until SUBACK is sent
		c.held++
	}
	return ops, replays
}

// unhold ends what takeEffect began. The caller holds c.mu.
func (c *client) unhold(l *link) {
	if l == nil || c.holds != l {
		return
	}
	if c.held--; c.held == 0 {
		c.holds = nil
	}
}

// noteReplays notes which subscriptions are to get retained messages, and reports whether any is. That is kept along with the
// subscriptions. The caller holds c.mu.
func (c *client) noteReplays(changes []change) bool {
	c.rouse()
	for i := range changes {
		if !changes[i].retained {
			continue
		}
		if c.coming == nil {
			c.coming = make(map[string]struct{})
		}
		c.coming[changes[i].key] = struct{}{}
	}
	return len(c.coming) > 0
}

// shared returns v, or the last version that was new if it says the same: most subscriptions are made many at a time, in
// one place of the log.
func (b *Broker) shared(v *session.Subscription) *session.Subscription {
	if last := b.lastVersion.Load(); last != nil && v.Same(last) {
		return last
	}
	b.lastVersion.Store(v)
	return v
}

// inForce gives a pending version its place. The caller holds c.mu.
func (c *client) inForce(ch *change, pos message.Position) {
	if ch.sub.versions() == ch.version {
		ch.version = ch.version.Committed(pos)
		if !c.durable.Load() {
			ch.version.Prev = nil // nobody reads the past of a session without one
		}
		ch.version = c.broker.shared(ch.version)
		ch.sub.set(ch.version)
		if f := ch.sub.follows; f != nil && !ch.version.Ended {
			f.start(ch.offset, pos)
		}
	}
}

// offsetOf reads the user property that says where to begin reading a stream; nil: there is none.
func offsetOf(u mqtt.UserProperties) (*stream.Offset, mqtt.ReasonCode) {
	for key, value := range u.All() {
		if key == "stream-offset" {
			o, err := stream.ParseOffset(value)
			if err != nil {
				return nil, mqtt.ImplementationSpecificError
			}
			return &o, mqtt.Success
		}
	}
	return nil, mqtt.Success
}

// subscribe enters one subscription, pending, into the session and the index. The caller holds c.mu.
func (c *client) subscribe(l *link, f mqtt.FilterOptions, p *mqtt.Subscribe) (ch change, code mqtt.ReasonCode) {
	parsed, share, code := l.parseFilter(f.Filter)
	if code.Failed() {
		return ch, code
	}
	b := c.broker
	granted := l.maySubscribe(parsed, f.QoS)
	l.countGrant(granted)
	if granted != auth.Allow && granted != auth.Partly {
		return ch, mqtt.NotAuthorized
	}
	follows := parsed.stream != nil && share == ""
	if follows {
		if ch.offset, code = offsetOf(p.User); code.Failed() {
			return ch, code
		}
	}
	f.QoS = min(f.QoS, mqtt.QoS(b.cfg.MQTT.MaxQoS))
	key := parsed.key
	sub := c.subs.get(key)
	isNew := sub == nil || sub.newest() == nil
	if code := c.admit(sub, parsed, isNew); code.Failed() {
		return ch, code
	}
	f.Filter, f.NoLocal = parsed.filter, f.NoLocal && share == "" // a group is one subscriber: what it gets is for any member
	version := session.NewSubscription(f, p.SubscriptionID, sub.past())
	if sub != nil {
		sub.set(version)
		sub.special().changes++
		c.note(key)
	} else {
		sub = newSubscription(key, parsed.filter, parsed.exclusive)
		c.subs.put(sub)
		c.resubscribed()
		if follows {
			sub.special().follows = c.newFollower(parsed.stream, key, parsed.filter, version)
		} else {
			c.enter(key, sub, version, share)
		}
	}
	sub.grant(granted == auth.Allow)
	l.receipts.all = l.receipts.all && sub.whole
	ch.key, ch.sub, ch.version = key, sub, version
	if sub.follows != nil {
		if isNew && ch.offset == nil {
			ch.offset = &stream.Offset{Latest: true}
		}
		return ch, mqtt.ReasonCode(f.QoS)
	}
	if sub.group != nil {
		sub.group.refresh()
	}
	ch.retained = share == "" && b.cfg.MQTT.RetainAvailable && (f.RetainHandling == mqtt.SendRetained || f.RetainHandling == mqtt.SendRetainedIfNew && isNew)
	return ch, mqtt.ReasonCode(f.QoS)
}

// maxChanges is how many versions a subscription has at most that some reader of the log still needs.
const maxChanges = 1000

// admit judges a subscription by the limits, and counts it if it is new. sub is what its key stands for, or nil. The
// caller holds c.mu.
func (c *client) admit(sub *subscription, f parsedFilter, isNew bool) mqtt.ReasonCode {
	b := c.broker
	switch {
	case sub != nil && sub.changes >= maxChanges,
		f.exclusive && !b.exclusive.take(f.filter, c):
		return mqtt.QuotaExceeded
	case isNew && !b.admitSubscription(c.subs.len()):
		if f.exclusive {
			b.exclusive.release(f.filter, c)
		}
		return mqtt.QuotaExceeded
	}
	return mqtt.Success
}

// enter puts a new subscription where the router finds it.
func (c *client) enter(key string, sub *subscription, version *session.Subscription, share string) {
	if share == "" {
		sub.entry.To = c
		sub.entry.Set(version)
		c.count(sub.filter, 1)
		c.broker.router.Add(sub.filter, &sub.entry)
		if c.link == nil && c.durable.Load() { // it was restored
			c.broker.router.SetPresent(sub.filter, &sub.entry, false)
		}
		return
	}
	s := sub.special()
	s.member = &member{client: c}
	s.member.sub.Store(version)
	s.group = c.broker.groups.join(share, sub.filter, key, sub.member)
	c.rouse()
	if c.groups == nil {
		c.groups = make(map[*group]int)
	}
	c.groups[sub.group]++
}

// account returns the client's account with a group for a subscription, perhaps one that it has left. The caller holds
// c.mu.
func (c *client) account(key string, g *group) *account {
	c.rouse()
	a := c.accounts[key]
	if a == nil || a.group != g {
		a = &account{client: c, group: g, key: key, parts: make(map[uint16]*part)}
		if c.accounts == nil {
			c.accounts = make(map[string]*account)
		}
		c.accounts[key] = a
	}
	return a
}

// leaveGroup ends the membership of a subscription. What the client was sent, it goes on with. The caller holds c.mu.
func (c *client) leaveGroup(sub *subscription) {
	a := sub.member.account
	a.member = false
	a.takeBack(c.session.TakeUnsent(func(d session.Delivery) bool { return d.Group == a }), false)
	c.broker.groups.leave(sub.group, sub.member)
	a.close()
}

// Unsubscribe implements conn.Port.
func (l *link) Unsubscribe(_ *conn.Batch, p *mqtt.Unsubscribe) error {
	c := l.client
	codes := make([]mqtt.ReasonCode, len(p.Filters))
	var changes []change
	c.mu.Lock()
	for i, f := range p.Filters {
		parsed, _, code := l.parseFilter(f)
		if code.Failed() && code != mqtt.SharedNotSupported && code != mqtt.WildcardsNotSupported {
			codes[i] = code
			continue
		}
		sub := c.subs.get(parsed.key)
		if sub == nil || sub.newest() == nil {
			codes[i] = mqtt.NoSubscriptionExisted
			c.broker.metrics.UnsubscribesUnknown.Inc()
			continue
		}
		ch := c.unsubscribe(sub)
		ch.key = parsed.key
		changes = append(changes, ch)
		c.note(parsed.key)
	}
	c.mu.Unlock()
	l.commit(changes, func(b *conn.Batch) {
		l.conn.Send(b, &mqtt.Unsuback{PacketID: p.PacketID, Codes: codes})
	})
	return nil
}

// unsubscribe ends a subscription: no message that is published from now on matches it. The caller holds c.mu.
func (c *client) unsubscribe(sub *subscription) change {
	c.cancelReplay(sub)
	version := sub.versions().End()
	sub.set(version)
	c.broker.subscriptions.Add(-1)
	if sub.only {
		c.broker.exclusive.release(sub.filter, c)
	}
	return change{sub: sub, version: version}
}

// cancelReplay stops the replay of a subscription's retained messages, if one is under way. So there is one at most for
// each subscription. The caller holds c.mu.
func (c *client) cancelReplay(sub *subscription) {
	if sub.replay != nil {
		c.replays.Remove(sub.replay)
		sub.replay = nil
		sub.plain()
	}
}

// prune forgets what no reader needs any more of the subscriptions that changed. The caller holds c.mu.
func (c *client) prune() {
	place := message.MaxPosition
	if c.durable.Load() {
		place = c.placeLocked(c.broker.router.Begun())
	}
	for key := range c.changed {
		sub := c.subs.get(key)
		v := sub.versions()
		if v.From == message.MaxPosition {
			continue // not committed yet
		}
		pruned := v.Prune(place)
		if sub.follows != nil { // its past is nobody's
			pruned = v.Prune(message.MaxPosition)
		}
		if v.Ended && sub.group != nil {
			pruned = nil // a group has its own place in the log
		}
		switch {
		case pruned == nil:
			c.forget(key, sub)
		case pruned.Prev == nil:
			sub.set(pruned)
			if sub.changes > 0 {
				sub.changes = 0
				sub.plain()
			}
			delete(c.changed, key)
		default:
			sub.set(pruned)
		}
	}
}

// note remembers that a subscription's past has to be pruned. The caller holds c.mu.
func (c *client) note(key string) {
	c.rouse()
	if c.changed == nil {
		c.changed = make(map[string]struct{})
	}
	c.changed[key] = struct{}{}
}

// forget removes a subscription from the session and from where the router finds it. The caller holds c.mu.
func (c *client) forget(key string, sub *subscription) {
	delete(c.changed, key)
	c.subs.remove(key)
	c.resubscribed()
	if sub.follows != nil {
		sub.follows.close()
	}
	if c.broker.keeps && c.durable.Load() && !c.ended {
		gone := []storage.Op{state.DeleteSubscription(c.owner(), key)}
		if sub.follows != nil {
			gone = append(gone, state.DeleteStreamCursor(c.owner(), key))
		}
		c.submitSnapshot(gone...) // which a restart from an older place would need
	}
	if sub.follows != nil {
		return
	}
	if sub.group != nil {
		c.leaveGroup(sub)
		if c.groups[sub.group]--; c.groups[sub.group] == 0 {
			delete(c.groups, sub.group)
		}
		return
	}
	c.broker.router.Remove(sub.filter, &sub.entry)
	c.count(sub.filter, -1)
}

// count keeps account of whether two of the subscriptions may match one topic: two without wildcards never do. The
// caller holds c.mu.
func (c *client) count(filter string, n int32) {
	c.plain += n
	if strings.ContainsAny(filter, "+#") {
		c.wild += n
	}
	c.overlaps.Store(c.plain > 1 && c.wild > 0)
}
