package router

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/retain"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a subscriber, and a reader of the log, that writes down what it gets.
type fake struct {
	seq      uint64
	durable  bool
	overlaps bool

	mu   sync.Mutex
	log  []string
	room int // records that it still reads
	next message.Position
	live bool
	lost int
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
}
func (f *fake) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}
func (f *fake) Seq() uint64    { return f.seq }
func (f *fake) Overlaps() bool { return f.overlaps }
func (f *fake) Durable() bool  { return f.durable }
func (f *fake) Deliver(_ *conn.Batch, m *message.Message, subs []*session.Subscription) {
	f.note("now %s %d", m.Payload, len(subs))
}
func (f *fake) Tail(_ *conn.Batch, r Record, subs []*session.Subscription) {
	f.note("tail %s %d", r.Message.Payload, len(subs))
}
func (f *fake) Lag() (message.Position, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next, !f.live && f.room > 0
}
func (f *fake) Read(_ *conn.Batch, blk storage.Block) bool {
	for i, r := range blk.Records {
		pos := message.Position{Block: blk.Seq, Index: uint32(i)}
		f.mu.Lock()
		full, old := f.room == 0, pos.Less(f.next)
		f.mu.Unlock()
		if old {
			continue
		}
		if full {
			return false
		}
		f.note("read %s", r.Message.Payload)
		f.mu.Lock()
		f.room--
		f.next = pos.Next()
		f.mu.Unlock()
	}
	return true
}
func (f *fake) Join(next message.Position, begun func() uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = begun() <= next.Block
	return f.live
}
func (f *fake) Lost(first message.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost++
	f.next = first
}

// rig is a router with its parts.
type rig struct {
	*Router
	engine   *memory.Engine
	retained *retain.Store
	metrics  *metrics.Metrics
}

func newRig(o memory.Options) *rig {
	r := &rig{engine: memory.New(o), retained: retain.New(retain.Options{MaxMessages: 2}), metrics: new(metrics.Metrics)}
	r.Router = New(Options{Engine: r.engine, Retained: r.retained, Metrics: r.metrics, Workers: 1})
	return r
}

func (r *rig) close() {
	_ = r.engine.Close()
	r.Router.Close()
}

func (r *rig) subscribe(f *fake, filter string, qos mqtt.QoS) *Entry {
	s := session.NewSubscription(mqtt.FilterOptions{Filter: filter, QoS: qos}, 0, nil).Committed(message.Position{})
	e := NewEntry(f, s)
	r.Add(filter, e)
	return e
}

// waiter collects the codes of commits.
type waiter struct {
	mu     sync.Mutex
	codes  []mqtt.ReasonCode
	undone int
}

func (w *waiter) Wait() (Pending, bool) { return Pending{PacketID: 7}, true }
func (w *waiter) Committed(p Pending, c mqtt.ReasonCode) {
	if p.PacketID != 7 {
		c = mqtt.UnspecifiedError
	}
	w.mu.Lock()
	w.codes = append(w.codes, c)
	w.mu.Unlock()
}
func (w *waiter) Unwait() { w.undone++ }

func (r *rig) publish(t *testing.T, topic, payload string, qos mqtt.QoS, retained bool, w Waiter) (mqtt.ReasonCode, bool) {
	t.Helper()
	m := &message.Message{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: retained, PublishedAt: time.Now()}
	code, waits, err := r.Publish(conn.NewBatch(), Publication{Message: m, Waiter: w})
	if err != nil {
		t.Fatal(err)
	}
	return code, waits
}

func expect(t *testing.T, f *fake, want ...string) {
	t.Helper()
	if got := f.got(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhoDoesNotOutliveTheConnectionGetsItAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{})
		defer r.close()
		a := &fake{seq: 1}
		r.subscribe(a, "t", 1)
		if code, waits := r.publish(t, "t", "x", 1, false, nil); code != 0 || waits {
			t.Errorf("code %v, waits %v", code, waits)
		}
		expect(t, a, "now x 1")
		if h := r.engine.Health(); h.Blocks != 0 {
			t.Errorf("%d blocks were written for nobody", h.Blocks)
		}
	})
}

func TestADurableSubscriberGetsItFromTheLogOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{})
		defer r.close()
		d, e, w := &fake{seq: 1, durable: true}, &fake{seq: 2}, &waiter{}
		r.subscribe(d, "t", 1)
		r.subscribe(e, "t", 1)
		if _, waits := r.publish(t, "t", "q1", 1, false, w); !waits {
			t.Error("QoS 1 for a durable subscriber does not wait for its commit")
		}
		expect(t, e, "now q1 1")
		synctest.Wait()
		expect(t, d, "tail q1 1")
		expect(t, e, "now q1 1")
		r.publish(t, "t", "q0", 0, false, w)
		synctest.Wait()
		expect(t, d, "tail q1 1", "now q0 1")
		if !slices.Equal(w.codes, []mqtt.ReasonCode{0}) {
			t.Errorf("codes %v", w.codes)
		}
	})
}

func TestQoS2ThatIsLoggedWaitsForItsCommitBeforeAnyDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{})
		defer r.close()
		d, e := &fake{seq: 1, durable: true}, &fake{seq: 2}
		r.subscribe(d, "t", 2)
		r.subscribe(e, "t", 0)
		hold := make(chan struct{})
		if err := r.engine.Submit(0, storage.Unit{}, func(message.Position, error) { <-hold }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.publish(t, "t", "x", 2, false, nil)
		synctest.Wait()
		expect(t, e)
		close(hold)
		synctest.Wait()
		expect(t, e, "now x 1")
		expect(t, d, "tail x 1")
	})
}

func TestOverlappingSubscriptionsAreOneTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{})
		defer r.close()
		a, b := &fake{seq: 1, overlaps: true}, &fake{seq: 2}
		for _, filter := range []string{"t/x", "t/+", "t/#"} {
			r.subscribe(a, filter, 0)
		}
		r.subscribe(b, "#", 0)
		r.publish(t, "t/x", "x", 0, false, nil)
		expect(t, a, "now x 3")
		expect(t, b, "now x 1")
	})
}

func TestTheVersionInForceAtTheRecordDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{})
		defer r.close()
		d := &fake{seq: 1, durable: true}
		e := r.subscribe(d, "t", 1)
		r.publish(t, "t", "before", 1, false, nil)
		synctest.Wait()
		end := e.Subscription().End()
		e.Set(end)
		r.publish(t, "t", "after", 1, false, nil)
		synctest.Wait()
		expect(t, d, "tail before 1")
	})
}

func TestNobodySubscribedIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{})
		defer r.close()
		w := &waiter{}
		if code, waits := r.publish(t, "t", "x", 1, false, w); code != mqtt.NoMatchingSubscribers || waits {
			t.Errorf("code %v, waits %v", code, waits)
		}
		r.publish(t, "t", "kept", 1, true, w)
		synctest.Wait()
		if !slices.Equal(w.codes, []mqtt.ReasonCode{mqtt.NoMatchingSubscribers}) {
			t.Errorf("codes %v", w.codes)
		}
		if n := r.metrics.Dropped(message.DropNoSubscriber); n != 2 {
			t.Errorf("%d drops counted", n)
		}
	})
}

func TestARetainedMessageIsSeenOnceItIsCommittedAndItsLimitIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{})
		defer r.close()
		w := &waiter{}
		for i := range 3 {
			r.publish(t, fmt.Sprint("t", i), "x", 1, true, w)
		}
		synctest.Wait()
		if r.retained.Len() != 2 || w.codes[2] != mqtt.QuotaExceeded {
			t.Errorf("%d are retained, codes %v", r.retained.Len(), w.codes)
		}
	})
}

func TestABusyEngineTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{MaxQueueBytes: 1 << 10})
		defer r.close()
		d, e, w := &fake{seq: 1, durable: true}, &fake{seq: 2}, &waiter{}
		r.subscribe(d, "t", 1)
		r.subscribe(e, "t", 1)
		hold := make(chan struct{})
		if err := r.engine.Submit(0, storage.Unit{}, func(message.Position, error) { <-hold }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		m := &message.Message{Topic: "t", Payload: make([]byte, 600), QoS: 1}
		var err error
		n := 0
		for ; err == nil && n < 10; n++ {
			_, _, err = r.Publish(conn.NewBatch(), Publication{Message: m, Waiter: w})
		}
		if !errors.Is(err, storage.ErrBusy) || w.undone != 1 || len(e.got()) != n-1 {
			t.Errorf("%v after %d, %d waits undone, %d delivered", err, n, w.undone, len(e.got()))
		}
		close(hold)
		synctest.Wait()
	})
}

func TestAReaderThatLagsReadsTheLogAndJoinsTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{})
		defer r.close()
		d := &fake{seq: 1, durable: true, room: 2}
		r.subscribe(d, "t", 1)
		for i := range 3 {
			r.publish(t, "t", fmt.Sprint(i), 1, false, nil)
			synctest.Wait()
		}
		d.log = nil
		r.CatchUp(d)
		r.CatchUp(d) // twice is once
		synctest.Wait()
		expect(t, d, "read 0", "read 1")
		d.mu.Lock()
		d.room = 5
		d.mu.Unlock()
		r.CatchUp(d)
		synctest.Wait()
		expect(t, d, "read 0", "read 1", "read 2")
		if !d.live {
			t.Error("it has read everything and is not live")
		}
	})
}

func TestAReaderHearsWhatWasTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(memory.Options{})
		defer r.close()
		d := &fake{seq: 1, durable: true, room: 9}
		r.subscribe(d, "t", 1)
		for i := range 3 {
			r.publish(t, "t", fmt.Sprint(i), 1, false, nil)
			synctest.Wait()
		}
		d.log = nil
		if err := r.engine.Trim(t.Context(), 0, message.Position{Block: 3}); err != nil {
			t.Fatal(err)
		}
		d.next = message.Position{Block: 1}
		r.CatchUp(d)
		synctest.Wait()
		if expect(t, d, "read 2"); d.lost != 1 {
			t.Errorf("told %d times", d.lost)
		}
	})
}

func BenchmarkPublishToOne(b *testing.B) {
	r := newRig(memory.Options{})
	defer r.close()
	r.subscribe(&fake{seq: 1}, "t", 0)
	m := &message.Message{Topic: "nobody/here"}
	batch := conn.NewBatch()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Publish(batch, Publication{Message: m}); err != nil {
			b.Fatal(err)
		}
	}
}
