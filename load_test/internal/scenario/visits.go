package scenario

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/client"
	"github.com/barid-mqtt/barid/load_test/internal/hist"
	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/mqtt"
)

// manySources is how many local addresses are connected from where one has too few ports.
const manySources = 50

// crowd is the clients of a scenario that is about connections.
type crowd struct {
	loops    []*loop.Loop
	visits   []*client.Visits
	visitors []*client.Visitor
}

// newCrowd makes visitors; none is connected.
func newCrowd(e *Env, stays, subscribes bool) (*crowd, error) {
	l := e.Load
	target := *e.Target
	target.Sources = max(target.Sources, manySources)
	w := new(crowd)
	n := l.Loops
	if n == 0 {
		n = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	for range n {
		o, err := loop.New()
		if err != nil {
			w.stop()
			return nil, err
		}
		w.loops = append(w.loops, o)
		w.visits = append(w.visits, &client.Visits{QoS: mqtt.AtLeastOnce, Failures: map[string]int64{}})
	}
	prefix := fmt.Sprintf("load/%08x", rand.Uint32())
	var ids, filters atomic.Int64
	id := func() string { return fmt.Sprintf("%s/v%d", prefix, ids.Add(1)) }
	var filter func() string
	if subscribes {
		filter = func() string { return fmt.Sprintf("%s/%d/+", prefix, filters.Add(1)) }
	}
	for i := range l.Clients {
		v := client.NewVisitor(w.loops[i%n], w.visits[i%n], &target, l.hello("", false), stays, id, filter)
		w.visitors = append(w.visitors, v)
	}
	return w, nil
}

func (w *crowd) stop() {
	for i, l := range w.loops {
		l.Do(func(int64) { w.visits[i].Stopped = true })
	}
	for _, l := range w.loops {
		l.Stop()
	}
}

func (w *crowd) start(i int, at int64) {
	l := w.loops[i%len(w.loops)]
	l.Do(func(int64) { w.visitors[i].Start(at) })
}

// account adds up what the visitors did.
func (w *crowd) account() (connects, subscribes, failures int64) {
	for i, l := range w.loops {
		l.Do(func(int64) {
			v := w.visits[i]
			connects += v.Connects
			subscribes += v.Subscribes
			for _, n := range v.Failures {
				failures += n
			}
		})
	}
	return connects, subscribes, failures
}

func (w *crowd) latency() *hist.Hist {
	h := new(hist.Hist)
	for i, l := range w.loops {
		l.Do(func(int64) { h.Merge(&w.visits[i].Latency) })
	}
	return h
}

func (w *crowd) forget() {
	for i, l := range w.loops {
		l.Do(func(int64) { w.visits[i].Latency.Reset() })
	}
}

func (w *crowd) problems(r *Result) {
	all := map[string]int64{}
	for i, l := range w.loops {
		l.Do(func(int64) {
			for reason, n := range w.visits[i].Failures {
				all[reason] += n
			}
		})
	}
	for _, reason := range slices.Sorted(maps.Keys(all)) {
		r.problem("%s: %s", count(all[reason], "connection failed|connections failed"), reason)
	}
}

// watch tells how it goes.
func (w *crowd) watch(ctx context.Context, e *Env, phase string, d time.Duration) (broken bool) {
	begin := time.Now()
	lastConnects, lastSubscribes, _ := w.account()
	last := begin
	return wait(ctx, d, func(done time.Duration) bool {
		c, s, _ := w.account()
		now := time.Now()
		e.progress(phase, done, d, float64(c-lastConnects+s-lastSubscribes)/now.Sub(last).Seconds())
		lastConnects, lastSubscribes, last = c, s, now
		return false
	})
}

// storm has clients connect and leave as fast as the broker lets them.
func storm(ctx context.Context, e *Env) (*Result, error) {
	w, err := newCrowd(e, false, false)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	for i := range w.visitors {
		w.start(i, loop.Now())
	}
	r := new(Result)
	r.Partial = w.watch(ctx, e, "warm-up", e.Load.Warmup)
	w.forget()
	c0, _, _ := w.account()
	before := e.sample()
	r.Partial = w.watch(ctx, e, "connecting", e.Load.Duration) || r.Partial
	c1, _, failed := w.account()
	after := e.sample()
	connects := float64(c1 - c0)
	if connects == 0 && !r.Partial {
		w.problems(r)
		return nil, fmt.Errorf("no client got a connection: %v", r.Problems)
	}
	r.add(MetricConnects, "/s", connects/after.at.Sub(before.at).Seconds(), Higher)
	r.addConnectCPU(before, after, connects)
	r.addUse(before, after, 0, 1)
	r.addLatency(w.latency())
	if failed > 0 {
		w.problems(r)
	}
	return r, nil
}

func (r *Result) addConnectCPU(a, b sample, connects float64) {
	if a.known && b.known && connects > 0 {
		r.add(MetricConnCPU, "ms", milliseconds(b.broker.CPU-a.broker.CPU)/connects*1000, Lower)
	}
}

// subscribeStorm has clients subscribe to one filter after the other.
func subscribeStorm(ctx context.Context, e *Env) (*Result, error) {
	w, err := newCrowd(e, true, true)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	before := e.sample()
	for i := range w.visitors {
		w.start(i, loop.Now())
	}
	r := new(Result)
	r.Partial = w.watch(ctx, e, "subscribing", e.Load.Duration)
	_, n, _ := w.account()
	after := e.sample()
	if n == 0 && !r.Partial {
		w.problems(r)
		return nil, fmt.Errorf("no subscription was made: %v", r.Problems)
	}
	r.add(MetricSubscribe, "/s", float64(n)/after.at.Sub(before.at).Seconds(), Higher)
	r.addUse(before, after, float64(n), 1e6)
	if before.known && after.known {
		r.add(MetricPerSub, "B", float64(after.broker.RSSBytes-before.broker.RSSBytes)/float64(n), Lower)
	}
	r.addLatency(w.latency())
	w.problems(r)
	return r, nil
}

// subscriptionsAtOnce is how many filters a SUBSCRIBE has where many subscriptions are made.
const subscriptionsAtOnce = 100

// subscriptions has clients subscribe to a number of filters, and measures what those take.
func subscriptions(ctx context.Context, e *Env) (*Result, error) {
	w, err := newCrowd(e, true, true)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	for i, v := range w.visits {
		w.loops[i].Do(func(int64) {
			v.QoS, v.Batch, v.Most = e.Load.QoS, subscriptionsAtOnce, int64(e.Load.Messages/len(w.visits))
		})
	}
	before, begin := e.sample(), time.Now()
	for i := range w.visitors {
		w.start(i, loop.Now())
	}
	r := new(Result)
	made, failed := int64(0), int64(0)
	r.Partial = wait(ctx, connectTimeout, func(done time.Duration) bool {
		_, made, failed = w.account()
		e.progress("subscribing", done, connectTimeout, float64(made)/done.Seconds())
		return made >= int64(e.Load.Messages/len(w.visits)*len(w.visits)) || int(failed) >= len(w.visitors)
	})
	full, seconds := e.sample(), time.Since(begin).Seconds()
	if made == 0 && !r.Partial {
		w.problems(r)
		return nil, fmt.Errorf("no subscription was made: %v", r.Problems)
	}
	r.Partial = w.watch(ctx, e, "holding", e.Load.Duration) || r.Partial
	after := e.sample()
	r.add(MetricSubscribe, "/s", float64(made)/seconds, Higher)
	r.add("subscriptions", "", float64(made), Neither)
	r.addUse(before, full, float64(made), 1e6)
	if before.known && after.known {
		r.add(MetricPerSub, "B", float64(after.broker.RSSBytes-before.broker.RSSBytes)/float64(made), Lower)
	}
	w.problems(r)
	return r, nil
}

// hold has clients connect, at a rate or a few at a time, and stay.
func hold(ctx context.Context, e *Env) (*Result, error) {
	w, err := newCrowd(e, true, false)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	before := e.sample()
	broken := w.gather(ctx, e)
	full := e.sample()
	connects, _, _ := w.account()
	if connects == 0 && !broken {
		r := new(Result)
		w.problems(r)
		return nil, fmt.Errorf("no client got a connection: %v", r.Problems)
	}
	r := &Result{Partial: broken}
	r.add(MetricConnects, "/s", float64(connects)/full.at.Sub(before.at).Seconds(), Higher)
	r.addConnectCPU(before, full, float64(connects))
	r.Partial = w.watch(ctx, e, "holding", e.Load.Duration) || r.Partial
	after := e.sample()
	r.add("connections", "", float64(connects), Neither)
	if before.known && after.known {
		r.add(MetricPerConn, "kB", float64(after.broker.RSSBytes-before.broker.RSSBytes)/float64(connects)/1000, Lower)
	}
	r.addUse(full, after, 0, 1)
	r.addLatency(w.latency())
	w.problems(r)
	return r, nil
}

// gather starts all visitors: each when it is due, or as soon as fewer than a few are under way.
func (w *crowd) gather(ctx context.Context, e *Env) (broken bool) {
	begin, at := time.Now(), loop.Now()
	started, total := 0, len(w.visitors)
	for {
		done, _, failed := w.account()
		e.progress("connecting", time.Since(begin), e.Load.gatherTime(), float64(done)/time.Since(begin).Seconds())
		if int(done+failed) >= total {
			return false
		}
		for started < total && w.mayStart(e, started, int(done+failed), at) {
			due := loop.Now()
			if e.Load.Rate > 0 {
				due = at + e.Load.dueAt(started)
			}
			w.start(started, due)
			started++
		}
		select {
		case <-ctx.Done():
			return true
		case <-time.After(time.Millisecond):
		}
		if time.Since(begin) > connectTimeout+e.Load.gatherTime() {
			return false
		}
	}
}

func (w *crowd) mayStart(e *Env, n, done int, begin int64) bool {
	if e.Load.Rate > 0 {
		return begin+e.Load.dueAt(n) <= loop.Now()
	}
	return n-done < atOnce
}

// dueAt returns when the nth connection is due, in nanoseconds after the first.
func (l *Load) dueAt(n int) int64 { return int64(float64(n) / l.Rate * float64(time.Second)) }

// gatherTime returns how long it takes to start all connections at a rate.
func (l *Load) gatherTime() time.Duration {
	if l.Rate <= 0 {
		return 0
	}
	return time.Duration(l.dueAt(l.Clients))
}
