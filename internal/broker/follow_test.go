package broker

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
)

// reader is a client that reads streams.
type reader struct {
	*peer
	t     *testing.T
	early []*mqtt.Publish // what came before the SUBACK, as QoS 0 may
}

func (w *world) reader(t *testing.T, c *mqtt.Connect) *reader {
	p, ack := w.connect(c)
	if ack == nil {
		t.Fatal("no CONNACK")
	}
	if err := p.conn.SetReadDeadline(time.Now().Add(time.Hour)); err != nil { // so that what does not come fails the test
		t.Fatal(err)
	}
	return &reader{peer: p, t: t}
}

// follow subscribes and returns the code of the SUBACK. An empty offset is none.
func (r *reader) follow(filter, offset string, qos mqtt.QoS) mqtt.ReasonCode {
	r.t.Helper()
	s := &mqtt.Subscribe{PacketID: 60000, Filters: []mqtt.FilterOptions{{Filter: filter, QoS: qos}}}
	if offset != "" {
		s.User = mqtt.AppendUserProperty(s.User, "stream-offset", offset)
	}
	if err := r.send(s); err != nil {
		r.t.Fatal(err)
	}
	for {
		pk, err := r.receive()
		if err != nil {
			r.t.Fatal(err)
		}
		if ack, ok := pk.(*mqtt.Suback); ok {
			return ack.Codes[0]
		}
		if p, ok := pk.(*mqtt.Publish); ok && p.QoS == mqtt.AtMostOnce {
			r.early = append(r.early, p)
		}
	}
}

// expect reads messages, and acknowledges them if ack says so.
func (r *reader) expect(ack bool, want ...string) {
	r.t.Helper()
	for i, w := range want {
		var p *mqtt.Publish
		if len(r.early) > 0 {
			p, r.early = r.early[0], r.early[1:]
		} else {
			p = expectPublish(r.t, r.peer)
		}
		if got := string(p.Topic) + " " + string(p.Payload); got != w {
			r.t.Fatalf("message %d is %q instead of %q", i, got, w)
		}
		if ack && p.QoS == mqtt.AtLeastOnce {
			if err := r.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}}); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// nothing checks that nothing comes.
func (r *reader) nothing() {
	r.t.Helper()
	if err := r.send(&mqtt.Pingreq{}); err != nil {
		r.t.Fatal(err)
	}
	if pk, err := r.receive(); err != nil || pk.Type() != mqtt.PINGRESP {
		r.t.Fatalf("got %+v, %v instead of nothing", pk, err)
	}
}

// tell publishes n messages to topics under a prefix, with all QoS in turn, and returns them as expect wants them.
func tell(t *testing.T, w *world, prefix string, from, n int) (all []string) {
	t.Helper()
	for i := from; i < from+n; i++ {
		topic, payload := prefix+strconv.Itoa(i%3), strconv.Itoa(i)
		publish(t, w, fmt.Sprint("pub", i), &mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: mqtt.QoS(i % 3), PacketID: uint16(min(i%3, 1))})
		synctest.Wait()
		all = append(all, topic+" "+payload)
	}
	return all
}

func newStreamWorld(t *testing.T, sets ...string) *world {
	return newWorld(t, append([]string{"streams.s.filters=a/#", "session.in_flight_max=1000"}, sets...)...)
}

func TestAStreamIsReadFromItsOffset(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		synctest.Test(t, func(t *testing.T) {
			w := newStreamWorld(t)
			defer w.close()
			old := tell(t, w, "a/", 0, 6)
			tell(t, w, "b/", 0, 3)
			pause(time.Minute)
			half := time.Now()
			at := w.b.logEnd()
			old = append(old, tell(t, w, "a/", 6, 6)...)
			for offset, skip := range map[string]int{
				"earliest": 0, "latest": -1, "": -1, half.UTC().Format(time.RFC3339): 6, strconv.FormatInt(half.Unix(), 10): 6,
				strconv.FormatInt(half.UnixMilli(), 10): 6, stream.FormatPosition(at): 6, stream.FormatPosition(at.Next()): 7,
			} {
				if version != mqtt.V5 && offset != "" {
					continue
				}
				r := w.reader(t, &mqtt.Connect{Version: version, ClientID: "r", CleanStart: true})
				if code := r.follow("$stream/s", offset, 2); code != mqtt.GrantedQoS2 {
					t.Fatalf("SUBACK %v", code)
				}
				if skip < 0 {
					skip = len(old)
				}
				r.expect(true, old[skip:]...)
				r.nothing()
				r.expect(true, tell(t, w, "a/", 100, 1)...)
				_ = r.conn.Close()
				synctest.Wait()
				old = append(old, "a/1 100")
			}
		})
	}
}

func TestAPartOfAStreamIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		all := tell(t, w, "a/", 0, 9)
		tell(t, w, "b/", 0, 3)
		r := w.reader(t, &mqtt.Connect{ClientID: "r", CleanStart: true})
		if code := r.follow("$stream/s/+/1", "earliest", 1); code != mqtt.GrantedQoS1 {
			t.Fatal(code)
		}
		r.expect(true, all[1], all[4], all[7])
		r.nothing()
		if code := r.follow("$stream/s/#", "earliest", 0); code != mqtt.GrantedQoS0 {
			t.Fatal(code)
		}
		r.expect(true, all...)
	})
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		synctest.Test(t, func(t *testing.T) {
			w := newStreamWorld(t)
			defer w.close()
			r := w.reader(t, &mqtt.Connect{Version: version, ClientID: "r", CleanStart: true})
			for _, c := range []struct {
				filter, offset string
				want           mqtt.ReasonCode
			}{
				{"$stream/none", "", mqtt.TopicFilterInvalid}, {"$stream/", "", mqtt.TopicFilterInvalid}, {"$stream/s/", "", mqtt.TopicFilterInvalid},
				{"$stream/s/a#", "", mqtt.TopicFilterInvalid}, {"$stream/s/$share/g/a", "", mqtt.TopicFilterInvalid}, {"$stream/+", "", mqtt.TopicFilterInvalid},
				{"$stream/s", "yesterday", mqtt.ImplementationSpecificError},
			} {
				want := c.want
				if version != mqtt.V5 {
					if want = 0x80; c.offset != "" {
						continue
					}
				}
				if code := r.follow(c.filter, c.offset, 1); code != want {
					t.Errorf("%s %s: SUBACK %v, not %v", c.filter, c.offset, code, want)
				}
			}
			if version != mqtt.V5 {
				return
			}
			for _, topic := range []string{"$stream/s", "$stream/s/a", "$queue/q"} {
				if err := r.send(&mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: 1}); err != nil {
					t.Fatal(err)
				}
				if pk, _ := r.receive(); pk.(*mqtt.Puback).Code != mqtt.TopicNameInvalid {
					t.Errorf("PUBLISH to %s: %+v", topic, pk)
				}
			}
		})
	}
}

func TestAReaderIsHeldToItsReceiveMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		p, _ := w.connect(&mqtt.Connect{ClientID: "pub", CleanStart: true})
		var want []string
		for i := range 2000 { // more than a follower may have queued
			want = append(want, fmt.Sprint("a/x ", i))
			if err := p.send(&mqtt.Publish{Topic: []byte("a/x"), Payload: []byte(strconv.Itoa(i)), QoS: 1, PacketID: uint16(i + 1)}); err != nil {
				t.Fatal(err)
			}
			if _, err := p.receive(); err != nil {
				t.Fatal(err)
			}
		}
		r := w.reader(t, &mqtt.Connect{ClientID: "r", CleanStart: true, ReceiveMaximum: 3})
		r.follow("$stream/s", "earliest", 1)
		r.expect(false, want[:3]...)
		r.nothing()
		synctest.Wait()
		c := w.b.registry.get("r")
		c.mu.Lock()
		if n := c.session.Queued(); n > followQueue {
			t.Errorf("%d messages are queued", n)
		}
		c.mu.Unlock()
		for id := range uint16(3) {
			if err := r.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: id + 1}}); err != nil {
				t.Fatal(err)
			}
		}
		r.expect(true, want[3:]...)
		r.nothing()
	})
}

func TestUnsubscribingEndsAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		r := w.reader(t, &mqtt.Connect{ClientID: "r", SessionExpirySeconds: 100})
		before := w.b.router.Subscriptions()
		r.follow("$stream/s", "", 1)
		all := tell(t, w, "a/", 0, 2)
		r.expect(true, all...)
		if err := r.send(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{"$stream/s"}}); err != nil {
			t.Fatal(err)
		}
		if pk, err := r.receive(); err != nil || pk.(*mqtt.Unsuback).Codes[0] != mqtt.Success {
			t.Fatalf("got %+v, %v", pk, err)
		}
		more := tell(t, w, "a/", 2, 2)
		r.nothing()
		if n := w.b.router.Subscriptions(); n != before {
			t.Errorf("the router has %d entries, %d before", n, before)
		}
		w.crash()
		r = w.reader(t, &mqtt.Connect{ClientID: "r", SessionExpirySeconds: 100})
		more = append(more, tell(t, w, "a/", 4, 1)...)
		r.nothing()
		r.follow("$stream/s", "earliest", 1)
		r.expect(true, append(all, more...)...)
	})
}

func TestAReaderThatSubscribesAgainGoesOnOrWhereItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		all := tell(t, w, "a/", 0, 5)
		r := w.reader(t, &mqtt.Connect{ClientID: "r", SessionExpirySeconds: 100})
		r.follow("$stream/s", "earliest", 1)
		r.expect(true, all...)
		r.follow("$stream/s", "", 0)
		r.nothing()
		r.follow("$stream/s", "earliest", 0)
		r.expect(true, all...)
		r.follow("$stream/s", "latest", 1)
		r.expect(true, tell(t, w, "a/", 5, 1)...)
	})
}

func TestAReaderGoesOnAfterACrashAndWithoutTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		w.opts = []Option{parkSoon}
		w.crash()
		all := tell(t, w, "a/", 1, 1)
		r := w.reader(t, &mqtt.Connect{ClientID: "r", SessionExpirySeconds: 1000})
		r.follow("$stream/s", "earliest", 1)
		r.expect(true, all...)
		pause(time.Second)
		_ = r.conn.Close()
		for range 3 {
			all = tell(t, w, "a/", 1, 3)
			if err := w.b.streams.Get("s").Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			pause(3 * time.Second)
			if n := w.b.engine.Health().Blocks; n > 1 { // of a block that was just dispatched nobody says that it is
				t.Errorf("the log holds %d blocks", n)
			}
			w.crash()
			r = w.reader(t, &mqtt.Connect{ClientID: "r", SessionExpirySeconds: 1000})
			r.expect(true, all...)
			r.nothing()
			pause(time.Second)
			_ = r.conn.Close()
			synctest.Wait()
		}
		w.sets = nil // the stream is gone
		w.crash()
		r = w.reader(t, &mqtt.Connect{ClientID: "r", SessionExpirySeconds: 1000})
		tell(t, w, "a/", 1, 1)
		r.nothing()
		if n := w.b.subscriptions.Load(); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
	})
}

func TestAReaderMissesNothingThroughCrashes(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulation(t, seed, "streams.s.filters=t/#", "streams.s.keep_bytes=40000000")
				if seed%2 == 1 {
					s.world.opts = []Option{parkSoon}
				}
				rng := rand.New(rand.NewPCG(seed, 7))
				stop, done := make(chan struct{}), make(chan struct{})
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
				s.end = func() { close(stop); <-done }
				subs := s.subscribers(seed, "$stream/s/#")
				for i := range subs[:2] { // which of both comes first does not follow from the log
					subs[i].plain = seed > 1
				}
				for _, sub := range s.run(subs) {
					for i := range 4 {
						exactly := min(sub.qos, mqtt.QoS(1+i/2)) == mqtt.ExactlyOnce
						checkHistory(t, sub.id, i, sub.got[i], s.messages, exactly)
						if sub.plain {
							checkHistory(t, sub.id+" besides", i, sub.own[i], s.messages, exactly)
						}
					}
				}
			})
		})
	}
}

// flushAll has streams take over what the log has.
func flushAll(w *world) {
	w.lock <- struct{}{}
	defer func() { <-w.lock }()
	for _, st := range w.b.streams.All() {
		_ = st.Flush(w.b.ctx)
	}
}

func TestAStreamOfAMountPointIsItsClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "streams.s.filters=#", "listeners.tcp.mount_point=tenant/")
		defer w.close()
		batch := func(topic string) {
			m := &message.Message{Topic: topic, Payload: []byte("x"), PublishedAt: time.Now()}
			if _, _, err := w.b.publish(conn.NewBatch(), m, publisher{}); err != nil {
				t.Fatal(err)
			}
		}
		batch("other/a")
		all := tell(t, w, "a/", 0, 2)
		r := w.reader(t, &mqtt.Connect{ClientID: "r", CleanStart: true})
		r.follow("$stream/s", "earliest", 1)
		r.expect(true, all...)
		r.follow("$stream/s/a/1", "earliest", 1)
		r.expect(true, all[1])
		r.nothing()
	})
}

func TestOtherFiltersReachReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStreamWorld(t)
		defer w.close()
		r := w.reader(t, &mqtt.Connect{ClientID: "r", CleanStart: true})
		r.follow("$stream/s", "", 1)
		if err := w.b.declareStream(context.Background(), "s", stream.Config{Filters: []string{"b/#"}}); err != nil {
			t.Fatal(err)
		}
		tell(t, w, "a/", 0, 1)
		r.expect(true, tell(t, w, "b/", 1, 1)...)
		r.nothing()
	})
}

func TestTheLogKeepsHistory(t *testing.T) {
	for name, sets := range map[string][]string{"by age": {"storage.keep_seconds=60"}, "by size": {"storage.keep_bytes=8000"}, "both": {"storage.keep_seconds=60", "storage.keep_bytes=8000"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sets...)
				defer w.close()
				w.opts = []Option{parkSoon}
				w.crash()
				sub, _ := w.connect(&mqtt.Connect{ClientID: "durable", SessionExpirySeconds: 1000})
				sub.subscribe(t, "a/#", 1)
				reading := w.reader(t, &mqtt.Connect{ClientID: "x", CleanStart: true})
				_ = reading
				go func() {
					for {
						pk, err := sub.receive()
						if err != nil {
							return
						}
						if p, ok := pk.(*mqtt.Publish); ok && p.QoS == 1 {
							_ = sub.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}})
						}
					}
				}()
				for i := range 100 {
					publish(t, w, "p", &mqtt.Publish{Topic: []byte("a/b"), Payload: bytes.Repeat([]byte{'x'}, 50), QoS: 1, PacketID: uint16(i + 1)})
					pause(time.Second)
				}
				pause(7 * time.Second)
				page, err := w.b.streams.History(context.Background(), stream.Query{Filters: []string{"a/#"}, Limit: 1000})
				if err != nil || page.Complete {
					t.Fatalf("%+v, %v", page, err)
				}
				low, high := 20, 60
				if name == "by age" {
					low, high = 50, 62
				}
				if n := len(page.Records); n < low || n > high {
					t.Errorf("the log keeps %d messages", n)
				}
				pause(2 * time.Minute)
				if n := w.b.engine.Health().Blocks; name != "by size" && n > 1 || name == "by size" && n < 20 {
					t.Errorf("later it holds %d blocks", n)
				}
			})
		})
	}
}
