package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// store is what the broker keeps of users, rules and bans.
type store struct {
	users *builtin.Users
	rules *builtin.RuleStore
	bans  *builtin.Bans
}

// openStore reads it. Users and rules are there to be changed also where auth.built_in does not put them in effect.
func (b *Broker) openStore() (err error) {
	if b.store.users, err = builtin.OpenUsers(b.ctx, b.engine); err != nil {
		return err
	}
	if b.store.rules, err = builtin.OpenRules(b.ctx, b.engine); err != nil {
		return err
	}
	b.store.bans, err = builtin.OpenBans(b.ctx, b.engine)
	return err
}

// Users are the users that the broker keeps.
func (b *Broker) Users() *builtin.Users { return b.store.users }

// Rules are the rules that the broker keeps.
func (b *Broker) Rules() *builtin.RuleStore { return b.store.rules }

// Bans are the bans in force. Add one with Ban, which also ends the connections that it is about.
func (b *Broker) Bans() *builtin.Bans { return b.store.bans }

// Ban keeps clients out, and ends the connections of those who are in.
func (b *Broker) Ban(ctx context.Context, ban builtin.Ban) (builtin.Ban, error) {
	ban, err := b.store.bans.Add(ctx, ban)
	if err != nil {
		return ban, err
	}
	b.logs.auth.Info("banned", "as", ban.As, "who", ban.Who, "by", ban.By, "reason", ban.Reason, "until", ban.Until)
	for _, c := range b.registry.all() {
		c.mu.Lock()
		l := c.link
		about := l != nil && ban.Matches(c.id, l.identity.Username, l.conn.Info().RemoteAddr)
		c.mu.Unlock()
		if about {
			l.conn.Close(mqtt.AdministrativeAction, "banned")
		}
	}
	return ban, nil
}

// sweepBans forgets bans that are over.
func (b *Broker) sweepBans() {
	if err := b.store.bans.Sweep(b.ctx, 1000); err != nil && b.ctx.Err() == nil && !errors.Is(err, builtin.ErrNotFound) {
		b.logs.auth.Warn("bans that are over are not forgotten", "error", err)
	}
}

// flapping counts how often clients connect, in windows of time.
type flapping struct {
	mu     sync.Mutex
	counts map[string]int
	began  time.Time
}

// flappingMost bounds how many client ids are counted in a window: beyond them nobody new is.
const flappingMost = 1_000_000

// countConnect counts a connection of a client that has proved who it is: anybody else could have it banned. A client that
// connects too often is banned for some time, this connection of it with the others.
func (b *Broker) countConnect(clientID string, now time.Time) {
	cfg, f := &b.conf().Auth.Flapping, &b.flapping
	if cfg.MaxConnects == 0 {
		return
	}
	f.mu.Lock()
	window := time.Duration(cfg.WindowSeconds) * time.Second
	if f.counts == nil || now.Sub(f.began) >= window {
		f.counts, f.began = make(map[string]int), now
	}
	n := f.counts[clientID] + 1
	if n > 1 || len(f.counts) < flappingMost {
		f.counts[clientID] = n
	}
	f.mu.Unlock()
	if n != cfg.MaxConnects+1 {
		return
	}
	b.metrics.Hit(metrics.LimitFlapping)
	b.beside(func() {
		_, err := b.Ban(b.ctx, builtin.Ban{As: builtin.BanClientID, Who: clientID, By: "flapping detector",
			Reason: fmt.Sprintf("connected more than %d times in %v", cfg.MaxConnects, window),
			Until:  now.Add(time.Duration(cfg.BanSeconds) * time.Second)})
		if err != nil && b.ctx.Err() == nil {
			b.logs.auth.Warn("client that connects too often is not banned", "client", clientID, "error", err)
		}
	})
}

// Failed authentications in a minute from which on they are an alarm.
const (
	failureAlarm  = 100
	failuresAlarm = "authentication_failures"
)

// failureWatch is what is known of failed authentications.
type failureWatch struct {
	by     auth.Failures
	looked time.Time // owned by the timers' goroutine, as is seen
	seen   int64
}

// watchFailures raises an alarm in a minute with many failed authentications, and forgets old bans as often.
func (b *Broker) watchFailures(now time.Time) {
	if now.Sub(b.failures.looked) < time.Minute {
		return
	}
	total := b.metrics.Hits(metrics.LimitAuthenticationFailure)
	n := total - b.failures.seen
	b.failures.looked, b.failures.seen = now, total
	if b.restored.Load() {
		b.work(b.sweepBans)
	}
	b.alarms.Set(failuresAlarm, n >= failureAlarm,
		fmt.Sprintf("%d clients failed to authenticate within a minute: look at the log for their addresses, and ban them or mend their passwords", n),
		map[string]any{"failures": n})
}
