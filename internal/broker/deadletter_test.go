package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

func TestDeadLettersGoWithoutAnybodyWhoAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, func(c *ConsumerConfig) { c.MaxDeliver, c.DeadLetterTopic = 1, "dead/c" })
		w.consume(t, "dead", latest, func(c *ConsumerConfig) { c.Filters = []string{"dead/#"} })
		tell(t, w, "a/", 0, 3*buryBatch)
		batch := w.take(t, "c", 3*buryBatch)
		if len(batch) != 3*buryBatch {
			t.Fatalf("%d were given out", len(batch))
		}
		pause(29 * time.Second)
		if i := w.info(t, "c"); i.InFlight != len(batch) || i.Counters.DeadLettered != 0 {
			t.Errorf("while they are leased: %+v", i)
		}
		w.ack(t, "c", batch[:1])
		pause(3 * time.Second)
		if i := w.info(t, "c"); i.InFlight != 0 || i.Counters.DeadLettered != uint64(len(batch)-1) || i.Counters.Delivered != uint64(len(batch)) {
			t.Errorf("a moment after: %+v", i)
		}
		if unknown, err := w.b.Acknowledge(context.Background(), "c", places(batch)); err != nil || len(unknown) != len(batch) {
			t.Errorf("an acknowledgement that is too late: %d unknown, %v", len(unknown), err)
		}
		dead := w.take(t, "dead", len(batch))
		if len(dead) != len(batch)-1 {
			t.Fatalf("%d dead letters", len(dead))
		}
		for i := range dead { // in order, each once
			if got, want := string(dead[i].Message.Payload), string(batch[i+1].Message.Payload); got != want {
				t.Fatalf("dead letter %d is %s, not %s", i, got, want)
			}
		}
	})
}

func TestADeadLetterGoesOnlyWhenItsLeaseIsOverAndAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, func(c *ConsumerConfig) { c.MaxDeliver, c.DeadLetterTopic = 1, "dead/c" })
		w.consume(t, "dead", latest, func(c *ConsumerConfig) { c.Filters = []string{"dead/#"} })
		tell(t, w, "a/", 0, 2)
		batch := w.take(t, "c", 2)
		if _, err := w.b.Reject(context.Background(), "c", places(batch[:1]), 50*time.Second); err != nil {
			t.Fatal(err)
		}
		w.crash()
		pause(32 * time.Second)
		if dead := w.take(t, "dead", 10); len(dead) != 1 || string(dead[0].Message.Payload) != string(batch[1].Message.Payload) {
			t.Errorf("after the lease: %q", texts(dead))
		}
		pause(20 * time.Second)
		if dead := w.take(t, "dead", 10); len(dead) != 1 || string(dead[0].Message.Payload) != string(batch[0].Message.Payload) {
			t.Errorf("after the delay: %q", texts(dead))
		}
	})
}

func TestWhatIsRefusedAsADeadLetterStaysAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, func(c *ConsumerConfig) { c.MaxDeliver, c.DeadLetterTopic = 1, "dead/c" })
		w.consume(t, "dead", latest, func(c *ConsumerConfig) { c.Filters = []string{"dead/#"} })
		tell(t, w, "a/", 0, 3)
		w.take(t, "c", 3)
		w.engine.refuse(storage.ErrFull)
		pause(35 * time.Second)
		if i := w.info(t, "c"); i.InFlight != 3 || i.Leased != 0 {
			t.Errorf("while the disk is full: %+v", i)
		}
		if batch := w.poll(t, "c", 10, 0); len(batch) > 0 {
			t.Errorf("given once too often: %q", texts(batch))
		}
		w.engine.refuse(nil)
		pause(buryRetry + 2*time.Second)
		if dead := w.take(t, "dead", 10); len(dead) != 3 || w.info(t, "c").InFlight != 0 {
			t.Errorf("then %q", texts(dead))
		}
	})
}

func TestAChangeOfMaxDeliverCountsForWhatIsGivenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		limit := func(n uint32) func(*ConsumerConfig) { return func(c *ConsumerConfig) { c.MaxDeliver = n } }
		w.consume(t, "c", latest, limit(1))
		tell(t, w, "a/", 0, 1)
		w.take(t, "c", 1)
		w.consume(t, "c", latest, limit(2))
		pause(32*time.Second + time.Second/2) // between two sweeps, which take the dead away
		if again := w.poll(t, "c", 1, 0); len(again) != 1 || again[0].Deliveries != 2 {
			t.Fatalf("with a higher limit: %+v", again)
		} else if _, err := w.b.Reject(context.Background(), "c", places(again), 0); err != nil {
			t.Fatal(err)
		}
		w.consume(t, "c", latest, limit(3)) // before anybody has taken it away
		if again := w.poll(t, "c", 1, 0); len(again) != 1 || again[0].Deliveries != 3 {
			t.Fatalf("with a still higher one: %+v", again)
		}
		w.consume(t, "c", latest, limit(1))
		pause(32 * time.Second)
		if i := w.info(t, "c"); i.InFlight != 0 || w.b.metrics.Dropped(message.DropMaxDeliver) != 1 {
			t.Errorf("with a lower one: %+v", i)
		}
	})
}

func TestADeadLetterLetsAnOrderedConsumerGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, func(c *ConsumerConfig) { c.MaxDeliver, c.Push = 1, &Push{URL: "http://127.0.0.1/", Concurrency: 1} })
		want := tell(t, w, "a/", 0, 2)
		w.poll(t, "c", 1, 0)
		begun := time.Now()
		if next := w.poll(t, "c", 1, time.Minute); !slices.Equal(texts(next), want[1:]) || time.Since(begun) > 32*time.Second {
			t.Errorf("after %v: %q", time.Since(begun), texts(next))
		}
	})
}

// ends waits until a consumer has ended, and returns how long that took.
func (w *world) ends(t *testing.T, name string, limit time.Duration) time.Duration {
	t.Helper()
	begun := time.Now()
	for time.Since(begun) < limit {
		if _, err := w.b.Consumer(context.Background(), name); errors.Is(err, ErrNoConsumer) {
			return time.Since(begun)
		}
		pause(time.Second)
	}
	t.Fatalf("%s is there after %v", name, limit)
	return 0
}

// TestIdleExpiryGoesOnOverRestarts crashes a broker more often than its consumer may be idle.
func TestIdleExpiryGoesOnOverRestarts(t *testing.T) {
	for _, idle := range []time.Duration{time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			w.consume(t, "c", latest, func(c *ConsumerConfig) { c.IdleExpiry = idle })
			begun := time.Now()
			const crashes = 4
			for range crashes {
				pause(idle / 5)
				w.crash()
			}
			w.ends(t, "c", 2*idle)
			// What the last commit of the clock missed, at most a minute, and the precision, for each restart.
			if took, most := time.Since(begun), idle+crashes*(usePrecision(idle)+markIdle)+2*time.Second; took < idle || took > most {
				t.Errorf("%v: it ended after %v, later than %v or too early", idle, took, most)
			}
		})
	}
}

func TestIdleExpiryCountsFromTheLastUseThatWasKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, func(c *ConsumerConfig) { c.IdleExpiry = time.Hour })
		pause(50 * time.Minute)
		w.poll(t, "c", 1, 0)
		pause(5 * time.Second)
		w.crash()
		if took := w.ends(t, "c", 3*time.Hour); took < 59*time.Minute+50*time.Second || took > time.Hour+3*time.Minute {
			t.Errorf("used 5 s before a crash, it ended %v after it", took)
		}
	})
}

func TestWhileTheBrokerIsDownAConsumerIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := new(setClock)
		w := newWorld(t).with(wall.option())
		defer w.close()
		w.consume(t, "c", latest, func(c *ConsumerConfig) { c.IdleExpiry = time.Hour })
		pause(30 * time.Minute)
		w.down = func() { wall.set(5 * time.Hour) }
		w.restart()
		w.down = nil
		if took := w.ends(t, "c", 3*time.Hour); took < 29*time.Minute || took > 33*time.Minute {
			t.Errorf("half an hour before, it ended after %v", took)
		}
	})
}

func TestAConsumerThatIsChangedIsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		for i, first := range []time.Duration{0, 2 * time.Hour} {
			name := fmt.Sprint("c", i)
			w.consume(t, name, latest, func(c *ConsumerConfig) { c.IdleExpiry = first })
			pause(90 * time.Minute)
			w.consume(t, name, latest, func(c *ConsumerConfig) { c.IdleExpiry = time.Hour })
			if took := w.ends(t, name, 2*time.Hour); took < time.Hour || took > time.Hour+3*time.Second {
				t.Errorf("%s ended %v after it was changed", name, took)
			}
		}
	})
}
