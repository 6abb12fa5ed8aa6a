package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/client"
	"github.com/barid-mqtt/barid/load_test/internal/wire"
	"github.com/barid-mqtt/barid/mqtt"
)

// stored publishes to persistent sessions that are away, and then has them come back for everything.
func stored(ctx context.Context, e *Env) (*Result, error) {
	pace := e.Load.pace()
	pace.FanOut = 0 // an acknowledgement makes a message done
	f, err := newFleet(e.Load, e.Target, pace)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	if err := f.connectSubscribers(ctx); err != nil {
		return nil, err
	}
	f.leave()
	if err := f.connectPublishers(ctx); err != nil {
		return nil, err
	}
	r := new(Result)
	f.start()
	r.Partial = f.watch(ctx, e, "warm-up", e.Load.Warmup, r)
	m := f.measure(ctx, e, r)
	f.stopPublishing()
	f.drain(ctx, e)
	seconds := m.after.at.Sub(m.before.at).Seconds()
	r.add(MetricAcked, "/s", m.acks/seconds, Higher)
	r.addUse(m.before, m.after, m.acks, 1e6)
	_, ack := f.latencies()
	r.add(MetricAckP99, "ms", milliseconds(ack.Quantile(0.99)), Lower)
	if err := f.fetch(ctx, e, r); err != nil {
		return nil, err
	}
	f.faults(r)
	f.forgetSessions(ctx)
	return r, nil
}

// leave disconnects the subscribers and waits until they are gone.
func (f *fleet) leave() {
	for _, s := range f.subs {
		s.Client().Loop().Do(func(int64) { s.Client().Finish() })
	}
	wait(context.Background(), time.Second, func(time.Duration) bool {
		up := 0
		for _, s := range f.subs {
			s.Client().Loop().Do(func(int64) {
				if s.Client().Up() {
					up++
				}
			})
		}
		return up == 0
	})
}

// fetch connects the subscribers again and measures how fast they get what waits for them.
func (f *fleet) fetch(ctx context.Context, e *Env, r *Result) error {
	sent := f.account().Sent
	due := sent * int64(e.Load.copies())
	before := e.sample()
	if err := f.connectSubscribers(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("coming back for stored messages: %w", err)
	}
	last, movedAt := int64(-1), time.Now()
	wait(ctx, 10*drainLimit, func(done time.Duration) bool {
		t := f.account()
		if t.Delivered > last {
			last, movedAt = t.Delivered, time.Now()
		}
		e.progress("fetching", done, 10*drainLimit, float64(t.Delivered)/done.Seconds())
		return t.Delivered >= due || time.Since(movedAt) > 2*drainQuiet
	})
	if seconds := movedAt.Sub(before.at).Seconds(); last > 0 && seconds > 0 {
		r.add(MetricDrained, "/s", float64(last)/seconds, Higher)
		after := e.sample()
		if before.known && after.known {
			r.add("broker CPU per million drained", "s", (after.broker.CPU-before.broker.CPU).Seconds()/float64(last)*1e6, Lower)
		}
	}
	return nil
}

// forgetSessions has the broker drop the persistent sessions, so that nothing of a run stays.
func (f *fleet) forgetSessions(ctx context.Context) {
	f.leave()
	for _, s := range f.subs {
		s.Client().Loop().Do(func(int64) { s.Client().SetClean(true) })
	}
	if err := f.connectSubscribers(context.WithoutCancel(ctx)); err == nil {
		f.leave()
	}
}

// retained publishes a number of retained messages, each to a topic of its own, and then has subscribers with a
// wildcard come for all of them. At the end it clears them.
func retained(ctx context.Context, e *Env) (*Result, error) {
	pace := e.Load.pace()
	pace.FanOut, pace.Count = 0, int64(e.Load.Messages/max(e.Load.Publishers, 1))
	load := e.Load
	load.Rate = 0
	f, err := newFleet(load, e.Target, pace)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	m := wire.Message{QoS: load.QoS, PayloadBytes: load.PayloadBytes, Retain: true, Numbered: true}
	if err := f.makePublishers(pace, m); err != nil {
		return nil, err
	}
	if err := f.connectPublishers(ctx); err != nil {
		return nil, err
	}
	r := new(Result)
	if err := f.loadRetained(ctx, e, r, pace.Count); err != nil {
		return nil, err
	}
	before := e.sample()
	if err := f.replay(ctx, e, r, before); err != nil {
		return nil, err
	}
	f.faultsOfReplay(r)
	return r, f.clearRetained(context.WithoutCancel(ctx), e, pace)
}

func (f *fleet) loadRetained(ctx context.Context, e *Env, r *Result, each int64) error {
	all := each * int64(len(f.pubs))
	before, begin := e.sample(), time.Now()
	f.start()
	r.Partial = wait(ctx, connectTimeout, func(done time.Duration) bool {
		acked := f.account().Acked
		e.progress("publishing retained messages", done, connectTimeout, float64(acked)/done.Seconds())
		return acked >= all
	})
	f.stopPublishing()
	after, seconds := e.sample(), time.Since(begin).Seconds()
	acked := float64(f.account().Acked)
	if acked == 0 {
		return errNothing
	}
	r.add(MetricAcked, "/s", acked/seconds, Higher)
	r.addUse(before, after, acked, 1e6)
	if before.known && after.known {
		r.add("memory per retained message", "B", float64(after.broker.RSSBytes-before.broker.RSSBytes)/acked, Lower)
	}
	return nil
}

// replay measures how fast all subscribers get all retained messages.
func (f *fleet) replay(ctx context.Context, e *Env, r *Result, before sample) error {
	due := f.account().Acked * int64(e.Load.copies())
	if err := f.connectSubscribers(ctx); err != nil {
		return err
	}
	last, movedAt := int64(-1), time.Now()
	r.Partial = wait(ctx, connectTimeout, func(done time.Duration) bool {
		if t := f.account(); t.Delivered > last {
			last, movedAt = t.Delivered, time.Now()
		}
		e.progress("replaying", done, connectTimeout, float64(last)/done.Seconds())
		return last >= due || time.Since(movedAt) > drainQuiet
	}) || r.Partial
	after := e.sample()
	if seconds := movedAt.Sub(before.at).Seconds(); last > 0 && seconds > 0 {
		r.add(MetricReplayed, "/s", float64(last)/seconds, Higher)
		if before.known && after.known {
			r.add("broker CPU per million replayed", "s", (after.broker.CPU-before.broker.CPU).Seconds()/float64(last)*1e6, Lower)
		}
	}
	return nil
}

// faultsOfReplay adds what must not be. Retained messages come in any order.
func (f *fleet) faultsOfReplay(r *Result) {
	c := f.received()
	r.add("lost", "", float64(c.Missing), Neither)
	if c.Missing > 0 {
		r.problem("%s", count(c.Missing, "retained message was not replayed|retained messages were not replayed"))
	}
	if c.Duplicates > 0 {
		r.problem("%s", count(c.Duplicates, "retained message came twice|retained messages came twice"))
	}
	f.lives.problems(r)
}

// clearRetained publishes an empty message to each topic.
func (f *fleet) clearRetained(ctx context.Context, e *Env, pace client.Pace) error {
	load := e.Load
	load.Subscribers, load.Rate = 0, 0
	c, err := newFleet(load, e.Target, pace)
	if err != nil {
		return err
	}
	defer c.stop()
	c.prefix = f.prefix
	if err := c.makePublishers(pace, wire.Message{QoS: mqtt.AtLeastOnce, Retain: true, Numbered: true}); err != nil {
		return err
	}
	if err := c.connectPublishers(ctx); err != nil {
		return fmt.Errorf("clearing retained messages: %w", err)
	}
	c.start()
	wait(ctx, drainLimit, func(time.Duration) bool {
		return c.account().Acked >= pace.Count*int64(len(c.pubs))
	})
	return nil
}
