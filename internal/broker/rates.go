package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/ratelimit"
)

// This file is how fast clients may connect and publish. Who connects too fast is refused; who publishes too fast is not
// read for a moment, so that TCP slows the client down and nothing is lost.

// rate is what one client, or several together, may publish.
type rate struct {
	mu       sync.Mutex // guards what follows; nothing else is locked while it is held
	messages ratelimit.Bucket
	bytes    ratelimit.Bucket
	members  int // of a user: connections. Guarded by rates.mu
}

// newRate returns nil where there is no limit. A burst of one second is let through.
func newRate(c config.Rate) *rate {
	if c.MessagesPerSecond <= 0 && c.BytesPerSecond <= 0 {
		return nil
	}
	return &rate{
		messages: ratelimit.New(float64(c.MessagesPerSecond), c.MessagesPerSecond),
		bytes:    ratelimit.New(float64(c.BytesPerSecond), int(c.BytesPerSecond)),
	}
}

// wait returns how long it takes until a message of n bytes is within the rate. One larger than the burst goes when
// there is no debt, and makes some.
func (r *rate) wait(now time.Time, n int) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.messages.Wait(now, 1), r.bytes.Wait(now, n))
}

// take counts a message of n bytes.
func (r *rate) take(now time.Time, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages.Take(now, 1)
	r.bytes.Take(now, n)
}

// rates are those that the broker keeps for all clients.
type rates struct {
	limits atomic.Pointer[config.Limits]
	total  atomic.Pointer[rate] // nil: no limit

	connectMu sync.Mutex // guards connects
	connects  ratelimit.Bucket

	mu    sync.Mutex // guards users
	users map[string]*rate
}

func (r *rates) init(limits *config.Limits) {
	r.users = make(map[string]*rate)
	r.set(limits)
}

// set changes the limits: that of CONNECTs for all, and the others for connections from now on.
func (r *rates) set(limits *config.Limits) {
	r.connectMu.Lock()
	defer r.connectMu.Unlock()
	old := r.limits.Swap(limits)
	if old == nil || old.Total != limits.Total {
		r.total.Store(newRate(limits.Total))
	}
	if old == nil || old.ConnectsPerSecond != limits.ConnectsPerSecond {
		r.connects = ratelimit.New(float64(limits.ConnectsPerSecond), limits.ConnectsPerSecond)
	}
	if old != nil && old.User != limits.User {
		r.mu.Lock()
		clear(r.users) // those that are connected keep theirs
		r.mu.Unlock()
	}
}

// admitConnect reports whether another CONNECT is within the rate.
func (r *rates) admitConnect(now time.Time) bool {
	if r.limits.Load().ConnectsPerSecond == 0 {
		return true
	}
	r.connectMu.Lock()
	defer r.connectMu.Unlock()
	return r.connects.Allow(now)
}

// enter returns the rates that a connection's messages count for. leave follows.
func (r *rates) enter(l *link) []*rate {
	var list []*rate
	for _, one := range []*rate{newRate(r.limits.Load().Client), r.enterUser(l.identity.Username), l.listener.rate.Load(), r.total.Load()} {
		if one != nil {
			list = append(list, one)
		}
	}
	return list
}

// enterUser finds or makes the rate that all connections of a user have in common. Clients without a username have none.
func (r *rates) enterUser(name string) *rate {
	if name == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	user := r.users[name]
	if user == nil {
		if user = newRate(r.limits.Load().User); user == nil {
			return nil
		}
		r.users[name] = user
	}
	user.members++
	return user
}

// leave forgets a user with its last connection: a full bucket is what a new one is too, and one that is not full lets
// at most a second's burst more through.
func (r *rates) leave(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := l.identity.Username
	if user := r.users[name]; user != nil {
		if user.members--; user.members == 0 {
			delete(r.users, name)
		}
	}
}

// Publish implements conn.Port: within the rates the message is handled, otherwise the connection is suspended until it
// is.
func (l *link) Publish(b *conn.Batch, p *mqtt.Publish) (conn.Verdict, error) {
	if len(l.rates) == 0 {
		return l.receivePublish(b, p)
	}
	if !l.paid && !l.pay(b.Now, len(p.Topic)+len(p.Payload)) {
		return conn.Retry, nil
	}
	verdict, err := l.receivePublish(b, p)
	l.paid = verdict == conn.Retry
	return verdict, err
}

// pay counts a message of n bytes for all rates, or, where it is beyond one, for none and suspends the connection.
func (l *link) pay(now time.Time, n int) bool {
	var wait time.Duration
	for _, r := range l.rates {
		wait = max(wait, r.wait(now, n))
	}
	if wait > 0 {
		l.client.broker.metrics.Hit(metrics.LimitPublishRate)
		l.conn.Suspend()
		time.AfterFunc(wait, l.conn.Resume)
		return false
	}
	for _, r := range l.rates {
		r.take(now, n)
	}
	return true
}
