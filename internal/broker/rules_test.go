package broker

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// The tests of this file are named after the rules that keep the promises of durability; docs/durability.md says which
// rule each of them shows. The engine holds commits back where a test looks at what happens meanwhile, and is killed
// where it looks at what is left.

// listening takes the packets that a peer gets, as they come.
type listening struct {
	t    *testing.T
	p    *peer
	got  chan mqtt.Packet
	name string
}

func listen(t *testing.T, name string, p *peer) *listening {
	l := &listening{t: t, p: p, got: make(chan mqtt.Packet, 1000), name: name}
	go func() {
		defer close(l.got)
		for {
			pk, err := p.receive()
			if err != nil {
				return
			}
			l.got <- pk
		}
	}()
	return l
}

// nothing checks that nothing comes until all that is under way has stopped.
func (l *listening) nothing(when string) {
	l.t.Helper()
	synctest.Wait()
	select {
	case pk := <-l.got:
		l.t.Errorf("%s, %s got %+v", when, l.name, pk)
	default:
	}
}

// next returns the next packet, which has to be of a type, and there by now.
func (l *listening) next(want mqtt.Type) mqtt.Packet {
	l.t.Helper()
	synctest.Wait()
	select {
	case pk := <-l.got:
		if pk == nil || pk.Type() != want {
			l.t.Fatalf("%s got %+v instead of %v", l.name, pk, want)
		}
		return pk
	default:
		l.t.Fatalf("%s got no %v", l.name, want)
		return nil
	}
}

func (l *listening) send(pk mqtt.Packet) {
	l.t.Helper()
	if err := l.p.send(pk); err != nil {
		l.t.Fatal(err)
	}
}

// durable connects a client whose session stays.
func (w *world) durable(t *testing.T, id string) *listening {
	t.Helper()
	p, ack := w.connect(&mqtt.Connect{ClientID: id, SessionExpirySeconds: 6000})
	if ack == nil || ack.Code.Failed() {
		t.Fatalf("%s: %+v", id, ack)
	}
	return listen(t, id, p)
}

func (w *world) subscriber(t *testing.T, id, filter string, qos mqtt.QoS) *listening {
	t.Helper()
	p, _ := w.connect(&mqtt.Connect{ClientID: id, SessionExpirySeconds: 6000})
	p.subscribe(t, filter, qos)
	return listen(t, id, p)
}

func inWorld(t *testing.T, fn func(t *testing.T, w *world), sets ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sets...)
		defer w.close()
		fn(t, w)
	})
}

func ids(id uint16) mqtt.Ack { return mqtt.Ack{PacketID: id} }

func publishOf(topic, payload string, qos mqtt.QoS, id uint16) *mqtt.Publish {
	return &mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, PacketID: id}
}

// Rule 1.
func TestAnsweredMeansDurable(t *testing.T) {
	for name, tt := range map[string]struct {
		before []mqtt.Packet // and their answers
		packet mqtt.Packet
		want   mqtt.Type
	}{
		"PUBACK":   {nil, publishOf("t", "x", 1, 1), mqtt.PUBACK},
		"PUBREC":   {nil, publishOf("t", "x", 2, 1), mqtt.PUBREC},
		"PUBCOMP":  {[]mqtt.Packet{publishOf("t", "x", 2, 1)}, &mqtt.Pubrel{Ack: ids(1)}, mqtt.PUBCOMP},
		"SUBACK":   {nil, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "s", QoS: 1}}}, mqtt.SUBACK},
		"UNSUBACK": {[]mqtt.Packet{&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "s"}}}}, &mqtt.Unsubscribe{PacketID: 2, Filters: []string{"s"}}, mqtt.UNSUBACK},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.subscriber(t, "sub", "t", 2)
				c := w.durable(t, "c")
				for _, pk := range tt.before {
					c.send(pk)
					synctest.Wait()
					<-c.got
				}
				w.engine.hold()
				c.send(tt.packet)
				c.nothing("before its commit")
				w.engine.let()
				c.next(tt.want)
			})
		})
	}
	for name, connect := range map[string]*mqtt.Connect{
		"CONNACK of a new session": {ClientID: "c", SessionExpirySeconds: 60},
		"CONNACK with a will":      {ClientID: "c", CleanStart: true, Will: &mqtt.Will{Topic: "w", Payload: []byte("x")}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.engine.hold()
				connect.Version = mqtt.V5
				c := listen(t, "c", &peer{conn: w.dial(), version: mqtt.V5})
				c.send(connect)
				c.nothing("before its commit")
				w.engine.let()
				c.next(mqtt.CONNACK)
			})
		})
	}
}

// Rule 1: an acknowledgement that needs no commit waits behind one that does.
func TestAnImmediateAckQueuesBehindAPendingOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscriber(t, "sub", "durable", 1)
		c := w.durable(t, "c")
		w.engine.hold()
		c.send(publishOf("durable", "x", 1, 1))
		c.send(publishOf("nobody", "x", 1, 2))
		c.nothing("while the first is pending")
		w.engine.let()
		for want := uint16(1); want <= 2; want++ {
			if got := c.next(mqtt.PUBACK).(*mqtt.Puback).PacketID; got != want {
				t.Errorf("PUBACK of %d instead of %d", got, want)
			}
		}
	})
}

// Rule 2: the identifier of a QoS 2 message is durable before PUBREC, with the record or alone, and its removal before
// PUBCOMP.
func TestAQoS2IdentifierIsKeptFromPubrecToPubcomp(t *testing.T) {
	for name, filter := range map[string]string{"with the record": "t", "alone": "nobody"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.subscriber(t, "sub", filter, 2)
				pub := w.durable(t, "pub")
				pub.send(publishOf("t", "first", 2, 7))
				pub.next(mqtt.PUBREC)
				w.crash()
				late := w.subscriber(t, "late", "t", 2) // gets what comes from here on
				pub = w.durable(t, "pub")
				again := publishOf("t", "first", 2, 7)
				again.Dup = true
				pub.send(again)
				if code := pub.next(mqtt.PUBREC).(*mqtt.Pubrec).Code; code.Failed() {
					t.Errorf("the identifier is answered with %v", code)
				}
				late.nothing("after a message that was known came again")
				pub.send(&mqtt.Pubrel{Ack: ids(7)})
				pub.next(mqtt.PUBCOMP)
				w.crash()
				pub = w.durable(t, "pub")
				late = w.durable(t, "late")
				pub.send(publishOf("t", "second", 2, 7))
				pub.next(mqtt.PUBREC)
				if got := late.next(mqtt.PUBLISH).(*mqtt.Publish); string(got.Payload) != "second" {
					t.Errorf("after PUBCOMP the identifier's next message was %q", got.Payload)
				}
			})
		})
	}
}

// Rule 2: a refused PUBREC leaves no identifier.
func TestARefusedPubrecLeavesNoIdentifier(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sub := w.subscriber(t, "sub", "t", 2)
		pub := w.durable(t, "pub")
		w.engine.refuse(storage.ErrFull)
		pub.send(publishOf("t", "refused", 2, 7))
		if code := pub.next(mqtt.PUBREC).(*mqtt.Pubrec).Code; code != mqtt.QuotaExceeded {
			t.Errorf("a full log answers %v", code)
		}
		w.engine.refuse(nil)
		pub.send(publishOf("t", "taken", 2, 7))
		if code := pub.next(mqtt.PUBREC).(*mqtt.Pubrec).Code; code.Failed() {
			t.Errorf("the identifier's next message was answered %v", code)
		}
		if got := sub.next(mqtt.PUBLISH).(*mqtt.Publish); string(got.Payload) != "taken" {
			t.Errorf("the subscriber got %q", got.Payload)
		}
	})
}

// Rules 2 and 7: what a connection sent settles before the next one of its client is answered, and a DUP of it is then
// known.
func TestATakeoverWaitsForPendingUnitsAndKnowsTheirIdentifiers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sub := w.subscriber(t, "sub", "t", 2)
		old := w.durable(t, "pub")
		w.engine.hold()
		old.send(publishOf("t", "once", 2, 7))
		synctest.Wait()
		fresh := listen(t, "the new connection", &peer{conn: w.dial(), version: mqtt.V5})
		fresh.send(&mqtt.Connect{Version: mqtt.V5, ClientID: "pub", SessionExpirySeconds: 6000})
		pause(5 * time.Second)
		fresh.nothing("while a unit of the old connection is pending")
		w.engine.let()
		fresh.next(mqtt.CONNACK)
		again := publishOf("t", "once", 2, 7)
		again.Dup = true
		fresh.send(again)
		fresh.next(mqtt.PUBREC)
		fresh.nothing("after its PUBREC")
		if got := sub.next(mqtt.PUBLISH).(*mqtt.Publish); string(got.Payload) != "once" {
			t.Errorf("got %q", got.Payload)
		}
		sub.nothing("after the message")
	})
}

// Rule 2: QoS 2 with a durable match waits for its commit before any delivery.
func TestQoS2ReachesNobodyBeforeItsCommit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscriber(t, "durable", "t", 2)
		p, _ := w.connect(&mqtt.Connect{ClientID: "ephemeral", CleanStart: true})
		p.subscribe(t, "t", 2)
		ephemeral := listen(t, "ephemeral", p)
		pub := w.durable(t, "pub")
		w.engine.hold()
		pub.send(publishOf("t", "x", 2, 1))
		ephemeral.nothing("before the commit")
		w.engine.let()
		ephemeral.next(mqtt.PUBLISH)
	})
}

// Rule 3: PUBREC is durable before PUBREL, and what was released stays so.
func TestAReceivedPubrecIsKeptBeforePubrel(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sub := w.subscriber(t, "sub", "t", 2)
		publish(t, w, "pub", publishOf("t", "x", 2, 1))
		id := sub.next(mqtt.PUBLISH).(*mqtt.Publish).PacketID
		w.engine.hold()
		sub.send(&mqtt.Pubrec{Ack: ids(id)})
		sub.nothing("before the commit")
		w.engine.let()
		sub.next(mqtt.PUBREL)
		w.crash()
		sub = w.durable(t, "sub")
		if got := sub.next(mqtt.PUBREL).(*mqtt.Pubrel).PacketID; got != id {
			t.Errorf("after a crash %d is released instead of %d", got, id)
		}
		sub.nothing("after that")
	})
}

// Rule 3: identifiers follow the order of the log, so what is not acknowledged comes back the same after a crash.
func TestWhatIsInFlightComesBackWithItsIdentifiersInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sub := w.subscriber(t, "sub", "t", 2)
		var want []string
		for i := range 6 {
			publish(t, w, "pub", publishOf("t", fmt.Sprint(i), mqtt.QoS(1+i%2), 1))
			m := sub.next(mqtt.PUBLISH).(*mqtt.Publish)
			want = append(want, fmt.Sprint(m.PacketID, " ", string(m.Payload), " true"))
		}
		for round := range 2 {
			pause(2 * flushInterval)
			w.crash()
			sub = w.durable(t, "sub")
			var got []string
			for range want {
				m := sub.next(mqtt.PUBLISH).(*mqtt.Publish)
				got = append(got, fmt.Sprint(m.PacketID, " ", string(m.Payload), " ", m.Dup))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("crash %d: got %q, want %q", round, got, want)
			}
		}
	})
}

// Rule 4: a subscription holds for an interval of the log, however late it is read, also over a crash.
func TestAnEndedSubscriptionStillGetsWhatWasPublishedWhileItHeld(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				p, _ := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 6000, ReceiveMaximum: 1})
				publish(t, w, "pub", publishOf("t", "before", 1, 1))
				p.subscribe(t, "t", 1)
				sub := listen(t, "sub", p)
				for i := range 8 { // more than the queue holds, so that most is read from the log
					publish(t, w, "pub", publishOf("t", fmt.Sprint(i), 1, 1))
				}
				first := sub.next(mqtt.PUBLISH).(*mqtt.Publish)
				sub.send(&mqtt.Unsubscribe{PacketID: 9, Filters: []string{"t"}})
				sub.next(mqtt.UNSUBACK)
				publish(t, w, "pub", publishOf("t", "after", 1, 1))
				if crash {
					w.crash()
					p, _ = w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 6000, ReceiveMaximum: 1})
					sub = listen(t, "sub", p)
					first = sub.next(mqtt.PUBLISH).(*mqtt.Publish)
				}
				for i, m := 0, first; ; i++ {
					if string(m.Payload) != fmt.Sprint(i) {
						t.Fatalf("got %q, want %d", m.Payload, i)
					}
					sub.send(&mqtt.Puback{Ack: ids(m.PacketID)})
					if i == 7 {
						break
					}
					pause(time.Second) // the log is read by a worker
					m = sub.next(mqtt.PUBLISH).(*mqtt.Publish)
				}
				sub.nothing("after what was published while it held")
			})
		})
	}
}

// Rule 6: a retained message is seen once it is committed, and not before.
func TestARetainedMessageIsSeenInCommitOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		pub := w.durable(t, "pub")
		w.engine.hold()
		m := publishOf("r", "x", 1, 1)
		m.Retain = true
		pub.send(m)
		synctest.Wait()
		if _, ok := w.b.retained.Get("r"); ok {
			t.Error("a retained message is seen before its commit")
		}
		pub.nothing("before the commit")
		w.engine.let()
		pub.next(mqtt.PUBACK)
		if e, ok := w.b.retained.Get("r"); !ok || string(e.Message.Payload) != "x" {
			t.Error("it is not seen after it")
		}
	})
}

// Rule 6: the SUBACK of a durable session promises its retained messages, too, over a crash right after it.
func TestTheReplayOfRetainedMessagesSurvivesACrashRightAfterSuback(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const n = 5
		for i := range n {
			m := publishOf(fmt.Sprint("r/", i), "x", 1, 1)
			m.Retain = true
			publish(t, w, "pub", m)
		}
		sub := w.durable(t, "sub")
		sub.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "r/#", QoS: 1}}})
		sub.next(mqtt.SUBACK)
		w.crash()
		sub = w.durable(t, "sub")
		for i := range n {
			m := sub.next(mqtt.PUBLISH).(*mqtt.Publish)
			if string(m.Topic) != fmt.Sprint("r/", i) || !m.Retain {
				t.Errorf("got %s with RETAIN %v", m.Topic, m.Retain)
			}
		}
		sub.nothing("after all retained messages")
	})
}

// Rule 6: what is retained after the subscription comes as it is published, and not once more as a retained message.
func TestTopicsThatChangedSinceTheSubscriptionAreNotReplayed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		retain := func(topic, payload string) {
			m := publishOf(topic, payload, 1, 1)
			m.Retain = true
			publish(t, w, "pub", m)
		}
		want := map[string]int{"r/new new": 1}
		for i := range 2 * replayEntries { // more than are fetched at once
			topic := fmt.Sprintf("r/%02d", i)
			retain(topic, "old")
			want[topic+" old"] = 1
		}
		delete(want, fmt.Sprintf("r/%02d old", replayEntries+1))
		want[fmt.Sprintf("r/%02d new", replayEntries+1)] = 1
		p, _ := w.connect(&mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 6000, ReceiveMaximum: 1})
		sub := listen(t, "sub", p)
		sub.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "r/#", QoS: 1}}})
		sub.next(mqtt.SUBACK)
		retain("r/new", "new") // while the first waits for its PUBACK
		retain(fmt.Sprintf("r/%02d", replayEntries+1), "new")
		got := map[string]int{}
		for {
			synctest.Wait()
			select {
			case pk := <-sub.got:
				m := pk.(*mqtt.Publish)
				got[fmt.Sprint(string(m.Topic), " ", string(m.Payload))]++
				sub.send(&mqtt.Puback{Ack: ids(m.PacketID)})
				continue
			default:
			}
			break
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// Rule 7: acknowledgements address a connection: what an old connection had pending is not acknowledged on a new one whose
// client gave the identifier to another message.
func TestAnAckReachesNoOtherConnection(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscriber(t, "sub", "t", 1)
		old := w.durable(t, "pub")
		w.engine.hold()
		old.send(publishOf("t", "x", 1, 7))
		synctest.Wait()
		_ = old.p.conn.Close()
		fresh := listen(t, "the new connection", &peer{conn: w.dial(), version: mqtt.V5})
		fresh.send(&mqtt.Connect{Version: mqtt.V5, ClientID: "pub", SessionExpirySeconds: 6000})
		w.engine.let()
		fresh.next(mqtt.CONNACK)
		fresh.nothing("after CONNACK")
	})
}

// Rule 9: a will that was due, and a delayed message, come once over a crash right after them: publishing it and forgetting
// that it waits is one unit.
func TestAWillAndADelayedMessageFireOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sub := w.subscriber(t, "sub", "w/#", 2)
		dying, _ := w.connect(&mqtt.Connect{ClientID: "dying", SessionExpirySeconds: 6000,
			Will: &mqtt.Will{Topic: "w/will", Payload: []byte("x"), QoS: 2, DelaySeconds: 5}})
		publish(t, w, "pub", publishOf("$delayed/5/w/delayed", "x", 2, 1))
		_ = dying.conn.Close()
		pause(4 * time.Second)
		sub.nothing("before the time")
		got := map[string]int{}
		take := func(l *listening) {
			for {
				pause(time.Second)
				select {
				case pk := <-l.got:
					switch pk := pk.(type) {
					case *mqtt.Publish:
						got[string(pk.Topic)]++
						l.send(&mqtt.Pubrec{Ack: ids(pk.PacketID)})
					case *mqtt.Pubrel:
						l.send(&mqtt.Pubcomp{Ack: ids(pk.PacketID)})
					}
					continue
				default:
				}
				return
			}
		}
		take(sub)
		for range 2 {
			w.crash()
			pause(20 * time.Second)
			take(w.durable(t, "sub"))
		}
		if fmt.Sprint(got) != "map[w/delayed:1 w/will:1]" {
			t.Errorf("got %v", got)
		}
	})
}

// Rules 9 and 11: what the broker owes is not lost when its time comes on a full disk.
func TestAWillAndADelayedMessageWaitForRoom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sub := w.subscriber(t, "sub", "w/#", 1)
		p, _ := w.connect(&mqtt.Connect{ClientID: "ephemeral", CleanStart: true})
		p.subscribe(t, "w/#", 0)
		ephemeral := listen(t, "ephemeral", p)
		dying, _ := w.connect(&mqtt.Connect{ClientID: "dying", SessionExpirySeconds: 6000,
			Will: &mqtt.Will{Topic: "w/will", Payload: []byte("x"), QoS: 1, DelaySeconds: 5}})
		publish(t, w, "pub", publishOf("$delayed/7/w/delayed", "x", 1, 1))
		_ = dying.conn.Close()
		synctest.Wait()
		w.engine.refuse(storage.ErrFull)
		pause(20 * time.Second)
		sub.nothing("without room")
		w.engine.refuse(nil)
		pause(3 * time.Second)
		got := map[string]bool{}
		for range 2 {
			m := sub.next(mqtt.PUBLISH).(*mqtt.Publish)
			got[string(m.Topic)] = true
			sub.send(&mqtt.Puback{Ack: ids(m.PacketID)})
			ephemeral.next(mqtt.PUBLISH)
		}
		if !got["w/will"] || !got["w/delayed"] {
			t.Errorf("got %v", got)
		}
		sub.nothing("after both")
		ephemeral.nothing("after both")
	})
}

// Rule 11: on a full log version 5 hears 0x97, and older clients lose the connection, without an acknowledgement.
func TestAFullLogIsToldToEveryVersion(t *testing.T) {
	for _, tt := range []struct {
		version mqtt.Version
		err     error
		code    mqtt.ReasonCode
	}{{mqtt.V5, storage.ErrFull, mqtt.QuotaExceeded}, {mqtt.V311, storage.ErrFull, 0}, {mqtt.V31, storage.ErrFull, 0}, {mqtt.V5, errors.New("EIO"), mqtt.UnspecifiedError}} {
		t.Run(fmt.Sprint(tt.version, " ", tt.err), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.subscriber(t, "sub", "t", 2)
				for qos := mqtt.QoS(1); qos <= 2; qos++ {
					p, _ := w.connect(&mqtt.Connect{Version: tt.version, ClientID: "pub", CleanStart: true})
					w.engine.refuse(tt.err)
					if err := p.send(publishOf("t", "x", qos, 1)); err != nil {
						t.Fatal(err)
					}
					pk, err := p.receive()
					w.engine.refuse(nil)
					code := mqtt.ReasonCode(0)
					switch pk := pk.(type) {
					case *mqtt.Puback:
						code = pk.Code
					case *mqtt.Pubrec:
						code = pk.Code
					}
					if tt.version < mqtt.V5 {
						if err == nil {
							t.Errorf("QoS %d: got %+v", qos, pk)
						}
					} else if err != nil || code != tt.code {
						t.Errorf("QoS %d: got %+v, %v", qos, pk, err)
					}
					_ = p.conn.Close()
				}
			})
		})
	}
}

// Rule 12: nothing waits for a commit but those who asked for it.
func TestACommitThatTakesLongHoldsUpNobodyElse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.subscriber(t, "durable", "t", 1)
		p, _ := w.connect(&mqtt.Connect{ClientID: "ephemeral", CleanStart: true})
		p.subscribe(t, "#", 1)
		ephemeral := listen(t, "ephemeral", p)
		pub := w.durable(t, "pub")
		q, _ := w.connect(&mqtt.Connect{ClientID: "other", CleanStart: true})
		other := listen(t, "other", q)
		w.engine.hold()
		pub.send(publishOf("t", "x", 1, 1))
		ephemeral.next(mqtt.PUBLISH)
		pub.send(&mqtt.Pingreq{})
		for _, l := range []*listening{other, ephemeral} {
			l.send(&mqtt.Pingreq{})
			l.next(mqtt.PINGRESP)
		}
		other.send(publishOf("elsewhere", "y", 0, 0))
		ephemeral.next(mqtt.PUBLISH)
		waiting := listen(t, "a CONNECT that waits", &peer{conn: w.dial(), version: mqtt.V5})
		waiting.send(&mqtt.Connect{Version: mqtt.V5, ClientID: "new", SessionExpirySeconds: 60})
		waiting.nothing("before its commit")
		other.send(publishOf("elsewhere", "z", 1, 1))
		other.next(mqtt.PUBACK)
		w.engine.let()
		waiting.next(mqtt.CONNACK)
	})
}
