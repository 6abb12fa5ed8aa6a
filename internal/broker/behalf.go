package broker

import (
	"context"
	"errors"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is subscribing and unsubscribing on behalf of a client. It goes the way of the client's own SUBSCRIBE, but for
// the connection, which is not suspended meanwhile.

// ErrNotConnected says that a client is away. Match it with errors.Is.
var ErrNotConnected = errors.New("broker: the client is not connected")

// RefusedFilter says which filter was refused, and why.
type RefusedFilter struct {
	Index int // in the list that was given
	Code  mqtt.ReasonCode
}

// Error implements error.
func (r *RefusedFilter) Error() string { return "broker: refused: " + r.Code.String() }

// SubscribeFor subscribes a connected client, under its own rules, and returns what it has then. It returns when that is
// durable for a session that is. Filters that cannot be subscribed to are found before anything changes; only a quota may be reached in between:
// what comes before that stays.
func (b *Broker) SubscribeFor(ctx context.Context, id string, filters []mqtt.FilterOptions) ([]SubscriptionInfo, error) {
	l, err := b.onBehalf(id)
	if err != nil {
		return nil, err
	}
	for i, f := range filters {
		if code := l.mightSubscribe(ctx, f); code.Failed() {
			return nil, &RefusedFilter{i, code}
		}
	}
	c := l.client
	var changes []change
	var refused error
	c.mu.Lock()
	if c.ended || c.link == nil || c.link.conn != l.conn {
		c.mu.Unlock()
		return nil, ErrNotConnected
	}
	for i, f := range filters {
		ch, code := c.subscribe(l, f, new(mqtt.Subscribe))
		if code.Failed() {
			refused = &RefusedFilter{i, code}
			break
		}
		changes = append(changes, ch)
	}
	c.link.receipts.all = c.link.receipts.all && l.receipts.all
	c.mu.Unlock()
	if err := c.commitAndWait(ctx, changes); err != nil {
		return nil, err
	}
	return c.infosOf(changes), refused
}

// UnsubscribeFor ends subscriptions of a connected client. Those that it does not have are ended already.
func (b *Broker) UnsubscribeFor(ctx context.Context, id string, filters []string) error {
	l, err := b.onBehalf(id)
	if err != nil {
		return err
	}
	parsed := make([]parsedFilter, len(filters))
	for i, f := range filters {
		var code mqtt.ReasonCode
		if parsed[i], _, code = l.parseFilter(f); code == mqtt.TopicFilterInvalid {
			return &RefusedFilter{i, code}
		}
	}
	c := l.client
	var changes []change
	c.mu.Lock()
	for i := range parsed {
		sub := c.subs.get(parsed[i].key)
		if c.ended || sub == nil || sub.newest() == nil {
			continue
		}
		ch := c.unsubscribe(sub)
		ch.key = parsed[i].key
		changes = append(changes, ch)
		c.note(parsed[i].key)
	}
	c.mu.Unlock()
	return c.commitAndWait(ctx, changes)
}

// onBehalf returns what stands for a client's connection while it is subscribed by somebody else.
func (b *Broker) onBehalf(id string) (*link, error) {
	c := b.registry.get(id)
	if c == nil {
		return nil, ErrNoClient
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l := c.link; {
	case c.ended:
		return nil, ErrNoClient
	case l == nil:
		return nil, ErrNotConnected
	default:
		return &link{client: c, conn: l.conn, listener: l.listener, version: l.version, mount: l.mount, identity: l.identity, receipts: receipts{all: true}}, nil
	}
}

// mightSubscribe judges a filter by its form and the client's rules, which are asked if they take time.
func (l *link) mightSubscribe(ctx context.Context, f mqtt.FilterOptions) mqtt.ReasonCode {
	p, _, code := l.parseFilter(f.Filter)
	if code.Failed() {
		return code
	}
	if l.maySubscribe(p, f.QoS) == auth.Unknown {
		for _, topic := range p.topics() {
			l.client.broker.permissions.Ask(ctx, l.identity, subscribing(topic, f.QoS))
		}
		l.grants.Reset()
	}
	if d := l.maySubscribe(p, f.QoS); d != auth.Allow && d != auth.Partly {
		return mqtt.NotAuthorized
	}
	return mqtt.Success
}

// infosOf describes what was subscribed to.
func (c *client) infosOf(changes []change) []SubscriptionInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	infos := make([]SubscriptionInfo, len(changes))
	for i := range changes {
		infos[i] = c.subscriptionInfo(changes[i].key, changes[i].version)
	}
	return infos
}

// commitAndWait puts changes in force that no packet of the client made. If ctx ends first, they may still come into force.
func (c *client) commitAndWait(ctx context.Context, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	done := make(chan error, 1)
	if err := c.commitBeside(changes, func(err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitBeside is link.commit beside the connection: that goes on, but is sent nothing while the change is kept.
func (c *client) commitBeside(changes []change, done func(error)) error {
	b := c.broker
	return b.submit(storage.Unit{}, func(pos message.Position, err error) {
		if err != nil {
			done(err)
			return
		}
		c.mu.Lock()
		l := c.link
		ops, replays := c.takeEffect(l, changes, pos)
		finish := func(_ message.Position, err error) { done(c.settleBeside(l, changes, err)) }
		if len(ops) > 0 {
			err = c.keepChanges(ops, replays, finish)
		}
		c.mu.Unlock()
		if len(ops) == 0 || err != nil {
			finish(pos, err)
		}
	})
}

// settleBeside ends a change that was made beside the connection l, which was the client's when it took effect.
func (c *client) settleBeside(l *link, changes []change, err error) error {
	batch := conn.NewBatch()
	c.mu.Lock()
	if err == nil && !c.ended {
		c.prune()
		c.startReplays(changes)
	}
	c.unhold(l)
	c.pump(batch)
	c.mu.Unlock()
	batch.FlushSoon(c.broker.flusher)
	return err
}
