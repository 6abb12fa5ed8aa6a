package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
)

// shown are the messages of a stream's history.
func (w *world) shown(t *testing.T, q stream.Query) (all []string) {
	t.Helper()
	q.Limit = 1000
	p, err := w.b.History(context.Background(), q)
	if err != nil || !p.Complete {
		t.Fatalf("history: %v %v", p, err)
	}
	for _, r := range p.Records {
		all = append(all, r.Message.Topic+" "+string(r.Message.Payload))
	}
	return all
}

func TestAStreamThatIsDeclaredLiveOutlivesCrashesAndOneThatIsTakenAwayDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ctx := context.Background()
		for _, name := range []string{"live", "gone"} {
			if err := w.b.PutStream(ctx, name, stream.Config{Filters: []string{"a/#"}, Keep: time.Hour, KeepBytes: 1 << 20}); err != nil {
				t.Fatal(err)
			}
		}
		want := tell(t, w, "a/", 0, 9)
		flushAll(w)
		if err := w.b.DeleteStream(ctx, "gone"); err != nil {
			t.Fatal(err)
		}
		w.crash()
		want = append(want, tell(t, w, "a/", 9, 9)...)
		if got := w.shown(t, stream.Query{Stream: "live"}); !slices.Equal(got, want) {
			t.Errorf("after the crash it has %q, not %q", got, want)
		}
		all := w.b.Streams()
		if len(all) != 1 || all[0].Name != "live" || all[0].Config.Keep != time.Hour || all[0].Config.KeepBytes != 1<<20 || all[0].Configured {
			t.Errorf("after the crash there is %+v", all)
		}
		// A queue of one that is declared again does not go on where the old one's stood.
		r := w.consumer(t, "$queue/live", &mqtt.Connect{ClientID: "r", CleanStart: true})
		if got := r.collect(); len(got) != len(want) {
			t.Errorf("the queue gave %q", got)
		}
		r.away()
		if err := w.b.DeleteStream(ctx, "live"); err != nil {
			t.Fatal(err)
		}
		if err := w.b.PutStream(ctx, "live", stream.Config{Filters: []string{"a/#"}}); err != nil {
			t.Fatal(err)
		}
		want = tell(t, w, "a/", 20, 3)
		w.crash()
		r = w.consumer(t, "$queue/live", &mqtt.Connect{ClientID: "r", CleanStart: true})
		got := r.collect()
		slices.SortFunc(got, byNumber)
		if !slices.Equal(got, want) {
			t.Errorf("the new queue gave %q, not %q", got, want)
		}
	})
}

func TestAStreamIsTakenOverByTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ctx := context.Background()
		if err := w.b.PutStream(ctx, "s", stream.Config{Filters: []string{"a/#"}}); err != nil {
			t.Fatal(err)
		}
		want := tell(t, w, "a/", 0, 3)
		w.sets = append(w.sets, "streams.s.filters=a/#")
		w.crash()
		if got := w.shown(t, stream.Query{Stream: "s"}); !slices.Equal(got, want) {
			t.Errorf("it has %q, not %q", got, want)
		}
		if err := w.b.PutStream(ctx, "s", stream.Config{Filters: []string{"b"}}); !errors.Is(err, ErrStreamConfigured) {
			t.Errorf("changed: %v", err)
		}
		w.sets = nil
		w.crash()
		if all := w.b.Streams(); len(all) != 0 {
			t.Errorf("taken out of the configuration it is there: %+v", all)
		}
	})
}

// TestManyInjectedMessagesHaveFewCommits counts the commits on a disk that takes its time.
func TestManyInjectedMessagesHaveFewCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		w.engine.hold()
		all := make([]Outgoing, 1000)
		for i := range all {
			all[i] = Outgoing{Topic: "a/1", Payload: []byte(fmt.Sprint(i)), QoS: 1}
		}
		answered := make(chan []Injected, 1)
		go func() { answered <- w.b.InjectAll(context.Background(), all) }()
		synctest.Wait() // all are handed over, though nothing is committed
		first := w.b.logEnd()
		w.engine.let()
		for i, r := range <-answered {
			if r.Code != mqtt.Success || r.Err != nil {
				t.Fatalf("message %d: %v %v", i, r.Code, r.Err)
			}
		}
		if blocks := w.b.logEnd().Block - first.Block; blocks > 20 {
			t.Errorf("%d commits", blocks)
		}
		for i, got := range w.shown(t, stream.Query{Stream: "s"}) {
			if want := fmt.Sprint("a/1 ", i); got != want {
				t.Fatalf("%q is at the place of %q", got, want)
			}
		}
	})
}

func TestInjectedMessagesThatAreRefusedSayWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		w.engine.refuse(storage.ErrFull)
		results := w.b.InjectAll(context.Background(), []Outgoing{{Topic: "a/1", QoS: 1}, {Topic: "nobody"}})
		if results[0].Code != mqtt.QuotaExceeded || results[1].Code != mqtt.NoMatchingSubscribers {
			t.Errorf("answered %+v", results)
		}
	})
}
