package scenario

import (
	"context"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/mqtt"
)

// beside measures a healthy pair alone, and then beside something that troubles the broker.
func beside(trouble func(ctx context.Context, e *Env) (end func(), err error)) func(context.Context, *Env) (*Result, error) {
	return func(ctx context.Context, e *Env) (*Result, error) {
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
		half := *e
		half.Load.Duration /= 2
		f.measure(ctx, &half, r)
		alone, _ := f.latencies()
		end, err := trouble(ctx, e)
		if err != nil {
			return nil, err
		}
		r.Partial = f.watch(ctx, e, "trouble begins", e.Load.Warmup, r) || r.Partial
		m := f.measure(ctx, &half, r)
		f.stopPublishing()
		f.drain(ctx, e)
		end()
		m.addTo(r, e)
		r.add("latency p99 alone", "ms", milliseconds(alone.Quantile(0.99)), Lower)
		f.faults(r)
		return r, nil
	}
}

// The flood that stalled subscribers do not read.
const (
	stalledSubscribers = 4
	floodPublishers    = 4
	floodPerSecond     = 20_000
	floodBytes         = 1024
)

// stalled floods subscribers that do not read.
func stalled(ctx context.Context, e *Env) (end func(), err error) {
	load := base()
	load.Version, load.Loops = e.Load.Version, 1
	load.Publishers, load.Subscribers, load.Rate = floodPublishers, stalledSubscribers, floodPerSecond
	load.PayloadBytes, load.QoS = floodBytes, mqtt.AtMostOnce
	f, err := newFleet(load, e.Target, load.pace())
	if err != nil {
		return nil, err
	}
	if err = f.connectSubscribers(ctx); err == nil {
		err = f.connectPublishers(ctx)
	}
	if err != nil {
		f.stop()
		return nil, err
	}
	for _, s := range f.subs {
		s.Client().Loop().Do(func(int64) { s.Client().Pause(true) })
	}
	f.start()
	return f.stop, nil
}

// floodClients is how many clients at a time connect and leave in a flood of connects.
const floodClients = 50

// connectFlood has clients connect and leave as fast as the broker lets them.
func connectFlood(_ context.Context, e *Env) (end func(), err error) {
	flood := *e
	flood.Load.Clients, flood.Load.Loops = floodClients, 1
	w, err := newCrowd(&flood, false, false)
	if err != nil {
		return nil, err
	}
	for i := range w.visitors {
		w.start(i, loop.Now())
	}
	return w.stop, nil
}

// healthy is the pair that is measured: 1,000 messages a second, QoS 1.
func healthy() Load {
	l := base()
	l.Publishers, l.Subscribers, l.Rate, l.QoS = 1, 1, 1000, mqtt.AtLeastOnce
	l.Duration = 8 * time.Second
	return l
}
