package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

var latest = stream.Offset{Latest: true}

// consume makes a consumer of a/# with changes.
func (w *world) consume(t *testing.T, name string, start stream.Offset, change func(*ConsumerConfig)) {
	t.Helper()
	c := ConsumerConfig{Filters: []string{"a/#"}, AckWait: 30 * time.Second}
	if change != nil {
		change(&c)
	}
	if _, err := w.b.PutConsumer(context.Background(), name, c, start); err != nil {
		t.Fatal(err)
	}
}

// poll takes what there is now.
func (w *world) poll(t *testing.T, name string, max int, wait time.Duration) []Leased {
	t.Helper()
	batch, err := w.b.Poll(context.Background(), name, max, 1<<20, wait)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// take polls until it has n messages, or nothing comes: an answer has what there is, not all that there will be.
func (w *world) take(t *testing.T, name string, n int) (all []Leased) {
	t.Helper()
	for len(all) < n {
		batch := w.poll(t, name, n-len(all), 0)
		if len(batch) == 0 {
			break
		}
		all = append(all, batch...)
	}
	return all
}

func (w *world) ack(t *testing.T, name string, batch []Leased) {
	t.Helper()
	unknown, err := w.b.Acknowledge(context.Background(), name, places(batch))
	if err != nil || len(unknown) > 0 {
		t.Fatal(unknown, err)
	}
}

func places(batch []Leased) (all []message.Position) {
	for _, l := range batch {
		all = append(all, l.Position)
	}
	return all
}

// texts are topics, payloads and deliveries.
func texts(batch []Leased) (all []string) {
	for _, l := range batch {
		all = append(all, fmt.Sprintf("%s %s", l.Message.Topic, l.Message.Payload))
	}
	return all
}

func (w *world) info(t *testing.T, name string) ConsumerInfo {
	t.Helper()
	i, err := w.b.Consumer(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAConsumerGetsEveryQoSInOrderAndNothingTwiceOverCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		tell(t, w, "a/", 0, 3) // before it was made
		w.consume(t, "c", latest, nil)
		want := tell(t, w, "a/", 3, 9)
		tell(t, w, "b/", 0, 3)
		w.crash()
		first := w.take(t, "c", 4)
		if got := texts(first); !slices.Equal(got, want[:4]) {
			t.Fatalf("got %q, not %q", got, want[:4])
		}
		w.ack(t, "c", first[:3])
		w.crash()
		rest := w.take(t, "c", 100)
		if got := texts(rest); !slices.Equal(got, want[4:]) {
			t.Fatalf("after the crash got %q, not %q", got, want[4:])
		}
		i := w.info(t, "c")
		if i.InFlight != 6 || i.Leased != 6 || i.Lag != 0 {
			t.Errorf("in flight: %+v", i)
		}
		pause(31 * time.Second)
		w.ack(t, "c", rest[1:]) // late, and good
		again := w.take(t, "c", 100)
		if got := texts(again); !slices.Equal(got, want[3:5]) || again[0].Deliveries != 2 || again[1].Deliveries != 2 {
			t.Fatalf("got %q again, not %q: %v", got, want[3:5], again)
		}
		w.ack(t, "c", again)
		w.crash()
		pause(time.Minute)
		if left := w.poll(t, "c", 100, time.Second); len(left) > 0 {
			t.Errorf("acknowledged, and here again: %q", texts(left))
		}
		if i := w.info(t, "c"); i.InFlight != 0 || i.Lag != 0 || !i.LagExact {
			t.Errorf("at the end %+v", i)
		}
	})
}

func TestARequestThatWaitsIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, nil)
		begun := time.Now()
		if got := w.poll(t, "c", 10, 20*time.Second); len(got) > 0 || time.Since(begun) != 20*time.Second {
			t.Errorf("got %q after %v", texts(got), time.Since(begun))
		}
		answered := make(chan []Leased)
		go func() { answered <- w.poll(t, "c", 10, 20*time.Second) }()
		pause(7 * time.Second)
		tell(t, w, "a/", 0, 1)
		begun = time.Now()
		if got := <-answered; len(got) != 1 || time.Since(begun) > time.Second {
			t.Errorf("got %q after %v", texts(got), time.Since(begun))
		}
	})
}

func TestAConsumerWithABacklogGivesItWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_memory_messages=10")
		defer w.close()
		w.consume(t, "c", latest, nil)
		want := tell(t, w, "a/", 0, 99)
		if i := w.info(t, "c"); i.Lag != 99 || !i.LagExact {
			t.Errorf("the lag is %d", i.Lag)
		}
		var got []string
		for len(got) < len(want) {
			batch := w.poll(t, "c", 7, 0)
			if len(batch) == 0 {
				t.Fatalf("nothing after %d", len(got))
			}
			got = append(got, texts(batch)...)
			w.ack(t, "c", batch)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		pause(time.Minute) // nobody asks any more
		more := tell(t, w, "a/", 99, 30)
		g := w.b.consumers.get("c").group
		g.mu.Lock()
		queued := len(g.queue)
		g.mu.Unlock()
		if queued > 0 {
			t.Errorf("%d messages are in memory for nobody", queued)
		}
		if batch := w.poll(t, "c", 100, 0); !slices.Equal(texts(batch), more[:len(batch)]) || len(batch) == 0 {
			t.Errorf("got %q", texts(batch))
		}
	})
}

func TestALeaseOfWhoIsGoneComesBackUncounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, nil)
		ctx, cancel := context.WithCancel(context.Background())
		failed := make(chan error)
		go func() {
			_, err := w.b.Poll(ctx, "c", 10, 1<<20, time.Minute)
			failed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("the request ended with %v", err)
		}
		tell(t, w, "a/", 0, 2)
		batch := w.take(t, "c", 10)
		w.b.ReturnLeased("c", batch) // the answer was not written
		if again := w.take(t, "c", 10); len(again) != 2 || again[0].Deliveries != 1 {
			t.Errorf("again: %+v", again)
		}
		// A commit that takes longer than whoever asks has.
		pause(31 * time.Second)
		w.engine.hold()
		ctx, cancel = context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := w.b.Poll(ctx, "c", 10, 1<<20, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an answer before its commit: %v", err)
		}
		w.engine.let()
		if again := w.take(t, "c", 10); len(again) != 2 || again[0].Deliveries != 2 {
			t.Errorf("again: %+v", again)
		}
	})
}

func TestWhatIsGivenBackComesAfterItsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, nil)
		tell(t, w, "a/", 0, 3)
		batch := w.take(t, "c", 10)
		ctx := context.Background()
		if _, err := w.b.Reject(ctx, "c", places(batch[:1]), 50*time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := w.b.Reject(ctx, "c", places(batch[1:2]), 0); err != nil {
			t.Fatal(err)
		}
		if now := w.poll(t, "c", 10, 0); len(now) != 1 || now[0].Position != batch[1].Position || now[0].Deliveries != 2 {
			t.Errorf("at once: %+v", now)
		}
		w.ack(t, "c", batch[1:])
		w.crash() // which the delay outlives
		begun := time.Now()
		late := w.poll(t, "c", 10, time.Minute)
		if took := time.Since(begun); len(late) != 1 || took < 40*time.Second || took > 51*time.Second {
			t.Errorf("%v later: %+v", took, late)
		}
	})
}

func TestPastMaxDeliverAMessageGoesToItsTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, func(c *ConsumerConfig) { c.MaxDeliver, c.DeadLetterTopic = 2, "dead/c" })
		w.consume(t, "d", latest, func(c *ConsumerConfig) { c.MaxDeliver = 1 })
		w.consume(t, "dead", latest, func(c *ConsumerConfig) { c.Filters = []string{"dead/#"} })
		tell(t, w, "a/", 0, 1)
		for range 2 {
			if batch := w.poll(t, "c", 10, 0); len(batch) != 1 {
				t.Fatalf("got %+v", batch)
			}
			w.crash()
			pause(31 * time.Second)
		}
		if batch := w.poll(t, "c", 10, 0); len(batch) > 0 {
			t.Errorf("a third time: %+v", batch)
		}
		dead := w.poll(t, "dead", 10, time.Second)
		if len(dead) != 1 || dead[0].Message.Topic != "dead/c" || string(dead[0].Message.Payload) != "0" {
			t.Fatalf("dead: %+v", dead)
		}
		p, _ := mqtt.DecodeForward(dead[0].Message.Properties)
		var user []string
		for k, v := range p.User.All() {
			user = append(user, k+"="+v)
		}
		if s := strings.Join(user, " "); !strings.Contains(s, "dead-letter-topic=a/0") || !strings.Contains(s, "dead-letter-deliveries=2") || !strings.Contains(s, "dead-letter-consumer=c") {
			t.Errorf("its user properties are %s", s)
		}
		w.poll(t, "d", 10, 0)
		pause(31 * time.Second)
		if batch := w.poll(t, "d", 10, 0); len(batch) > 0 || w.b.metrics.Dropped(message.DropMaxDeliver) != 1 {
			t.Errorf("without a topic: %+v, dropped %d", batch, w.b.metrics.Dropped(message.DropMaxDeliver))
		}
		if told := w.b.Trace().Events(trace.Query{ClientID: "consumer d", Reason: message.DropMaxDeliver.String()}); len(told) != 1 || told[0].Message.Topic == "" {
			t.Errorf("the drop is remembered as %+v", told)
		}
		for _, name := range []string{"c", "d"} {
			if i := w.info(t, name); i.InFlight != 0 {
				t.Errorf("%s: %+v", name, i)
			}
		}
	})
}

func TestAConsumerBeginsWhereItIsTold(t *testing.T) {
	for _, streams := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			ctx := context.Background()
			keep := ConsumerConfig{Filters: []string{"a/#"}, AckWait: time.Minute} // so that the log has it
			if _, err := w.b.PutConsumer(ctx, "keep", keep, latest); err != nil {
				t.Fatal(err)
			}
			if streams {
				if err := w.b.PutStream(ctx, "s", stream.Config{Filters: []string{"a/#"}}); err != nil {
					t.Fatal(err)
				}
			}
			old := tell(t, w, "a/", 0, 6)
			if streams {
				flushAll(w)
			}
			pause(time.Minute)
			half, at := time.Now(), w.b.logEnd()
			old = append(old, tell(t, w, "a/", 6, 6)...)
			for i, c := range []struct {
				start stream.Offset
				want  []string
			}{{stream.Offset{}, old}, {stream.Offset{Since: half}, old[6:]}, {stream.Offset{Position: at}, old[6:]}, {latest, nil}} {
				w.consume(t, fmt.Sprint("c", i), c.start, nil)
				if i == 0 {
					w.crash() // in the midst of history
				}
				var got []string
				for range 20 {
					batch := w.poll(t, fmt.Sprint("c", i), 5, 0)
					w.ack(t, fmt.Sprint("c", i), batch)
					got = append(got, texts(batch)...)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("streams %v, start %+v: %q, not %q", streams, c.start, got, c.want)
				}
			}
			live := tell(t, w, "a/", 12, 3)
			if got := texts(w.take(t, "c0", 10)); !slices.Equal(got, live) {
				t.Errorf("then %q, not %q", got, live)
			}
		})
	}
}

func TestAConsumerThatIsChangedGoesOnAndOneThatIsDeletedIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ctx := context.Background()
		w.consume(t, "c", latest, nil)
		want := tell(t, w, "a/", 0, 6)
		first := w.take(t, "c", 2)
		w.consume(t, "c", stream.Offset{}, func(c *ConsumerConfig) { c.AckWait, c.Filters = time.Hour, []string{"a/#", "b/#"} })
		w.crash()
		want = append(want, tell(t, w, "b/", 0, 3)...)
		if got := texts(w.take(t, "c", 100)); !slices.Equal(got, want[2:]) {
			t.Errorf("it goes on with %q, not %q", got, want[2:])
		}
		if i := w.info(t, "c"); i.Config.AckWait != time.Hour {
			t.Errorf("it is %+v", i)
		}
		waiting := make(chan error)
		go func() {
			_, err := w.b.Poll(ctx, "c", 10, 1<<20, time.Hour)
			waiting <- err
		}()
		synctest.Wait()
		for range 2 {
			if err := w.b.DeleteConsumer(ctx, "c"); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-waiting; !errors.Is(err, ErrNoConsumer) {
			t.Errorf("who waited was told %v", err)
		}
		if _, err := w.b.Acknowledge(ctx, "c", places(first)); !errors.Is(err, ErrNoConsumer) {
			t.Errorf("acknowledged: %v", err)
		}
		w.consume(t, "c", latest, nil)
		w.crash()
		pause(2 * time.Hour)
		if got := w.poll(t, "c", 100, time.Second); len(got) > 0 {
			t.Errorf("the new one has %q of the old", texts(got))
		}
		if _, err := w.b.Consumer(ctx, "d"); !errors.Is(err, ErrNoConsumer) {
			t.Errorf("d: %v", err)
		}
	})
}

// leaving is the context of a request whose client goes away as soon as something waits for it.
type leaving struct {
	context.Context
	cancel context.CancelFunc
}

func (l leaving) Done() <-chan struct{} {
	l.cancel()
	return l.Context.Done()
}

func leave() leaving {
	ctx, cancel := context.WithCancel(context.Background())
	return leaving{ctx, cancel}
}

// Whoever asked may be gone before a consumer is kept, changed or forgotten: it is the same in memory and on disk.
func TestARequestWhoseSenderLeavesIsDoneWholeOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		same := func(what string, err error, done func() bool) {
			t.Helper()
			before := done()
			w.crash()
			if after := done(); before != after || before != (err == nil) {
				t.Errorf("%s: %v; it is so: %v, after a crash %v", what, err, before, after)
			}
		}
		for range 20 { // what comes first is not always the same
			w.changeAndLeave(t, same)
		}
	})
}

func (w *world) changeAndLeave(t *testing.T, same func(what string, err error, done func() bool)) {
	c := ConsumerConfig{Filters: []string{"a/#"}, AckWait: 30 * time.Second}
	_, err := w.b.PutConsumer(leave(), "c", c, latest)
	same("made", err, func() bool { return w.b.consumers.get("c") != nil })
	w.consume(t, "c", latest, nil)
	c.MaxDeliver = 7
	_, err = w.b.PutConsumer(leave(), "c", c, latest)
	same("changed", err, func() bool { return w.info(t, "c").Config.MaxDeliver == 7 })
	err = w.b.DeleteConsumer(leave(), "c")
	same("deleted", err, func() bool { return w.b.consumers.get("c") == nil })
	err = w.b.PutStream(leave(), "s", stream.Config{Filters: []string{"a/#"}})
	same("declared", err, func() bool { return w.b.streams.Get("s") != nil })
	err = w.b.DeleteStream(leave(), "s")
	same("ended", err, func() bool { return w.b.streams.Get("s") == nil })
}

func TestAConsumerThatNobodyUsesEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, func(c *ConsumerConfig) { c.IdleExpiry = time.Minute })
		pause(50 * time.Second)
		w.poll(t, "c", 1, 0)
		pause(50 * time.Second)
		w.info(t, "c")
		pause(15 * time.Second)
		if _, err := w.b.Consumer(context.Background(), "c"); !errors.Is(err, ErrNoConsumer) {
			t.Errorf("it is there: %v", err)
		}
		w.crash()
		if all := w.b.Consumers(context.Background()); len(all) != 0 {
			t.Errorf("after the crash: %+v", all)
		}
	})
}

func TestConsumersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "consumers.max=1", "consumers.max_waiting=1", "consumers.max_in_flight=3")
		defer w.close()
		ctx := context.Background()
		w.consume(t, "c", latest, nil)
		if _, err := w.b.PutConsumer(ctx, "d", ConsumerConfig{Filters: []string{"a"}}, latest); !errors.Is(err, ErrTooManyConsumers) {
			t.Errorf("a second: %v", err)
		}
		go func() { _, _ = w.b.Poll(ctx, "c", 10, 1<<20, 5*time.Second) }()
		synctest.Wait()
		if _, err := w.b.Poll(ctx, "c", 10, 1<<20, time.Minute); !errors.Is(err, ErrTooManyWaiting) {
			t.Errorf("a second that waits: %v", err)
		}
		pause(6 * time.Second)
		want := tell(t, w, "a/", 0, 5)
		batch := w.take(t, "c", 10)
		if len(batch) != 3 {
			t.Errorf("%d in flight", len(batch))
		}
		if more := w.poll(t, "c", 10, time.Second); len(more) != 0 {
			t.Errorf("and %d more", len(more))
		}
		w.ack(t, "c", batch[:1])
		if more := w.poll(t, "c", 10, 0); !slices.Equal(texts(more), want[3:4]) {
			t.Errorf("then %q", texts(more))
		}
		for _, l := range []metrics.Limit{metrics.LimitConsumers, metrics.LimitConsumerWaiting, metrics.LimitConsumerInFlight} {
			if w.b.metrics.Hits(l) == 0 {
				t.Errorf("%v was not counted", l)
			}
		}
	})
}

func TestAConsumerThatPushesInOrderGivesOneMessageAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, func(c *ConsumerConfig) { c.Push = &Push{URL: "http://127.0.0.1/", Concurrency: 1} })
		want := tell(t, w, "a/", 0, 3)
		var got []string
		for i := range 3 {
			one := w.poll(t, "c", 10, 0)
			if len(one) != 1 {
				t.Fatalf("got %q", texts(one))
			}
			if i == 1 {
				if _, err := w.b.Reject(context.Background(), "c", places(one), 10*time.Second); err != nil {
					t.Fatal(err)
				}
				if early := w.poll(t, "c", 10, 9*time.Second); len(early) > 0 {
					t.Errorf("past the one that failed: %q", texts(early))
				}
				one = w.poll(t, "c", 10, 5*time.Second)
			}
			got = append(got, texts(one)...)
			w.ack(t, "c", one)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestSeveralRequestsShareAConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, nil)
		const workers, each = 4, 60
		shares := make(chan []string, workers)
		ctx, cancel := context.WithCancel(context.Background())
		for range workers {
			go func() {
				var mine []string
				for {
					batch, err := w.b.Poll(ctx, "c", 2, 1<<20, time.Minute)
					if err != nil {
						shares <- mine
						return
					}
					mine = append(mine, texts(batch)...)
					if _, err := w.b.Acknowledge(ctx, "c", places(batch)); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		want := tell(t, w, "a/", 0, each)
		pause(2 * time.Second)
		cancel()
		var got []string
		for range workers {
			mine := <-shares
			if len(mine) == 0 {
				t.Error("one got nothing")
			}
			got = append(got, mine...)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%d messages, not %d", len(got), len(want))
		}
	})
}

// TestAConsumerLosesNothingThroughCrashes takes, acknowledges, gives back and forgets at random, and crashes in between.
func TestAConsumerLosesNothingThroughCrashes(t *testing.T) {
	for seed := range seeds(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { consumeThroughCrashes(t, seed) })
		})
	}
}

func consumeThroughCrashes(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(t, "session.queue_memory_messages=20", "consumers.max_in_flight=50")
	defer w.close()
	if seed%2 == 1 {
		w.opts = []Option{parkSoon}
	}
	w.consume(t, "c", latest, func(c *ConsumerConfig) { c.AckWait = 10 * time.Second })
	ctx := context.Background()
	published, acked, deliveries := map[string]bool{}, map[string]bool{}, map[string]uint32{}
	answer := func(batch []Leased) {
		for _, l := range batch {
			text := string(l.Message.Payload)
			switch {
			case acked[text]:
				t.Errorf("%s was acknowledged, and came again", text)
			case l.Deliveries <= deliveries[text]:
				t.Errorf("%s says %d deliveries after %d", text, l.Deliveries, deliveries[text])
			}
			deliveries[text] = l.Deliveries
			switch random.IntN(5) {
			case 0: // forgotten
			case 1:
				if _, err := w.b.Reject(ctx, "c", places([]Leased{l}), time.Duration(random.IntN(5))*time.Second); err != nil {
					t.Fatal(err)
				}
			default:
				w.ack(t, "c", []Leased{l})
				acked[text] = true
			}
		}
	}
	for step := range 400 {
		switch n := random.IntN(20); {
		case n < 8:
			all := make([]Outgoing, random.IntN(8))
			for i := range all {
				all[i] = Outgoing{Topic: "a/1", Payload: []byte(fmt.Sprint(step, "-", i)), QoS: mqtt.QoS(random.IntN(3))}
			}
			for i, r := range w.b.InjectAll(ctx, all) {
				if r.Err != nil || r.Code.Failed() {
					t.Fatal(r)
				}
				published[string(all[i].Payload)] = all[i].QoS > 0 || published[string(all[i].Payload)]
			}
		case n < 16:
			answer(w.poll(t, "c", 1+random.IntN(20), 0))
		case n < 19:
			pause(time.Duration(random.IntN(8000)) * time.Millisecond)
		default:
			w.crash()
		}
	}
	for range 400 {
		batch := w.poll(t, "c", 50, 15*time.Second)
		if len(batch) == 0 {
			break
		}
		answer(batch)
	}
	for text, durable := range published {
		if durable && !acked[text] {
			t.Errorf("%s is lost", text)
		}
	}
	if i := w.info(t, "c"); i.InFlight != 0 {
		t.Errorf("left: %+v", i)
	}
}
