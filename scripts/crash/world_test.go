//go:build e2e

package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// world is a broker that is killed, its clients, and what they saw.
type world struct {
	t        *testing.T
	seed     uint64
	broker   *broker
	history  *history
	pace     time.Duration // longest break of a publisher between bursts
	patience time.Duration // how long there may be no progress after the load has ended

	ctx       context.Context // ends with the run
	end       context.CancelFunc
	calm      chan struct{} // closed when the load ends
	views     []*view
	publisher sync.WaitGroup
	clients   sync.WaitGroup
	length    time.Duration
}

func newWorld(t *testing.T, durability string, seed uint64) *world {
	w := &world{t: t, seed: seed, history: &history{}, pace: 20 * time.Millisecond, patience: 20 * time.Second, calm: make(chan struct{})}
	w.ctx, w.end = context.WithCancel(t.Context())
	rng := w.rng(1)
	sets := []string{fmt.Sprintf("session.in_flight_max=%d", 1+rng.IntN(100)), fmt.Sprintf("mqtt.receive_maximum=%d", 1+rng.IntN(100))}
	w.broker = newBroker(filepath.Join(t.TempDir(), "data"), durability, append(sets, variation(seed)...)...)
	for i := range 8 { // the last two retain
		w.history.sources = append(w.history.sources, &source{n: i, qos: mqtt.QoS(1 + i%2), retain: i >= 6})
	}
	for i, later := range []laterKind{delayed, delayed, will, will, will, will} {
		w.history.sources = append(w.history.sources, &source{n: 8 + i, qos: mqtt.QoS(1 + i%2), later: later})
	}
	return w
}

// rng makes a source of choices for one part of the run.
func (w *world) rng(part uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, part)) }

// loading reports whether publishers are to publish more.
func (w *world) loading() bool {
	select {
	case <-w.calm:
		return false
	default:
		return true
	}
}

// breaks is the longest time that a subscriber stays away.
func (w *world) breaks() time.Duration {
	if w.loading() {
		return time.Second
	}
	return 20 * time.Millisecond
}

// run lets the clients work while the broker is killed, and checks what they saw.
func (w *world) run(length time.Duration, kills int) {
	if err := w.broker.start(); err != nil {
		w.t.Fatalf("%v\n%s", err, w.broker.printed())
	}
	defer func() {
		w.end()
		w.clients.Wait()
		if w.broker.kill() == nil {
			w.broker.kills--
		}
	}()
	begun := time.Now()
	w.subscribers()
	w.publishers()
	alive := w.disturb(begun.Add(length), kills)
	w.length = time.Since(begun)
	close(w.calm)
	if alive {
		w.drain()
	}
}

// subscribers starts subscribers of both versions, and returns when all have subscribed: some that come and go, two that
// stay away until the load has ended, some that subscribe to less or twice, some that begin anew, and groups.
func (w *world) subscribers() {
	var ready sync.WaitGroup
	n := 0
	start := func(v *view, change func(*subscriber), filters ...string) {
		if !slices.Contains(w.views, v) {
			w.views = append(w.views, v)
		}
		sub := newSubscriber(w, v, n, []mqtt.Version{mqtt.V5, mqtt.V311}[n/2%2], filters...)
		if change != nil {
			change(sub)
		}
		id := fmt.Sprintf("sub%d", n)
		n++
		ready.Add(1)
		w.clients.Go(func() {
			once := sync.OnceFunc(ready.Done)
			defer once()
			sub.run(id, once)
		})
	}
	own := func(kind string) *view {
		return w.history.newView(fmt.Sprintf("sub%d (%s)", n, kind), mqtt.QoS(1+n%2))
	}
	for range 4 {
		start(own("comes and goes"), nil, "t/#")
	}
	for range 4 {
		start(own("begins anew"), func(sub *subscriber) { sub.fickle = true }, "t/#")
	}
	for range 2 {
		v := own("one topic")
		v.topic = 1
		start(v, nil, "t/+/1")
	}
	for range 2 {
		start(own("overlapping"), nil, "t/#", "t/+/0")
	}
	for range 2 {
		start(own("away"), func(sub *subscriber) { sub.absent = true }, "t/#")
	}
	for range 2 {
		v := own("later")
		v.later = true
		start(v, nil, "delayed/#", "will/#")
	}
	w.groups(start)
	ready.Wait()
}

// groups starts a group for each QoS. A durable member of each is always there, so that no group ends. What a member has
// with QoS 2 ends with its session [MQTT-4.8.2-5], so that only members with QoS 1 may end theirs.
func (w *world) groups(start func(v *view, change func(*subscriber), filters ...string)) {
	fickle := func(sub *subscriber) { sub.fickle = true }
	for _, qos := range []mqtt.QoS{mqtt.AtLeastOnce, mqtt.ExactlyOnce} {
		group := w.history.newView(fmt.Sprintf("group of QoS %d", qos), qos)
		group.group = true
		filter := fmt.Sprintf("$share/g%d/t/#", qos)
		for range 3 {
			start(group, nil, filter)
		}
		start(group, func(sub *subscriber) { sub.leaves = true }, filter)
		if qos == mqtt.AtLeastOnce {
			start(group, fickle, filter)
			start(group, func(sub *subscriber) { sub.ephemeral = true }, filter)
			start(group, func(sub *subscriber) { sub.ephemeral = true }, filter)
		}
	}
}

func (w *world) publishers() {
	for i, s := range w.history.sources {
		p := newPublisher(w, s, []mqtt.Version{mqtt.V5, mqtt.V311}[i/2%2])
		if s.later == will {
			w.publisher.Go(p.die)
			continue
		}
		w.publisher.Go(p.run)
	}
}

// disturb kills, stops and starts the broker. It returns false if it could not be started any more.
func (w *world) disturb(until time.Time, kills int) bool {
	rng := w.rng(2)
	for time.Now().Before(until) || w.broker.kills < kills {
		w.pause(rng, 1200*time.Millisecond)
		if !w.broker.replace(rng, w.history) {
			return false
		}
		w.checkRetained(0)
	}
	return true
}

// drain lets publishers and subscribers finish, and checks that nothing is missing.
func (w *world) drain() {
	done := make(chan struct{})
	go func() { w.publisher.Wait(); close(done) }()
	progress := w.progress()
	for since := time.Now(); time.Since(since) < w.patience; {
		if now := w.progress(); now != progress {
			progress, since = now, time.Now()
		}
		select {
		case <-done:
			if w.missing(false) == 0 {
				w.checkRetained(200 * time.Millisecond) // what comes twice has time to come meanwhile
				return
			}
			<-time.After(100 * time.Millisecond)
		case <-time.After(100 * time.Millisecond):
		}
	}
	w.missing(true)
	for _, s := range w.history.sources {
		if sent, acked := s.sent.Load(), s.acked.Load(); acked < sent {
			w.history.fail("publisher %d: message %d is never acknowledged, of %d", s.n, acked, sent)
		}
	}
}

// progress changes with all that clients see.
func (w *world) progress() int64 { return w.history.acked() + w.history.delivered.Load() }

// missing counts the messages that should have come and did not.
func (w *world) missing(report bool) (all int) {
	for _, v := range w.views {
		n, first := v.missing()
		all += n
		if n > 0 && report {
			w.history.fail("%s never got %d acknowledged messages: publisher/number%s", v.name, n, first)
		}
	}
	return all
}

// figures sums the run up.
func (w *world) figures() string {
	h, b := w.history, w.broker
	later := int64(0)
	for _, s := range h.sources {
		if s.later != atOnce {
			later += s.acked.Load()
		}
	}
	return fmt.Sprintf("%.1f s under load: %d messages acknowledged (%d wills and delayed ones), %d delivered, %d kills, %d stops, slowest start %d ms, %d repeated with QoS 1, %d within a group",
		w.length.Seconds(), h.acked(), later, h.delivered.Load(), b.kills, b.stops, b.slowest.Milliseconds(), h.repeated.Load(), h.twiceInGroup.Load())
}
