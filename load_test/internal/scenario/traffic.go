package scenario

import (
	"context"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/client"
)

// Stalls: a closed loop whose messages were dropped would wait for ever.
const (
	stallAfter = time.Second     // no delivery and no acknowledgement for so long: what is outstanding is written off
	drainQuiet = 2 * time.Second // after the end, nothing for so long: nothing more comes
	drainLimit = 30 * time.Second
)

// traffic runs publishers and subscribers.
func traffic(ctx context.Context, e *Env) (*Result, error) {
	f, err := newFleet(e.Load, e.Target, e.Load.pace())
	if err != nil {
		return nil, err
	}
	defer f.stop()
	if err := f.connectSubscribers(ctx); err != nil {
		return nil, err
	}
	if err := f.connectPublishers(ctx); err != nil {
		return nil, err
	}
	r := new(Result)
	f.start()
	r.Partial = f.watch(ctx, e, "warm-up", e.Load.Warmup, r)
	m := f.measure(ctx, e, r)
	f.stopPublishing()
	f.drain(ctx, e)
	if m.deliveries+m.acks == 0 && !r.Partial {
		return nil, errNothing
	}
	m.addTo(r, e)
	f.faults(r)
	return r, nil
}

// span is what was measured between two moments.
type span struct {
	before, after    sample
	deliveries, acks float64
	sent             float64
	f                *fleet
}

// measure runs for the load's duration and returns what happened in it.
func (f *fleet) measure(ctx context.Context, e *Env, r *Result) span {
	f.forget()
	t0, s0 := f.account(), e.sample()
	r.Partial = f.watch(ctx, e, "measuring", e.Load.Duration, r) || r.Partial
	t1, s1 := f.account(), e.sample()
	return span{
		before: s0, after: s1, f: f, sent: float64(t1.Sent - t0.Sent),
		deliveries: float64(t1.Delivered - t0.Delivered), acks: float64(t1.Acked - t0.Acked),
	}
}

func (m *span) addTo(r *Result, e *Env) {
	seconds := m.after.at.Sub(m.before.at).Seconds()
	count := m.deliveries
	if e.Load.Subscribers > 0 {
		r.add(MetricRate, "/s", m.deliveries/seconds, Higher)
	} else {
		count = m.acks
	}
	if e.Load.QoS > 0 {
		r.add(MetricAcked, "/s", m.acks/seconds, Higher)
	} else {
		r.add("published", "/s", m.sent/seconds, Higher)
	}
	r.addUse(m.before, m.after, count, 1e6)
	delivery, ack := m.f.latencies()
	r.addLatency(delivery)
	if ack.Count() > 0 {
		r.add(MetricAckP99, "ms", milliseconds(ack.Quantile(0.99)), Lower)
	}
}

// watch lets the load run for a time. It reports whether it was broken off.
func (f *fleet) watch(ctx context.Context, e *Env, phase string, d time.Duration, r *Result) (broken bool) {
	begin := time.Now()
	last, lastAt, movedAt := f.account(), begin, begin
	return wait(ctx, d, func(done time.Duration) bool {
		t, now := f.account(), time.Now()
		if progress := t.Delivered + t.Acked - last.Delivered - last.Acked; progress > 0 {
			movedAt = now
			if e.Load.Subscribers == 0 {
				progress = t.Acked - last.Acked
			} else {
				progress = t.Delivered - last.Delivered
			}
			e.progress(phase, done, d, float64(progress)/now.Sub(lastAt).Seconds())
		} else if now.Sub(movedAt) > stallAfter && e.Load.Window > 0 {
			if acks, deliveries := f.outstanding(); acks+deliveries > 0 {
				r.problem("nothing came for %v with %d acknowledgements and %d deliveries outstanding; these deliveries were given up", stallAfter, acks, deliveries)
				f.eachPublisher((*client.Publisher).WriteOff)
			}
			movedAt = now
		}
		last, lastAt = t, now
		return false
	})
}

// drain waits until everything has come, or nothing more does.
func (f *fleet) drain(ctx context.Context, e *Env) {
	begin := time.Now()
	last, movedAt := f.account(), begin
	wait(context.WithoutCancel(ctx), drainLimit, func(done time.Duration) bool {
		if acks, deliveries := f.outstanding(); acks <= 0 && deliveries <= 0 {
			return true
		}
		t := f.account()
		if t.Delivered+t.Acked > last.Delivered+last.Acked {
			movedAt = time.Now()
		}
		last = t
		e.progress("draining", done, drainLimit, 0)
		return time.Since(movedAt) > drainQuiet
	})
}

// faults adds what must not be.
func (f *fleet) faults(r *Result) {
	t, c := f.account(), f.received()
	acks, _ := f.outstanding()
	r.add("lost", "", float64(c.Missing), Neither)
	for _, fault := range []struct {
		n    int64
		what string
	}{
		{c.Missing, "message was not delivered|messages were not delivered"},
		{c.Duplicates, "message came twice|messages came twice"},
		{c.Late, "message came out of order|messages came out of order"},
		{t.Refused, "message was refused|messages were refused"},
		{t.Stray, "delivery was for somebody else|deliveries were for somebody else"},
		{t.AcksOutOfOrder, "acknowledgement came out of order|acknowledgements came out of order"},
		{acks, "acknowledgement did not come|acknowledgements did not come"},
	} {
		if fault.n > 0 {
			r.problem("%s", count(fault.n, fault.what))
		}
	}
	f.lives.problems(r)
}
