package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/retain"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing is an engine whose commits without records fail while fails is set.
type failing struct {
	storage.Engine
	fails atomic.Bool
}

var errDisk = errors.New("the disk is on fire")

func (f *failing) Submit(lane storage.Lane, u storage.Unit, done func(message.Position, error)) error {
	if f.fails.Load() && len(u.Records) == 0 && len(u.Ops) > 0 {
		return errDisk
	}
	return f.Engine.Submit(lane, u, done)
}

// rig is streams with what is below them.
type rig struct {
	t       *testing.T
	options Options
	engine  *failing
	router  *router.Router
	streams *Streams
	metrics *metrics.Metrics
	n       int
}

// newRig is to be called in a bubble of synctest, in which time is virtual.
func newRig(t *testing.T, declared map[string]Config, change ...func(*Options)) *rig {
	r := &rig{t: t, metrics: new(metrics.Metrics)}
	for _, c := range change {
		c(&r.options)
	}
	r.open(memory.New(memory.Options{}), declared)
	return r
}

func (r *rig) open(e *memory.Engine, declared map[string]Config) {
	r.t.Helper()
	r.engine = &failing{Engine: e}
	r.router = router.New(router.Options{Engine: r.engine, Retained: retain.New(retain.Options{}), Metrics: r.metrics, Workers: 1})
	var seq atomic.Uint64
	o := r.options
	o.Engine, o.Router, o.Metrics, o.Logger = r.engine, r.router, r.metrics, slog.New(slog.DiscardHandler)
	o.Seq = func() uint64 { return seq.Add(1) }
	s, err := Open(o, declared)
	if err != nil {
		r.t.Fatal(err)
	}
	r.streams = s
	synctest.Wait()
}

// crash ends everything without a word and opens it again on what was committed.
func (r *rig) crash(declared map[string]Config) {
	r.t.Helper()
	var kept bytes.Buffer
	if err := r.engine.Snapshot(context.Background(), &kept); err != nil {
		r.t.Fatal(err)
	}
	r.close()
	e, err := memory.Restore(memory.Options{}, &kept)
	if err != nil {
		r.t.Fatal(err)
	}
	r.open(e, declared)
}

func (r *rig) close() {
	r.streams.Close()
	if err := r.engine.Close(); err != nil {
		r.t.Error(err)
	}
	r.router.Close()
}

// publish publishes a message with a new payload, which it returns, and waits until all have settled.
func (r *rig) publish(topic string, qos mqtt.QoS) string {
	r.t.Helper()
	payload := r.send(topic, qos, 0)
	synctest.Wait()
	return payload
}

func (r *rig) send(topic string, qos mqtt.QoS, size int) string {
	r.n++
	payload := fmt.Sprintf("%06d", r.n)
	m := &message.Message{Topic: topic, QoS: qos, PublishedAt: time.Now(), Payload: append([]byte(payload), make([]byte, size)...)}
	b := conn.NewBatch()
	if _, _, err := r.router.Publish(b, router.Publication{Message: m}); err != nil {
		r.t.Fatal(err)
	}
	return payload
}

// sweep has the writer do all that is due.
func (r *rig) sweep() {
	r.streams.Sweep()
	synctest.Wait()
}

// trim trims the log as far as the streams allow.
func (r *rig) trim() {
	r.t.Helper()
	pos, ok := r.streams.Oldest()
	if !ok {
		pos = r.engine.Health().Next
	}
	if err := r.engine.Trim(context.Background(), 0, pos); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) flush(name string) {
	r.t.Helper()
	if err := r.streams.Get(name).Flush(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) page(q Query) *Page {
	r.t.Helper()
	p, err := r.streams.History(context.Background(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// all pages through a query to its end.
func (r *rig) all(q Query) (payloads []string, complete bool) {
	r.t.Helper()
	complete = true
	for {
		p := r.page(q)
		for _, rec := range p.Records {
			payloads = append(payloads, string(rec.Message.Payload[:6]))
		}
		complete = complete && p.Complete
		if p.End {
			return payloads, complete
		}
		q.From, q.Since = p.Next, time.Time{}
	}
}

// without returns what is in a and not, or not so often, in b.
func without(a, b []string) (rest []string) {
	n := map[string]int{}
	for _, x := range b {
		n[x]++
	}
	for _, x := range a {
		if n[x]--; n[x] < 0 {
			rest = append(rest, x)
		}
	}
	return rest
}

func (r *rig) check(what string, q Query, want []string, complete bool) {
	r.t.Helper()
	got, c := r.all(q)
	if !slices.Equal(got, want) {
		r.t.Errorf("%s: got %d messages instead of %d; missing %v, too many %v", what, len(got), len(want), without(want, got), without(got, want))
	}
	if c != complete {
		r.t.Errorf("%s: complete is %v", what, c)
	}
}
