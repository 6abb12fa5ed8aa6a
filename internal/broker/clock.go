package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/clock"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
)

// This file is the time by which sessions, messages and wills expire [rule 10 of the log]. What the broker shows to
// people (when something was published, or connected) is the machine's time instead.

const (
	// markInterval is how often the clock's mark is kept along with something else, markIdle how often by itself.
	markInterval = time.Second
	markIdle     = time.Minute
	// jumpAlarmFor is how long a jump stays an alarm.
	jumpAlarmFor = time.Hour
)

// clockAlarm says that the machine's clock jumped.
const clockAlarm = "clock_jumped"

// startClock starts the clock where the last process's ended.
func (b *Broker) startClock() error {
	var mark clock.Mark
	if b.keeps {
		for _, n := range []struct {
			kept state.Number
			to   *time.Time
		}{{state.Clock, &mark.Time}, {state.Wall, &mark.Wall}} {
			value, err := b.engine.Get(context.Background(), n.kept.Key())
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("reading the number %s: %w", n.kept, err)
			}
			nanos, err := n.kept.Decode(value)
			if err != nil {
				return err
			}
			*n.to = time.Unix(0, int64(nanos))
		}
	}
	b.clock = clock.New(b.wall, mark)
	if j, ok := b.clock.Started(); ok {
		b.jumped(j, time.Now())
	}
	return nil
}

// markOps keep where the clock is.
func (b *Broker) markOps() []storage.Op {
	m := b.clock.Mark()
	return []storage.Op{state.Clock.Put(uint64(m.Time.UnixNano())), state.Wall.Put(uint64(m.Wall.UnixNano()))}
}

// markDue reports whether it is time to keep the mark: when something else is kept, but not too often, and else seldom. It
// is the keeper's.
func (b *Broker) markDue(now time.Time, changes bool) bool {
	k := &b.keeper
	passed := now.Sub(k.marked)
	if passed < markInterval {
		return false
	}
	end := b.logEnd()
	if !changes && end == k.end && passed < markIdle {
		return false
	}
	k.marked, k.end = now, end
	return true
}

// watchClock looks for jumps of the machine's clock, and ends the alarm of an old one.
func (b *Broker) watchClock(now time.Time) {
	if j, ok := b.clock.Check(); ok {
		b.jumped(j, now)
		if b.keeps {
			b.submitOps(b.markOps()) // or a crash would take the jump for time that passed
		}
	} else if !b.jumpedAt.IsZero() && now.Sub(b.jumpedAt) >= jumpAlarmFor {
		b.jumpedAt = time.Time{}
		b.alarms.Deactivate(clockAlarm)
	}
}

func (b *Broker) jumped(j clock.Jump, now time.Time) {
	b.jumpedAt = now
	b.metrics.ClockJumps.Inc()
	text := j.String() + "; what expires keeps its time, check the clock"
	if j.Down && j.By > 0 {
		text = j.String() + "; if that was not so long ago, stop the broker and set the clock: what expired meanwhile is dropped"
	}
	b.alarms.Activate(clockAlarm, text, map[string]any{"seconds": int64(j.By / time.Second), "while_down": j.Down})
}

// expired reports whether a message has expired at a moment that time.Now returned.
func (b *Broker) expired(m *message.Message, moment time.Time) bool {
	return !m.ExpiresAt.IsZero() && m.Expired(b.clock.At(moment))
}
