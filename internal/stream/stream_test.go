package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/mqtt"
)

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func small(o *Options) { o.ChunkBytes, o.HoldBytes = 400, 1 }

func TestAStreamHasEveryMessageOfEveryQoSInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, map[string]Config{"s": {Filters: []string{"a/#", "a/b"}}}, small)
		defer r.close()
		var want, sub []string
		for i := range 60 {
			topic := fmt.Sprint("a/", i%3)
			p := r.publish(topic, mqtt.QoS(i%3))
			want = append(want, p)
			if i%3 == 1 {
				sub = append(sub, p)
			}
			r.publish("other", mqtt.QoS(i%3))
		}
		r.check("stream", Query{Stream: "s"}, want, true)
		r.check("a filter of the stream", Query{Stream: "s", Filters: []string{"a/1"}}, sub, true)
		r.check("a filter that the stream has all of", Query{Filters: []string{"a/1"}}, sub, true)
		r.check("pages of one", Query{Stream: "s", Limit: 1}, want, true)
		r.check("pages of few bytes", Query{Stream: "s", MaxBytes: 25}, want, true)
		if p := r.page(Query{Stream: "s", MaxBytes: 25}); len(p.Records) != 2 {
			t.Errorf("%d messages of 9 bytes in 25", len(p.Records))
		}
		r.check("outside of streams", Query{Filters: []string{"other"}}, nil, false)
		if n := r.streams.Get("s").Info().Messages; n < 50 {
			t.Errorf("the store has %d messages, so most of this read the log", n)
		}
		if _, err := r.streams.History(context.Background(), Query{Stream: "none"}); !errors.Is(err, ErrUnknown) {
			t.Errorf("an unknown stream: %v", err)
		}
	})
}

// The store, the log, crashes, trims and pages of all sizes against a list of what was published.
func TestNothingIsMissedOrDoubledOverCrashes(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				declared := map[string]Config{"s": {Filters: []string{"a/+"}}, "idle": {Filters: []string{"never"}}, "last": {Filters: []string{"a/#"}, LastValue: true}}
				r := newRig(t, declared, func(o *Options) { o.ChunkBytes, o.HoldBytes = 600, 1+int64(seed)*500 })
				var want []string
				last := map[string]string{}
				for range 400 {
					switch rng.IntN(20) {
					case 0:
						synctest.Wait() // what is not committed is nobody's
						r.crash(declared)
					case 1:
						r.trim()
					case 2:
						r.sweep()
					case 3:
						synctest.Wait()
					case 4:
						synctest.Wait()
						limit := 1 + rng.IntN(50)
						r.check("on the way", Query{Stream: "s", Limit: limit}, want, true)
					case 5:
						r.engine.fails.Store(true)
						r.sweep()
						r.engine.fails.Store(false)
					default:
						topic := fmt.Sprint("a/", rng.IntN(5))
						p := r.send(topic, mqtt.QoS(rng.IntN(3)), rng.IntN(300))
						want, last[topic] = append(want, p), p
						if rng.IntN(3) > 0 {
							synctest.Wait()
						}
					}
					if rng.IntN(4) == 0 {
						synctest.Wait()
					}
				}
				synctest.Wait()
				r.check("in the end", Query{Stream: "s"}, want, true)
				var values []string
				for _, v := range last {
					values = append(values, v)
				}
				slices.Sort(values)
				r.check("last values", Query{Stream: "last", Limit: 3}, values, true)
				r.close()
			})
		})
	}
}

func TestAnIdleStreamDoesNotHoldTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, map[string]Config{"idle": {Filters: []string{"rare"}}, "busy": {Filters: []string{"b/#"}}}, func(o *Options) { o.ChunkBytes, o.HoldBytes = 4000, 10_000 })
		defer r.close()
		rare := r.publish("rare", 0)
		var want []string
		for range 200 {
			want = append(want, r.send("b/x", 0, 500))
			r.sweep()
			r.trim()
		}
		if size := r.engine.Health().LogBytes; size > 30_000 {
			t.Errorf("the log holds %d bytes", size)
		}
		r.check("idle", Query{Stream: "idle"}, []string{rare}, true)
		r.check("busy", Query{Stream: "busy"}, want, true)
	})
}

func TestSmallChunksGrowTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, map[string]Config{"s": {Filters: []string{"t"}}}, func(o *Options) { o.ChunkBytes = 2000 })
		defer r.close()
		var want []string
		for range 100 {
			want = append(want, r.publish("t", 1))
			r.flush("s")
		}
		if n := len(r.streams.Get("s").chunks); n > 10 {
			t.Errorf("%d chunks", n)
		}
		r.crash(map[string]Config{"s": {Filters: []string{"t"}}})
		r.check("after a crash", Query{Stream: "s"}, want, true)
	})
}

func TestAMessageLargerThanAPartComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		declared := map[string]Config{"s": {Filters: []string{"t"}}, "v": {Filters: []string{"t"}, LastValue: true}}
		r := newRig(t, declared)
		defer r.close()
		want := []string{r.send("t", 0, 3*partBytes/2), r.send("t", 0, 2*partBytes), r.send("t", 0, 10)}
		synctest.Wait()
		r.flush("s")
		r.trim()
		r.crash(declared)
		r.check("large messages", Query{Stream: "s"}, want, true)
		if p := r.page(Query{Stream: "s", Limit: 2}); len(p.Records[1].Message.Payload) != 2*partBytes+6 {
			t.Errorf("the second has %d bytes", len(p.Records[1].Message.Payload))
		}
	})
}

func TestRetentionBySize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, map[string]Config{"s": {Filters: []string{"t"}, KeepBytes: 40_000}, "v": {Filters: []string{"v/#"}, KeepBytes: 2000, LastValue: true}})
		defer r.close()
		var want, values []string
		for i := range 1000 {
			want = append(want, r.send("t", 1, 100))
			values = append(values, r.send(fmt.Sprint("v/", i), 1, 100))
			if i%10 == 0 {
				r.sweep()
			}
		}
		synctest.Wait()
		r.sweep()
		for name, all := range map[string][]string{"s": want, "v": values} {
			info := r.streams.Get(name).Info()
			if keep := r.streams.Get(name).Config().KeepBytes; info.Bytes > keep || info.Bytes < keep/2 {
				t.Errorf("%s keeps %d bytes", name, info.Bytes)
			}
			got, complete := r.all(Query{Stream: name})
			if n := len(got); n == 0 || n == 1000 || !slices.Equal(got, all[1000-n:]) || !complete {
				t.Errorf("%s: got %d messages, complete %v", name, n, complete)
			}
			if p := r.page(Query{Stream: name, From: message.Position{Block: 1}}); p.Complete {
				t.Errorf("%s: what was let go of is said to be complete", name)
			}
		}
	})
}

func TestRetentionByAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, map[string]Config{"s": {Filters: []string{"t"}, Keep: time.Minute}, "v": {Filters: []string{"v/#"}, Keep: time.Minute, LastValue: true}})
		defer r.close()
		begun := time.Now()
		r.publish("t", 0)
		r.publish("v/old", 0)
		r.sweep()
		r.flush("s")
		<-time.After(50 * time.Second)
		young := r.publish("t", 0)
		value := r.publish("v/new", 0)
		r.check("none too old", Query{Stream: "s", Since: begun.Add(time.Second)}, []string{young}, true)
		<-time.After(15 * time.Second)
		r.check("one too old, still stored", Query{Stream: "s"}, []string{young}, true)
		r.sweep()
		r.check("one too old", Query{Stream: "v"}, []string{value}, true)
		if n := r.streams.Get("v").Info().Messages; n != 1 {
			t.Errorf("%d values are stored", n)
		}
		if _, complete := r.all(Query{Stream: "s", Since: begun}); complete {
			t.Error("complete since before what is kept")
		}
		<-time.After(2 * time.Minute)
		r.flush("s")
		r.sweep()
		<-time.After(2 * time.Minute)
		r.sweep()
		r.check("all too old", Query{Stream: "s"}, nil, true)
		if info := r.streams.Get("s").Info(); info.Messages != 0 || info.Bytes != 0 {
			t.Errorf("%+v is stored", info)
		}
		for kv := range r.engine.Scan(context.Background(), state.Chunks("s")) {
			t.Errorf("%q is left", kv.Key)
		}
	})
}

func TestExpiredMessagesAreNotShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		expired := false
		r := newRig(t, map[string]Config{"s": {Filters: []string{"t"}}}, func(o *Options) {
			o.Expired = func(*message.Message, time.Time) bool { return expired }
		})
		defer r.close()
		want := []string{r.publish("t", 0)}
		r.flush("s")
		want = append(want, r.publish("t", 0))
		r.check("before", Query{Stream: "s"}, want, true)
		expired = true
		r.check("after", Query{Stream: "s"}, nil, true)
	})
}

func TestLocateByTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		declared := map[string]Config{"s": {Filters: []string{"t"}}}
		r := newRig(t, declared, func(o *Options) { o.ChunkBytes = 500 })
		defer r.close()
		var times []time.Time
		var want []string
		for i := range 200 {
			times = append(times, time.Now())
			want = append(want, r.publish("t", mqtt.QoS(i%3)))
			if i == 120 {
				r.flush("s")
				r.trim()
				r.options.ChunkBytes = 1 << 20 // the rest stays in the log
				r.crash(declared)
			}
			<-time.After(time.Second)
		}
		if n := r.streams.Get("s").Info().Messages; n < 100 || n > 150 {
			t.Fatalf("%d messages are in the store", n)
		}
		for i, at := range times {
			for _, since := range []time.Time{at, at.Add(-time.Millisecond)} {
				p := r.page(Query{Stream: "s", Since: since, Limit: 1})
				if got := string(p.Records[0].Message.Payload[:6]); got != want[i] {
					t.Fatalf("since message %d: got %s, want %s", i, got, want[i])
				}
			}
			if i > 125 {
				p := r.page(Query{Filters: []string{"#"}, Since: at, Limit: 1})
				if got := string(p.Records[0].Message.Payload[:6]); got != want[i] {
					t.Fatalf("in the log, since message %d: got %s, want %s", i, got, want[i])
				}
			}
		}
		if p := r.page(Query{Stream: "s", Since: time.Now().Add(time.Hour)}); len(p.Records) != 0 || !p.End {
			t.Errorf("in an hour: %+v", p)
		}
	})
}

func TestOtherFiltersKeepTheHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, map[string]Config{"s": {Filters: []string{"a/#", "b"}}}, small)
		defer r.close()
		want := []string{r.publish("a/1", 0), r.publish("b", 0)}
		r.crash(map[string]Config{"s": {Filters: []string{"a/+"}}}) // all that it matches was matched
		want = append(want, r.publish("a/2", 0))
		r.publish("b", 0)
		r.check("narrower", Query{Stream: "s"}, want, true)
		if err := r.streams.Declare(context.Background(), "s", Config{Filters: []string{"a/#", "c"}}); err != nil {
			t.Fatal(err)
		}
		here := r.engine.Health().Next
		want = append(want, r.publish("c", 0))
		r.publish("b", 0)
		r.check("wider", Query{Stream: "s"}, want, false)
		r.check("wider, from there on", Query{Stream: "s", From: here}, want[3:], true)
		r.crash(map[string]Config{"s": {Filters: []string{"a/#", "c"}}})
		r.check("after a crash", Query{Stream: "s"}, want, false)
		r.crash(map[string]Config{"s": {Filters: []string{"a/#"}, LastValue: true}})
		r.check("begun anew", Query{Stream: "s"}, nil, true)
	})
}

func TestAStreamThatIsNotDeclaredAnyMoreIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		two := map[string]Config{"a": {Filters: []string{"t"}}, "ab": {Filters: []string{"t"}}, "b": {Filters: []string{"t"}, LastValue: true}}
		r := newRig(t, two, small)
		defer r.close()
		want := []string{r.publish("t", 0), r.publish("t", 0)}
		r.sweep()
		r.crash(map[string]Config{"ab": {Filters: []string{"t"}}})
		if err := r.streams.Remove(context.Background(), "a"); !errors.Is(err, ErrUnknown) {
			t.Errorf("removing what is not there: %v", err)
		}
		r.check("the other", Query{Stream: "ab"}, want, true)
		if err := r.streams.Remove(context.Background(), "ab"); err != nil {
			t.Fatal(err)
		}
		for kv := range r.engine.Scan(context.Background(), state.Streams) {
			t.Errorf("%q is left", kv.Key)
		}
		if r.router.Subscriptions() != 0 {
			t.Error("the router still knows it")
		}
		next := r.engine.Health().Next
		if r.publish("t", 0); r.engine.Health().Next != next {
			t.Error("it still has messages appended")
		}
	})
}

func TestAGapIsSaid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, map[string]Config{"s": {Filters: []string{"t"}}})
		defer r.close()
		r.publish("t", 0)
		r.publish("t", 0)
		if err := r.engine.Trim(context.Background(), 0, r.engine.Health().Next); err != nil {
			t.Fatal(err)
		}
		r.crash(map[string]Config{"s": {Filters: []string{"t"}}})
		after := r.publish("t", 0)
		r.check("history", Query{Stream: "s"}, []string{after}, false)
		if r.metrics.Dropped(message.DropLogTrimmed) != 1 {
			t.Error("the gap is not counted")
		}
	})
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		wide, filter string
		want         bool
	}{
		{"#", "a/b", true}, {"#", "#", true}, {"#", "+", true}, {"a/#", "a", true}, {"a/#", "a/+/c", true}, {"a/+", "a/b", true}, {"a/+", "a/+", true},
		{"a/b", "a/b", true}, {"$SYS/#", "$SYS/x", true}, {"a/+", "a/#", false}, {"a/b", "a/+", false}, {"a/b", "a", false}, {"a", "a/b", false},
		{"a/+", "a", false}, {"#", "$SYS/#", false}, {"+/x", "$SYS/x", false}, {"a/b/#", "a/+/c", false}, {"a/#", "#", false},
	} {
		if got := covers(c.wide, c.filter); got != c.want {
			t.Errorf("covers(%q, %q) = %v", c.wide, c.filter, got)
		}
	}
}

func TestWhatIsCoveredMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		filter := rapid.StringMatching(`([ab+$]/){0,3}([ab+#])`)
		wide, narrow := filter.Draw(t, "wide"), filter.Draw(t, "narrow")
		topic := rapid.StringMatching(`[$ab](/[ab]){0,4}`).Draw(t, "topic")
		if covers(wide, narrow) && mqtt.MatchTopic(narrow, topic) && !mqtt.MatchTopic(wide, topic) {
			t.Fatalf("%q covers %q, and does not match %q", wide, narrow, topic)
		}
	})
}
