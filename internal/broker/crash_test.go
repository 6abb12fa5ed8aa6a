package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/mqtt"
)

// mortal is an engine that can die: from then on it takes everything and does nothing, and what it has committed by then
// is what the next one begins with.
type mortal struct {
	storage.Engine
	submitted atomic.Int64
	mu        sync.Mutex
	dead      bool
	before    func(storage.Unit)                  // is called with every unit before it is submitted; nil: nobody
	holding   bool                                // what is submitted waits for let, as on a disk that takes its time
	held      []func()                            // that
	refusal   error                               // of what has records; nil: none
	last      *bytes.Buffer                       // gets what there is when the engine is closed; nil: nobody wants it
	scans     atomic.Pointer[func(prefix []byte)] // is called before keys are scanned; nil: nobody
	of        atomic.Pointer[Broker]              // whose it is, once that has started
	t         testing.TB
}

// locked sees to it that who submits a session's state holds its lock, so that no older state comes after a newer.
func (m *mortal) locked(u storage.Unit) {
	b := m.of.Load()
	if b == nil {
		return
	}
	for _, op := range u.Ops {
		if !bytes.HasPrefix(op.Key, state.Snapshots) || op.Value == nil {
			continue
		}
		o, _, err := state.DecodeSnapshot(storage.KV(op))
		if err != nil {
			m.t.Error(err)
		} else if c := b.registry.get(o.ClientID); c != nil && c.mu.TryLock() {
			c.mu.Unlock()
			m.t.Errorf("the state of %s is submitted and its lock not held", o.ClientID)
		}
	}
}

// Scan implements storage.Engine.
func (m *mortal) Scan(ctx context.Context, prefix []byte) iter.Seq2[storage.KV, error] {
	if fn := m.scans.Load(); fn != nil {
		(*fn)(prefix)
	}
	return m.Engine.Scan(ctx, prefix)
}

// ScanFrom implements storage.Engine.
func (m *mortal) ScanFrom(ctx context.Context, prefix, from []byte) iter.Seq2[storage.KV, error] {
	if fn := m.scans.Load(); fn != nil {
		(*fn)(prefix)
	}
	return m.Engine.ScanFrom(ctx, prefix, from)
}

func (m *mortal) Submit(lane storage.Lane, u storage.Unit, done func(message.Position, error)) error {
	m.locked(u)
	return m.submit(lane, u, done)
}

func (m *mortal) submit(lane storage.Lane, u storage.Unit, done func(message.Position, error)) error {
	if m.before != nil {
		m.before(u)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil
	}
	m.submitted.Add(1)
	if m.holding {
		m.held = append(m.held, func() {
			if err := m.submit(lane, u, done); err != nil {
				done(message.Position{}, err)
			}
		})
		return nil
	}
	refusal := m.refusal
	if len(u.Records) == 0 {
		refusal = nil
	}
	if refusal != nil {
		u = storage.Unit{} // so that done is called in its turn
	}
	return m.Engine.Submit(lane, u, func(pos message.Position, err error) {
		m.mu.Lock()
		dead := m.dead
		m.mu.Unlock()
		if !dead {
			done(pos, errors.Join(err, refusal))
		}
	})
}

// refuse has units with records fail, as on a full disk; nil: not any more.
func (m *mortal) refuse(err error) {
	m.mu.Lock()
	m.refusal = err
	m.mu.Unlock()
}

// hold has everything that is submitted wait until let.
func (m *mortal) hold() {
	m.mu.Lock()
	m.holding = true
	m.mu.Unlock()
}

func (m *mortal) let() {
	m.mu.Lock()
	m.holding = false
	held := m.held
	m.held = nil
	m.mu.Unlock()
	for _, submit := range held {
		submit()
	}
}

// Close implements storage.Engine.
func (m *mortal) Close() error {
	m.mu.Lock()
	last := m.last
	m.mu.Unlock()
	if last != nil {
		done := make(chan struct{})
		if err := m.Submit(0, storage.Unit{}, func(message.Position, error) { close(done) }); err != nil {
			return err
		}
		<-done
		if err := m.Snapshot(context.Background(), last); err != nil {
			return err
		}
	}
	return m.Engine.Close()
}

func (m *mortal) kill() {
	m.mu.Lock()
	m.dead = true
	m.mu.Unlock()
}

// world is a broker that is killed and started again under its clients.
type world struct {
	t      testing.TB
	sets   []string
	opts   []Option
	lock   chan struct{} // guards what follows; no mutex, which virtual time does not pass for
	b      *Broker
	engine *mortal
	conns  []net.Conn
	graves sync.WaitGroup
	down   func() // is called while no broker runs; nil: nothing is
}

func newWorld(t testing.TB, sets ...string) *world {
	w := &world{t: t, sets: sets, lock: make(chan struct{}, 1), engine: &mortal{t: t, Engine: memory.New(memory.Options{})}}
	w.start()
	return w
}

// dial connects to the broker that runs now.
func (w *world) dial() net.Conn {
	w.lock <- struct{}{}
	defer func() { <-w.lock }()
	c := dial(w.t, w.b)
	w.conns = append(w.conns, c)
	return c
}

// connect connects a client; nil: the broker died over it.
func (w *world) connect(c *mqtt.Connect) (*peer, *mqtt.Connack) {
	return handshake(w.t, w.dial(), c)
}

// crash kills the broker at once, as kill -9 does, and starts another on what was committed.
func (w *world) crash() {
	w.lock <- struct{}{}
	defer func() { <-w.lock }()
	w.engine.kill()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
	w.reopen()
}

// restart stops the broker as SIGTERM does, and starts another.
func (w *world) restart() {
	w.lock <- struct{}{}
	defer func() { <-w.lock }()
	var kept bytes.Buffer
	w.engine.mu.Lock()
	w.engine.last = &kept
	w.engine.mu.Unlock()
	if err := w.b.Stop(context.Background()); err != nil {
		w.t.Error(err)
	}
	w.conns = nil
	w.open(&kept)
}

func (w *world) reopen() {
	var kept bytes.Buffer
	if err := w.engine.Snapshot(context.Background(), &kept); err != nil {
		w.t.Error(err)
	}
	dead := w.b
	w.graves.Go(func() { // what is left of it: goroutines
		if err := dead.Stop(context.Background()); err != nil {
			w.t.Error(err)
		}
	})
	w.open(&kept)
}

func (w *world) open(kept *bytes.Buffer) {
	if w.down != nil {
		w.down()
	}
	e, err := memory.Restore(memory.Options{}, kept)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.engine = &mortal{t: w.t, Engine: e}
	w.start()
}

func (w *world) start() {
	w.b = newTestBroker(w.t, w.sets, append([]Option{WithEngine(w.engine)}, w.opts...)...)
	w.engine.of.Store(w.b)
}

// parkSoon has sleeping sessions parked, a few at a time, and the log trimmed, at every opportunity.
func parkSoon(b *Broker) { b.trimBytes, b.parkBytes, b.parkGain, b.passErrands = 1, 1, 0, 2 }

// close ends all brokers there were.
func (w *world) close() {
	if err := w.b.Stop(context.Background()); err != nil {
		w.t.Error(err)
	}
	w.graves.Wait()
}

func TestWhatIsAcknowledgedArrivesThroughCrashes(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulation(t, seed)
				if seed%2 == 1 {
					s.world.opts = []Option{parkSoon} // from the first crash on
				}
				s.begin = s.crash
				for _, sub := range s.run(s.subscribers(seed, "t/#")) {
					for i := range 4 {
						exactly := min(sub.qos, mqtt.QoS(1+i/2)) == mqtt.ExactlyOnce
						checkHistory(t, sub.id, i, sub.got[i], s.messages, exactly)
					}
				}
			})
		})
	}
}

// crash has the broker killed, and stopped, again and again while the simulation runs.
func (s *simulation) crash() {
	rng := rand.New(rand.NewPCG(s.seed, 7))
	stop := make(chan struct{})
	var crashes sync.WaitGroup
	crashes.Go(func() {
		for range 12 {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rng.IntN(1500)) * time.Millisecond):
				if rng.IntN(4) == 0 {
					s.world.restart()
				} else {
					s.world.crash()
				}
			}
		}
	})
	s.end = func() { close(stop); crashes.Wait() }
}

// expectPublish reads the next PUBLISH.
func expectPublish(t *testing.T, p *peer) *mqtt.Publish {
	t.Helper()
	pk, err := p.receive()
	if err != nil {
		t.Fatal(err)
	}
	pub, ok := pk.(*mqtt.Publish)
	if !ok {
		t.Fatalf("got %T instead of PUBLISH", pk)
	}
	return pub
}

func publish(t *testing.T, w *world, id string, p *mqtt.Publish) {
	t.Helper()
	c, _ := w.connect(&mqtt.Connect{ClientID: id, CleanStart: true})
	if err := c.send(p); err != nil {
		t.Fatal(err)
	}
	if p.QoS > 0 {
		if _, err := c.receive(); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.send(&mqtt.Disconnect{})
}

func TestWillsRetainedAndDelayedMessagesSurviveACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		sub, _ := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600})
		sub.subscribe(t, "w/#", 1)
		willOf := func(id string, delay uint32) *mqtt.Connect {
			return &mqtt.Connect{ClientID: id, SessionExpirySeconds: 100, Will: &mqtt.Will{Topic: "w/" + id, Payload: []byte("gone"), QoS: 1, DelaySeconds: delay}}
		}
		w.connect(willOf("now", 0))
		w.connect(willOf("later", 20))
		publish(t, w, "p1", &mqtt.Publish{Topic: []byte("r/1"), Payload: []byte("kept"), QoS: 1, PacketID: 1, Retain: true})
		publish(t, w, "p2", &mqtt.Publish{Topic: []byte("$delayed/30/w/delayed"), Payload: []byte("due"), QoS: 1, PacketID: 1})
		w.crash()
		sub, ack := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600})
		if !ack.SessionPresent {
			t.Fatal("the session is gone")
		}
		start := time.Now()
		for _, want := range []struct {
			topic string
			after time.Duration
		}{{"w/now", 0}, {"w/later", 20 * time.Second}, {"w/delayed", 30 * time.Second}} {
			p := expectPublish(t, sub)
			if err := sub.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}}); err != nil {
				t.Fatal(err)
			}
			if after := time.Since(start); string(p.Topic) != want.topic || after < want.after-2*time.Second || after > want.after+2*time.Second {
				t.Errorf("got %s after %v, want %s after %v", p.Topic, after, want.topic, want.after)
			}
		}
		if err := sub.send(&mqtt.Subscribe{PacketID: 9, Filters: []mqtt.FilterOptions{{Filter: "r/#"}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := sub.receive(); err != nil {
			t.Fatal(err)
		}
		if p := expectPublish(t, sub); string(p.Topic) != "r/1" || string(p.Payload) != "kept" || !p.Retain {
			t.Errorf("retained: %+v", p)
		}
	})
}

func TestSessionsExpireOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		for _, c := range []struct {
			id     string
			expiry uint32
		}{{"short", 10}, {"long", 1000}} {
			p, _ := w.connect(&mqtt.Connect{ClientID: c.id, SessionExpirySeconds: c.expiry})
			p.subscribe(t, "t", 1)
			_ = p.send(&mqtt.Disconnect{})
		}
		pause(6 * time.Second)
		w.restart()
		pause(6 * time.Second)
		for id, present := range map[string]bool{"short": false, "long": true} {
			if _, ack := w.connect(&mqtt.Connect{ClientID: id, SessionExpirySeconds: 10}); ack.SessionPresent != present {
				t.Errorf("%s: session present %v", id, ack.SessionPresent)
			}
		}
	})
}

func TestADiscardedSessionStaysDiscardedOverACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		p, _ := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000})
		p.subscribe(t, "t", 1)
		_ = p.conn.Close()
		synctest.Wait()
		w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000, CleanStart: true})
		w.crash()
		publish(t, w, "pub", &mqtt.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, PacketID: 1})
		p, ack := w.connect(&mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000})
		if !ack.SessionPresent {
			t.Error("the new session is gone")
		}
		if err := p.send(&mqtt.Pingreq{}); err != nil {
			t.Fatal(err)
		}
		if pk, err := p.receive(); err != nil || pk.Type() != mqtt.PINGRESP {
			t.Errorf("got %v, %v: the old session's subscription came back", pk, err)
		}
	})
}

// TestWhereASubscriptionBeginsIsTheSameAfterACrash: a message that is committed between the making of a SUBSCRIBE's commit
// and that commit is not the client's, or it would take the identifier of another message.
func TestWhereASubscriptionBeginsIsTheSameAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		e, units := w.engine, 0
		var subscribing atomic.Bool
		e.before = func(storage.Unit) {
			if !subscribing.Load() {
				return
			}
			units++
			r := storage.Record{Message: &message.Message{Topic: "t", QoS: 2, Payload: []byte("between")}}
			if err := e.Engine.Submit(0, storage.Unit{Records: []storage.Record{r}}, func(message.Position, error) {}); err != nil {
				t.Error(err)
			}
		}
		sub, _ := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600})
		synctest.Wait()
		subscribing.Store(true)
		sub.subscribe(t, "t", 2)
		subscribing.Store(false)
		publish(t, w, "pub", &mqtt.Publish{Topic: []byte("t"), Payload: []byte("after"), QoS: 2, PacketID: 1})
		first := expectPublish(t, sub)
		w.crash()
		sub, _ = w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 600})
		if p := expectPublish(t, sub); units == 0 || string(p.Payload) != string(first.Payload) || p.PacketID != first.PacketID || !p.Dup {
			t.Errorf("got %s as %d, after the crash %s as %d", first.Payload, first.PacketID, p.Payload, p.PacketID)
		}
	})
}

func TestASleepingSessionIsParkedAndHoldsOnlyItsOwnMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts = []Option{parkSoon}
		w.restart()
		defer w.close()
		for _, id := range []string{"sleeper", "other"} {
			p, _ := w.connect(&mqtt.Connect{ClientID: id, SessionExpirySeconds: 1000})
			p.subscribe(t, "mine/+", 1)
			if id == "other" {
				p.subscribe(t, "busy/#", 1)
			}
			_ = p.conn.Close()
		}
		w.connect(&mqtt.Connect{ClientID: "other", SessionExpirySeconds: 1000}) // reads as it comes
		pub, _ := w.connect(&mqtt.Connect{ClientID: "pub"})
		for i := range 50 {
			topic := "busy/x"
			if i%10 == 0 {
				topic = "mine/x"
			}
			if err := pub.send(&mqtt.Publish{Topic: []byte(topic), Payload: number(0, i), QoS: 1, PacketID: uint16(i + 1)}); err != nil {
				t.Fatal(err)
			}
			if _, err := pub.receive(); err != nil {
				t.Fatal(err)
			}
		}
		pause(5 * time.Second)
		count := func(space []byte) (n int) {
			for range w.engine.Scan(t.Context(), space) {
				n++
			}
			return n
		}
		if n := count(state.Parked); n != 5 {
			t.Errorf("%d messages are parked, want the sleeper's 5", n)
		}
		if n := count(state.Bodies); n != 5 {
			t.Errorf("%d bodies are kept, want 5", n)
		}
		w.crash()
		p, _ := w.connect(&mqtt.Connect{ClientID: "sleeper", SessionExpirySeconds: 1000})
		for want := range 5 {
			got := expectPublish(t, p)
			if _, seq := numberOf(got.Payload); seq != want*10 {
				t.Errorf("got message %d, want %d", seq, want*10)
			}
			if err := p.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: got.PacketID}}); err != nil {
				t.Fatal(err)
			}
		}
		pause(time.Second)
		if n := count(state.Parked); n != 0 {
			t.Errorf("%d messages are still parked after all were acknowledged", n)
		}
	})
}

func TestParkedMessagesBeyondTheCapGoOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_max_messages=3")
		w.opts = []Option{parkSoon}
		w.restart()
		defer w.close()
		p, _ := w.connect(&mqtt.Connect{ClientID: "sleeper", SessionExpirySeconds: 1000})
		p.subscribe(t, "t", 1)
		_ = p.conn.Close()
		synctest.Wait()
		for i := range 10 {
			publish(t, w, "pub", &mqtt.Publish{Topic: []byte("t"), Payload: number(0, i), QoS: 1, PacketID: 1})
		}
		pause(5 * time.Second)
		if n := w.b.metrics.Dropped(message.DropQueueFull); n != 7 {
			t.Errorf("%d messages were dropped, want 7", n)
		}
		p, _ = w.connect(&mqtt.Connect{ClientID: "sleeper", SessionExpirySeconds: 1000})
		if _, seq := numberOf(expectPublish(t, p).Payload); seq != 7 {
			t.Errorf("the first that is left is %d, want 7", seq)
		}
	})
}
