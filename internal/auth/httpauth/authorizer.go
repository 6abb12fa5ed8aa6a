package httpauth

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
)

var authorisationBody = []string{
	"clientid=${clientid}", "username=${username}", "peerhost=${peerhost}", "topic=${topic}", "action=${action}",
}

// How long answers are remembered.
const (
	DefaultCacheTTL     = time.Minute
	DefaultCacheEntries = 10_000
	minTTL              = time.Second
	failureTTL          = 2 * time.Second // of a failure, so that a server that is away is not asked for every message
)

// Authorizer asks a server what clients may do, and remembers the answers.
type Authorizer struct {
	c     *client
	ttl   time.Duration
	cache cache
	// What the answers depend on, beside client, action and topic.
	byPeer, byListener, byQoS, byRetain bool
}

var _ auth.Authorizer = (*Authorizer)(nil)

// NewAuthorizer makes an authoriser. Close ends it.
func NewAuthorizer(o Options) (*Authorizer, error) {
	c, err := newClient(&o, authorisationBody, onlyAuthentication)
	if err != nil {
		return nil, err
	}
	if o.CacheTTL == 0 {
		o.CacheTTL = DefaultCacheTTL
	}
	if o.CacheEntries <= 0 {
		o.CacheEntries = DefaultCacheEntries
	}
	return &Authorizer{
		c: c, ttl: max(o.CacheTTL, minTTL), cache: cache{limit: (o.CacheEntries + 1) / 2},
		byPeer: c.uses(peerHost), byListener: c.uses(listenerName), byQoS: c.uses(qos), byRetain: c.uses(retain),
	}, nil
}

// Check implements auth.Authorizer from what is remembered. A delivery is not asked for: who granted the filter has
// granted what it matches.
func (z *Authorizer) Check(id *auth.Identity, a auth.Access) auth.Decision {
	if a.Action == auth.Receive {
		return auth.NoMatch
	}
	return z.cache.get(z.key(id, a), time.Now())
}

// Explain implements auth.Explainer.
func (z *Authorizer) Explain(id *auth.Identity, a auth.Access) (auth.Decision, []auth.Ground) {
	d := z.Check(id, a)
	switch d {
	case auth.NoMatch:
		return d, nil
	case auth.Unknown:
		return d, []auth.Ground{{Source: "http_acl", Decision: d, Rule: "the server was not asked lately; it is when the client does this"}}
	}
	return d, []auth.Ground{{Source: "http_acl", Decision: d, Rule: "the server's answer, which is remembered: " + d.String()}}
}

// Ask implements auth.Authorizer.
func (z *Authorizer) Ask(ctx context.Context, id *auth.Identity, a auth.Access) {
	v := values{
		clientID: id.ClientID, username: id.Username, listener: id.Listener, peer: hostOf(id.RemoteAddr),
		topic: a.Topic, action: a.Action.String(), qos: strconv.Itoa(int(a.QoS)), retain: strconv.FormatBool(a.Retain),
	}
	answer, err := z.c.ask(ctx, &v)
	d, ttl := auth.Deny, z.ttl
	switch {
	case err != nil:
		ttl = min(ttl, failureTTL)
		if z.c.pass {
			d = auth.NoMatch
		}
	case answer.result == allow:
		d = auth.Allow
	case answer.result == ignore:
		d = auth.NoMatch
	}
	a.Topic = strings.Clone(a.Topic) // it is kept, and may be a packet's
	z.cache.put(z.key(id, a), d, time.Now().Add(ttl))
}

// Forget drops what is remembered.
func (z *Authorizer) Forget() { z.cache.clear() }

// Close ends the connections to the server that are idle.
func (z *Authorizer) Close() { z.c.close() }

// key is what an answer depends on. What requests do not say is left out, so that answers are shared.
type key struct {
	clientID, username, listener, topic string
	peer                                netip.Addr
	action                              auth.Action
	qos                                 uint8
	retain                              bool
}

func (z *Authorizer) key(id *auth.Identity, a auth.Access) key {
	k := key{clientID: id.ClientID, username: id.Username, topic: a.Topic, action: a.Action}
	if z.byPeer {
		k.peer = hostOf(id.RemoteAddr)
	}
	if z.byListener {
		k.listener = id.Listener
	}
	if z.byQoS {
		k.qos = uint8(a.QoS)
	}
	k.retain = z.byRetain && a.Retain
	return k
}

// keyBytes is what a key may have on average: a cache of long topics holds fewer of them.
const keyBytes = 256

// cache remembers answers in two generations: when the young one is full, it becomes the old one, and what was old is
// forgotten. So its size is bounded, and an answer costs no more than its place in a map.
type cache struct {
	limit int // of entries in a generation

	mu         sync.RWMutex
	young, old map[key]entry
	bytes      int // of young's keys
}

type entry struct {
	decision auth.Decision
	until    time.Time
}

func (c *cache) get(k key, now time.Time) auth.Decision {
	c.mu.RLock()
	e, ok := c.young[k]
	if !ok {
		e, ok = c.old[k]
	}
	c.mu.RUnlock()
	if !ok || !now.Before(e.until) {
		return auth.Unknown
	}
	return e.decision
}

func (c *cache) put(k key, d auth.Decision, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.limit || c.bytes >= c.limit*keyBytes {
		c.old, c.young, c.bytes = c.young, nil, 0
	}
	if c.young == nil {
		c.young = make(map[key]entry)
	}
	if _, ok := c.young[k]; !ok {
		c.bytes += len(k.clientID) + len(k.username) + len(k.listener) + len(k.topic)
	}
	c.young[k] = entry{d, until}
}

func (c *cache) clear() {
	c.mu.Lock()
	c.young, c.old, c.bytes = nil, nil, 0
	c.mu.Unlock()
}
