package broker

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/mqtt"
)

// ErrNoClient says that there is no session of a client id. Match it with errors.Is.
var ErrNoClient = errors.New("broker: no such client")

// ClientInfo is what can be seen of a session and its connection. What only a connection has is zero without one.
type ClientInfo struct {
	ClientID string
	Durable  bool      // it outlives its connection
	Created  time.Time // when this process first knew of it
	Expiry   uint32    // seconds that it lives without a connection
	LeftAt   time.Time // when the last connection ended

	Connected      bool
	ConnectedAt    time.Time
	Username       string
	Address        net.Addr
	Listener       string
	MountPoint     string
	Version        mqtt.Version
	KeepAlive      uint16 // seconds, as the client asked for
	CleanStart     bool
	ReceiveMaximum int

	Subscriptions int
	InFlight      int // sent and not acknowledged
	Queued        int // waiting for it, as far as that was counted since the broker's start
	Behind        bool
	AwaitingRel   int // QoS 2 messages that the client has not released

	SubscriptionsMax, QueueMax, AwaitingRelMax int64 // what the configuration allows; 0: no limit

	Will *WillInfo // nil: none

	Received, Sent conn.Traffic // over the connection
	Lost           LostCounts
}

// WillInfo is what is published if the client goes without saying so, or once its delay is over.
type WillInfo struct {
	Topic        string // where it goes, with the mount point
	QoS          mqtt.QoS
	Retain       bool
	PayloadBytes int
	DelaySeconds uint32
}

func (w *will) info() *WillInfo {
	if w == nil {
		return nil
	}
	m := &w.message
	return &WillInfo{m.Topic, m.QoS, m.Retain, len(m.Payload), w.delaySeconds}
}

// Clients lists the sessions that match, by client id: limit of them after the first skip. total is how many match; a match
// of nil takes all. Of those that are not on the page it keeps a pointer each.
func (b *Broker) Clients(match func(*ClientInfo) bool, skip, limit int) (page []ClientInfo, total int) {
	var found []*client
	var info ClientInfo
	for _, c := range b.registry.all() {
		var ok bool
		if info, _, ok = c.describe(); ok && (match == nil || match(&info)) {
			found = append(found, c)
		}
	}
	total = len(found)
	if skip < 0 || skip >= total { // a page so far on that its place is no number
		return nil, total
	}
	end := skip + min(limit, total-skip)
	for _, c := range firstByID(found, end)[skip:] {
		if info, ok := c.info(); ok {
			page = append(page, info)
		}
	}
	return page, total
}

// firstFew is how many clients are gathered in order rather than cut from all in order.
const firstFew = 1000

// firstByID returns the first n of the clients by their ids, in order. It reorders all.
func firstByID(all []*client, n int) []*client {
	byID := func(x, y *client) int { return strings.Compare(x.id, y.id) }
	if n > firstFew || n > len(all)/8 {
		slices.SortFunc(all, byID)
		return all[:n]
	}
	first := all[:n:n] // with the greatest at its end, most others need one look
	slices.SortFunc(first, byID)
	for _, c := range all[n:] {
		if n == 0 || byID(c, first[n-1]) > 0 {
			continue
		}
		i, _ := slices.BinarySearchFunc(first, c, byID)
		copy(first[i+1:], first[i:n-1])
		first[i] = c
	}
	return first
}

// Client describes one session.
func (b *Broker) Client(id string) (ClientInfo, error) {
	if c := b.registry.get(id); c != nil {
		if info, ok := c.info(); ok {
			return info, nil
		}
	}
	return ClientInfo{}, ErrNoClient
}

// info describes the session; false: it has ended.
func (c *client) info() (i ClientInfo, ok bool) {
	i, l, ok := c.describe()
	if ok && l != nil {
		i.Received, i.Sent = l.conn.Traffic()
	}
	return i, ok
}

// describe is info without the traffic of the session's connection, which is asked without locks.
func (c *client) describe() (i ClientInfo, l *link, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i = ClientInfo{
		ClientID: c.id, Durable: c.durable.Load(), Created: time.Unix(c.created, 0), Expiry: c.expiry, LeftAt: c.leftAt.time(),
		InFlight: c.session.InFlight(), Queued: c.session.Queued() + len(c.kept) + int(c.waiting().messages), ReceiveMaximum: c.broker.cfg.Session.InFlightMax,
	}
	cfg := c.broker.cfg
	i.SubscriptionsMax, i.QueueMax, i.AwaitingRelMax = int64(cfg.MQTT.MaxSubscriptionsPerSession), cfg.Session.QueueMaxMessages, int64(cfg.MQTT.ReceiveMaximum)
	if c.asleep != nil {
		i.InFlight += len(c.asleep.Flights)
		i.Queued += len(c.asleep.Kept)
	}
	i.Behind = i.Durable && c.cursor.next.Less(c.broker.logEnd())
	for _, sub := range c.subs.all() {
		if sub.newest() != nil {
			i.Subscriptions++
		}
	}
	i.Will = c.will.info() // of a connection that has ended
	if c.lost != nil {
		i.Lost = *c.lost
	}
	for range c.session.InboundIDs() {
		i.AwaitingRel++
	}
	if l = c.link; l != nil {
		i.Connected, i.ConnectedAt, i.Username, i.Address = true, l.connectedAt, l.identity.Username, l.conn.Info().RemoteAddr
		i.Listener, i.MountPoint, i.Version = l.listener.name, l.mount, l.version
		i.KeepAlive, i.CleanStart = l.keepAlive, l.cleanStart
		i.ReceiveMaximum = min(i.ReceiveMaximum, int(l.receiveMaximum))
		i.Will = l.will.info()
	}
	return i, l, !c.ended
}

// SubscriptionInfo is one subscription of a client, as the client made it.
type SubscriptionInfo struct {
	ClientID          string
	Filter            string // with $share/<group>/ before a shared one
	QoS               mqtt.QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    mqtt.RetainHandling
	Identifier        uint32
	Durable           bool
}

// Subscriptions lists the subscriptions of all clients that match, by client id and filter.
func (b *Broker) Subscriptions(match func(*SubscriptionInfo) bool) []SubscriptionInfo {
	var infos []SubscriptionInfo
	for _, c := range b.registry.all() {
		for _, info := range c.subscriptionInfos() {
			if match == nil || match(&info) {
				infos = append(infos, info)
			}
		}
	}
	slices.SortFunc(infos, func(a, b SubscriptionInfo) int {
		if d := strings.Compare(a.ClientID, b.ClientID); d != 0 {
			return d
		}
		return strings.Compare(a.Filter, b.Filter)
	})
	return infos
}

// SubscriptionsOf lists those of one client.
func (b *Broker) SubscriptionsOf(id string) ([]SubscriptionInfo, error) {
	c := b.registry.get(id)
	if c == nil {
		return nil, ErrNoClient
	}
	infos := c.subscriptionInfos()
	slices.SortFunc(infos, func(a, b SubscriptionInfo) int { return strings.Compare(a.Filter, b.Filter) })
	return infos, nil
}

func (c *client) subscriptionInfos() (infos []SubscriptionInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, sub := range c.subs.all() {
		if v := sub.newest(); v != nil {
			infos = append(infos, c.subscriptionInfo(key, v))
		}
	}
	return infos
}

func (c *client) subscriptionInfo(key string, v *session.Subscription) SubscriptionInfo {
	if _, given, mounted := strings.Cut(key, "\x00"); mounted { // see link.key
		key = given
	}
	return SubscriptionInfo{
		ClientID: c.id, Filter: key, QoS: v.QoS, NoLocal: v.NoLocal, RetainAsPublished: v.RetainAsPublished, RetainHandling: v.RetainHandling,
		Identifier: v.ID, Durable: c.durable.Load(),
	}
}

// Kick ends a client's connection, if it has one, and its session. It returns when that is done.
func (b *Broker) Kick(ctx context.Context, id string) error {
	if b.registry.get(id) == nil {
		return ErrNoClient
	}
	done := make(chan struct{})
	b.registry.enter(id, func(leave func()) {
		finish := func() {
			if c := b.registry.get(id); c != nil {
				b.end(c, endDiscarded)
			}
			leave()
			close(done)
		}
		c := b.registry.get(id)
		if c == nil {
			finish()
			return
		}
		if l := c.linked(finish); l != nil {
			l.conn.Close(mqtt.AdministrativeAction, "disconnected by an administrator")
			l.conn.FlushSoon()
			return
		}
		finish()
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
