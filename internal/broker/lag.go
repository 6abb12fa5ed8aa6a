package broker

import (
	"fmt"
	"time"
)

// This file raises alarms for what waits: while there is time to do something, before a limit drops or refuses messages.

// The alarms of what waits.
const (
	groupsLagAlarm   = "groups_lag"      // what waits for a shared group is near the limit
	sessionsLagAlarm = "sessions_lag"    // what waits for a session is near its limit
	logAlarm         = "log_nearly_full" // the log is near storage.max_bytes
)

const (
	lagInterval = 10 * time.Second
	// An alarm begins at lagHigh percent of a limit, and ends below lagLow.
	lagHigh, lagLow = 80, 70
)

// near reports whether n is near a limit, with some patience for who was.
func near(n, limit int64, was bool) bool {
	percent := int64(lagHigh)
	if was {
		percent = lagLow
	}
	return limit > 0 && n >= limit/100*percent+limit%100*percent/100
}

// watchLag raises and clears the alarms of what waits.
func (b *Broker) watchLag(now time.Time) {
	if now.Sub(b.lagLooked) < lagInterval || !b.restored.Load() {
		return
	}
	b.lagLooked = now
	b.watchLog()
	b.watchGroups()
	b.watchSessions()
}

func (b *Broker) watchLog() {
	limit, h := b.cfg.Storage.MaxBytes, b.engine.Health()
	b.alarms.Set(logAlarm, near(h.LogBytes, limit, b.alarms.Holds(logAlarm)),
		fmt.Sprintf("the log has %d of the %d bytes of storage.max_bytes: at the limit messages are refused; look for groups and sessions that lag, or raise it", h.LogBytes, limit),
		map[string]any{"log_bytes": h.LogBytes, "limit_bytes": limit})
}

// watchGroups looks for durable groups for which nearly as much waits as may.
func (b *Broker) watchGroups() {
	limit, was := b.queueLimit(), b.alarms.Holds(groupsLagAlarm)
	count := 0
	details, _ := b.groupDetails(1<<30, func(*group) bool { return true })
	for i := range details {
		if g := &details[i]; near(g.Waiting, limit.messages, was) || near(g.WaitingBytes, limit.bytes, was) {
			count++
		}
	}
	if count == 0 {
		b.alarms.Deactivate(groupsLagAlarm)
		return
	}
	g := &details[0] // of whom most waits
	b.alarms.Activate(groupsLagAlarm,
		fmt.Sprintf("%d shared groups have nearly as much waiting as session.queue_max_bytes or queue_max_messages allow, %s of %s most: %d messages, %d bytes, for %d members: they are too slow, or away; past it the oldest are dropped, or new ones refused",
			count, g.Name, g.Filter, g.Waiting, g.WaitingBytes, g.Members),
		map[string]any{"groups": count, "group": g.Name, "filter": g.Filter, "members": g.Members, "messages": g.Waiting, "bytes": g.WaitingBytes})
}

// watchSessions looks for sessions for which nearly as much waits as may.
func (b *Broker) watchSessions() {
	limit, was := b.queueLimit(), b.alarms.Holds(sessionsLagAlarm)
	if limit.messages == 0 && limit.bytes == 0 {
		b.alarms.Deactivate(sessionsLagAlarm)
		return
	}
	var worst string
	var most backlog
	count := 0
	for _, c := range b.registry.all() {
		if !c.durable.Load() {
			continue
		}
		c.mu.Lock()
		have := c.waiting()
		c.mu.Unlock()
		if near(have.messages, limit.messages, was) || near(have.bytes, limit.bytes, was) {
			if count++; have.bytes >= most.bytes {
				worst, most = c.id, have
			}
		}
	}
	b.alarms.Set(sessionsLagAlarm, count > 0,
		fmt.Sprintf("%d sessions have nearly as much waiting as session.queue_max_bytes or queue_max_messages allow, %s most: %d messages, %d bytes; past it the oldest are dropped, or new ones refused: bring the client back, or end its session",
			count, worst, most.messages, most.bytes),
		map[string]any{"sessions": count, "clientid": worst, "messages": most.messages, "bytes": most.bytes})
}
