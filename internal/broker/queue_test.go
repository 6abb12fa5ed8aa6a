package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// collect reads and acknowledges what comes until nothing does.
func (r *reader) collect() (all []string) {
	r.t.Helper()
	synctest.Wait()
	if err := r.send(&mqtt.Pingreq{}); err != nil {
		r.t.Fatal(err)
	}
	for {
		pk, err := r.receive()
		if err != nil {
			r.t.Fatal(err)
		}
		p, ok := pk.(*mqtt.Publish)
		if pk.Type() == mqtt.PINGRESP {
			return all
		}
		if !ok {
			continue
		}
		all = append(all, string(p.Topic)+" "+string(p.Payload))
		if p.QoS == mqtt.AtLeastOnce {
			if err := r.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}}); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// consumer subscribes to a queue with QoS 1.
func (w *world) consumer(t *testing.T, filter string, c *mqtt.Connect) *reader {
	t.Helper()
	r := w.reader(t, c)
	if code := r.follow(filter, "", 1); code != mqtt.GrantedQoS1 {
		t.Fatalf("SUBACK %v", code)
	}
	return r
}

func byNumber(x, y string) int { return strings.Compare(x[len("a/0 "):], y[len("a/0 "):]) }

func (r *reader) away() {
	pause(time.Second) // what it acknowledged is kept
	_ = r.conn.Close()
	synctest.Wait()
}

func TestAQueueGivesEachMessageOfItsStreamToOneMember(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		synctest.Test(t, func(t *testing.T) {
			w := newStreamWorld(t)
			defer w.close()
			want := tell(t, w, "a/", 0, 9) // before anybody consumed it
			flushAll(w)
			want = append(want, tell(t, w, "a/", 9, 9)...)
			tell(t, w, "b/", 0, 3)
			members := []*reader{}
			for i := range 2 {
				members = append(members, w.consumer(t, "$queue/s", &mqtt.Connect{Version: version, ClientID: fmt.Sprint("m", i), CleanStart: true}))
			}
			got := append(members[0].collect(), members[1].collect()...)
			want = append(want, tell(t, w, "a/", 18, 9)...)
			for _, m := range members {
				live := m.collect()
				if len(live) == 0 {
					t.Error("a member got nothing")
				}
				got = append(got, live...)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %q instead of %q", got, want)
			}
		})
	}
}

// TestAQueueGoesOnWithoutMembers has its only member's session end, which another goes on for: after a crash, without the
// log, and with what the first did not acknowledge.
func TestAQueueGoesOnWithoutMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		w.opts = []Option{parkSoon}
		w.crash()
		first := tell(t, w, "a/", 1, 2)
		r := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "first"})
		r.expect(true, first...)
		more := tell(t, w, "a/", 1, 1)
		r.expect(false, more...) // which comes back
		r.away()
		for round := range 3 {
			more = append(more, tell(t, w, "a/", 10*round, 3)...)
			flushAll(w)
			pause(3 * time.Second)
			if n := w.b.engine.Health().Blocks; n > 1 {
				t.Errorf("the log holds %d blocks", n)
			}
			w.crash()
		}
		r = w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "second"})
		got := r.collect() // those with QoS 0 may overtake others
		slices.Sort(got)
		slices.Sort(more)
		if !slices.Equal(got, more) {
			t.Errorf("got %q instead of %q", got, more)
		}
	})
}

// TestAQueueBehindItsRetentionSaysWhatItLost counts each message that went unread.
func TestAQueueBehindItsRetentionSaysWhatItLost(t *testing.T) {
	for name, set := range map[string]string{"bytes": "streams.s.keep_bytes=4000", "age": "streams.s.keep_seconds=60"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newStreamWorld(t, set)
				defer w.close()
				r := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m"})
				r.away()
				var all []string
				for i := 1; i < 9; i++ { // 100 to 849
					all = append(all, tell(t, w, "a/", 100*i, 50)...)
					flushAll(w)
					pause(9 * time.Second)
				}
				r = w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m"})
				got := r.collect()
				slices.SortFunc(got, byNumber) // those with QoS 0 may overtake others
				lost := int(w.b.metrics.Dropped(message.DropStreamTrimmed))
				if len(got) == 0 || lost == 0 || !slices.Equal(got, all[len(all)-len(got):]) {
					t.Fatalf("got %q of %d", got, len(all))
				}
				if lost+len(got) != len(all) {
					t.Errorf("%d of %d came, and %d are counted as lost", len(got), len(all), lost)
				}
			})
		})
	}
}

// TestWhatCameBackAndIsGoneIsCounted restarts with an unacknowledged message that the stream lets go of meanwhile.
func TestWhatCameBackAndIsGoneIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t, "streams.s.keep_seconds=60")
		defer w.close()
		w.opts = []Option{parkSoon}
		w.crash()
		durable := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "d", SessionExpirySeconds: 10000})
		durable.expect(false, tell(t, w, "a/", 1, 1)...)
		durable.away()
		other := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "e"})
		other.expect(false, tell(t, w, "a/", 4, 1)...)
		other.away()
		flushAll(w)
		w.crash()
		pause(2 * time.Minute)
		w.crash() // what it had read again is not in memory any more
		if n := w.b.streams.Get("s").Info().Messages; n != 0 {
			t.Fatalf("the stream still has %d messages", n)
		}
		durable = w.reader(t, &mqtt.Connect{ClientID: "d", SessionExpirySeconds: 10000})
		durable.nothing()
		durable.expect(true, tell(t, w, "a/", 7, 1)...)
		if n := w.b.metrics.Dropped(message.DropStreamTrimmed); n != 2 {
			t.Errorf("%d messages are counted as gone", n)
		}
	})
}

func TestAQueueEndsWithItsDeclaration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		declared := w.sets
		r := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m", SessionExpirySeconds: 10000})
		r.expect(false, tell(t, w, "a/", 1, 3)[0])
		r.away()
		for _, sets := range [][]string{{"session.in_flight_max=1000"}, declared} {
			w.sets = sets
			w.restart()
			if n := w.b.subscriptions.Load(); n != 0 {
				t.Errorf("%d subscriptions are left", n)
			}
			r = w.reader(t, &mqtt.Connect{ClientID: "m", SessionExpirySeconds: 10000})
			tell(t, w, "a/", 1, 1)
			r.nothing()
			r.away()
		}
		r = w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m", SessionExpirySeconds: 10000})
		r.expect(true, "a/1 1") // of the stream that is declared now
		r.nothing()
		if n := len(w.b.groups.byKey); n != 1 {
			t.Errorf("%d groups are left", n)
		}
	})
}

// TestADeclaredQueueWins over a share of the same filter from before.
func TestADeclaredQueueWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t, "mqtt.max_qos=1")
		defer w.close()
		declared := w.sets
		w.sets = nil
		w.restart()
		r := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m", SessionExpirySeconds: 10000})
		publish(t, w, "pub", &mqtt.Publish{Topic: []byte("s"), Payload: []byte("share"), QoS: 1, PacketID: 1})
		r.expect(false, "s share")
		r.away()
		w.sets = declared
		w.restart()
		r = w.reader(t, &mqtt.Connect{ClientID: "m", SessionExpirySeconds: 10000})
		r.expect(false, "s share") // its own to finish
		if code := r.follow("$queue/s", "", 1); code != mqtt.GrantedQoS1 {
			t.Fatalf("SUBACK %v", code)
		}
		r.expect(false, tell(t, w, "a/", 1, 1)...)
		r.away()
		w.crash()
		r = w.reader(t, &mqtt.Connect{ClientID: "m", SessionExpirySeconds: 10000})
		r.expect(true, "s share", "a/1 1")
		r.nothing()
	})
}

// TestAQueueIsForThoseWhoMayHaveItsStream judges by the stream's filters, and message by message what is granted in part.
func TestAQueueIsForThoseWhoMayHaveItsStream(t *testing.T) {
	sets := []string{"streams.s.filters=a/#", "streams.x.filters=a/#,x/#"}
	guard(t, "user bob\ntopic read a/+\ntopic deny a/secret\n", sets, func(g *guarded) {
		root, bob := g.connect("root", mqtt.Connect{}), g.connect("bob", mqtt.Connect{})
		if code := g.subscribe(bob, "$queue/x"); code != mqtt.NotAuthorized {
			t.Errorf("$queue/x: %v", code)
		}
		if code := max(g.subscribe(bob, "$queue/s"), g.subscribe(root, "$queue/s")); code != mqtt.GrantedQoS1 {
			t.Fatalf("$queue/s: %v", code)
		}
		g.publish(g.connect("root", mqtt.Connect{ClientID: "pub"}), "a/1", "a/secret", "a/secret", "a/2")
		if got := g.got(bob); strings.Contains(got, "secret") || got == "" {
			t.Errorf("bob got %q", got)
		}
		if got := g.got(root); strings.Count(got, "a/secret") != 2 {
			t.Errorf("root got %q", got)
		}
	})
}

// TestWhatTheLogForgotAQueueReadsFromItsStream: the stream takes it over while the queue is about to read it from the log.
func TestWhatTheLogForgotAQueueReadsFromItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		r := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m"})
		r.away()
		all := tell(t, w, "a/", 1, 1)
		flushAll(w)
		w.b.groups.find("$queue/s", "").Lost(w.b.streams.Get("s").End())
		r = w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m"})
		r.expect(true, all...)
		if n := w.b.metrics.Dropped(message.DropLogTrimmed); n != 0 {
			t.Errorf("%d messages are counted as lost", n)
		}
	})
}

func TestFiltersOfQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t, "streams.two.filters=x/+,x/#")
		defer w.close()
		r := w.reader(t, &mqtt.Connect{ClientID: "m"})
		for filter, want := range map[string]mqtt.ReasonCode{
			"$queue/s": mqtt.GrantedQoS1, "$queue/s/a/#": mqtt.GrantedQoS1, "$queue/other/+": mqtt.GrantedQoS1, "$queue/two": mqtt.GrantedQoS1,
			"$queue/s/a/+": mqtt.TopicFilterInvalid, "$queue/s/": mqtt.TopicFilterInvalid, "$queue/two/x/#": mqtt.TopicFilterInvalid,
		} {
			if code := r.follow(filter, "", 1); code != want {
				t.Errorf("%s: %v instead of %v", filter, code, want)
			}
		}
		r.expect(true, tell(t, w, "x/", 1, 1)...) // once, though both filters match
		r.nothing()
	})
}

// TestAMemberGetsItsOwnMessagesWithNoLocal: No Local is for subscriptions that are not shared. With it a group whose only
// member published looked for another without end.
func TestAMemberGetsItsOwnMessagesWithNoLocal(t *testing.T) {
	for _, filter := range []string{"$queue/s", "$queue/a/1"} {
		synctest.Test(t, func(t *testing.T) {
			w := newStreamWorld(t)
			defer w.close()
			r := w.reader(t, &mqtt.Connect{ClientID: "m", SessionExpirySeconds: 1000})
			_ = r.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: filter, QoS: 1, NoLocal: true}}})
			if pk, err := r.receive(); err != nil || pk.Type() != mqtt.SUBACK {
				t.Fatal(pk, err)
			}
			_ = r.send(&mqtt.Publish{Topic: []byte("a/1"), Payload: []byte("own")})
			_ = r.send(&mqtt.Publish{Topic: []byte("a/1"), Payload: []byte("own"), QoS: 1, PacketID: 1})
			n := len(r.collect())
			if want := map[string]int{"$queue/s": 2}[filter]; n < want {
				t.Errorf("got %d messages of %d", n, want)
			}
		})
	}
}

func TestAQueueOfAMountPointIsItsClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "streams.s.filters=m/#,o/#", "listeners.tcp.mount_point=m/")
		defer w.close()
		m := &message.Message{Topic: "o/a", QoS: 1, Payload: []byte("of others"), PublishedAt: time.Now()}
		if _, _, err := w.b.publish(conn.NewBatch(), m, publisher{}); err != nil {
			t.Fatal(err)
		}
		all := tell(t, w, "a/", 1, 1)
		r := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m"})
		r.expect(true, all...)
		r.expect(true, tell(t, w, "o/", 1, 1)...)
		r.nothing()
	})
}

func TestAQueueReachesOtherFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		r := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m", SessionExpirySeconds: 1000})
		r.expect(true, tell(t, w, "a/", 1, 1)...)
		r.away()
		w.sets = append(slices.Clone(w.sets), "streams.s.filters=b/#")
		w.restart()
		tell(t, w, "a/", 1, 1)
		want := tell(t, w, "b/", 1, 1)
		r = w.reader(t, &mqtt.Connect{ClientID: "m", SessionExpirySeconds: 1000})
		r.expect(true, want...)
		r.expect(true, tell(t, w, "b/", 1, 1)...)
		r.nothing()
	})
}

func TestAQueueOfLastValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t, "streams.s.last_value=true")
		defer w.close()
		tell(t, w, "a/", 0, 3)
		all := tell(t, w, "a/", 3, 3)
		if err := w.b.streams.Get("s").Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		r := w.consumer(t, "$queue/s", &mqtt.Connect{ClientID: "m"})
		r.expect(true, all...)
		r.nothing()
		r.expect(true, tell(t, w, "a/", 6, 1)...)
	})
}

func TestAQueueLosesAndRepeatsNothingThroughCrashes(t *testing.T) {
	for seed := range seeds(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulation(t, seed, "streams.s.filters=t/#", "streams.s.keep_bytes=40000000")
				if seed%2 == 1 {
					s.world.opts = []Option{parkSoon}
				}
				rng := rand.New(rand.NewPCG(seed, 7))
				s.begin, s.end = s.disturbed(rng)
				subs := s.subscribers(seed, "$queue/s")
				for i, sub := range subs {
					if seed%3 == 0 {
						sub.qos = mqtt.ExactlyOnce
					}
					switch i {
					case 1:
						sub.fickle = seed%5 == 2
					case 2:
						if seed%3 == 1 { // with QoS 1, since what it has with QoS 2 ends with it [MQTT-4.8.2-5]
							sub.ephemeral, sub.qos = true, mqtt.AtLeastOnce
						}
					}
				}
				checkGroup(t, s.run(subs), s.messages)
			})
		})
	}
}

// disturbed returns what crashes and restarts the broker and has streams take over the log, at random, and what ends that.
func (s *simulation) disturbed(rng *rand.Rand) (begin, end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	begin = func() {
		go func() {
			defer close(done)
			for range 12 {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(1+rng.IntN(1500)) * time.Millisecond):
					switch rng.IntN(4) {
					case 0:
						s.world.restart()
					case 1:
						flushAll(s.world)
					default:
						s.world.crash()
					}
				}
			}
		}()
	}
	return begin, func() { close(stop); <-done }
}
