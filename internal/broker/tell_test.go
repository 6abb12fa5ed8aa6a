package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// lost is a way for a message to get lost on purpose.
type lost struct {
	sets      []string
	lose      func(t *testing.T, w *world)
	reason    message.DropReason
	client    string // whose copy; "": the message as a whole
	topic     string // "": it is not at hand
	text      string // a part of what is said about it
	uncounted bool   // it is not lost as a whole
	atLeast   int64
}

// slept is a session without a connection, for which n messages were published with QoS 1.
func slept(n int, p mqtt.PublishProperties) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		asleep(to("a/b", 1))(t, w)
		for i := range n {
			m := publishOf("a/b", "x", 1, uint16(i+1))
			m.Properties = p
			publish(t, w, "pub", m)
			synctest.Wait() // what waits is counted after the acknowledgement
		}
	}
}

func expiresAfter(seconds uint32) (p mqtt.PublishProperties) {
	p.Present.Add(mqtt.PropMessageExpiry)
	p.MessageExpirySeconds = seconds
	return p
}

func losses(acl string) map[string]lost {
	return map[string]lost{
		"nobody subscribes": {lose: func(t *testing.T, w *world) { publish(t, w, "pub", publishOf("a/b", "x", 1, 1)) }, reason: message.DropNoSubscriber, topic: "a/b"},
		"a full queue in the log": {sets: []string{"session.queue_max_messages=2"}, reason: message.DropQueueFull, client: "sub", topic: "a/b", atLeast: 3,
			lose: func(t *testing.T, w *world) { slept(5, mqtt.PublishProperties{})(t, w); pause(5 * time.Second) }},
		"a full queue, refused":  {sets: []string{"session.queue_max_messages=2", "session.on_full=reject"}, lose: slept(3, mqtt.PublishProperties{}), reason: message.DropQueueFull, topic: "a/b"},
		"a full queue in memory": {sets: []string{"session.queue_memory_messages=1"}, lose: window(3), reason: message.DropQueueFull, client: "sub", topic: "a/b"},
		"expired": {reason: message.DropExpired, client: "sub", topic: "a/b", lose: func(t *testing.T, w *world) {
			slept(1, expiresAfter(5))(t, w)
			pause(10 * time.Second)
			w.sub(t, false)
			synctest.Wait()
		}},
		"too old": {sets: []string{"session.queue_max_seconds=5"}, reason: message.DropQueueAge, client: "sub", topic: "a/b", lose: func(t *testing.T, w *world) {
			slept(1, mqtt.PublishProperties{})(t, w)
			pause(10 * time.Second)
			w.sub(t, false)
			synctest.Wait()
		}},
		"not for the subscriber": {sets: []string{"auth.acl_file=" + acl}, reason: message.DropNotAuthorized, client: "sub", topic: "secret", lose: func(t *testing.T, w *world) {
			w.sub(t, true, to("#", 1))
			publish(t, w, "pub", publishOf("secret", "x", 1, 1))
		}},
		"not from the publisher": {sets: []string{"auth.acl_file=" + acl}, reason: message.DropNotAuthorized, client: "mute", topic: "mute/x", lose: func(t *testing.T, w *world) {
			publish(t, w, "mute", publishOf("mute/x", "x", 1, 1))
		}},
		"too large": {reason: message.DropTooLarge, client: "sub", topic: "a/b", lose: func(t *testing.T, w *world) {
			p, _ := w.connect(&mqtt.Connect{ClientID: "sub", CleanStart: true, MaximumPacketSize: 50})
			p.subscribe(t, "a/b", 1)
			publish(t, w, "pub", publishOf("a/b", strings.Repeat("x", 100), 1, 1))
		}},
		"a slow consumer": {sets: []string{"mqtt.out_buffer_max_bytes=65536", "session.queue_memory_messages=1"}, reason: message.DropSlowConsumer, client: "sub", topic: "a/b", lose: func(t *testing.T, w *world) {
			w.sub(t, true, to("a/b", 0))
			for range 8 {
				publish(t, w, "pub", &mqtt.Publish{Topic: []byte("a/b"), Payload: make([]byte, 64<<10)})
			}
		}},
		"offline": {reason: message.DropOffline, client: "sub", topic: "a/b", lose: func(t *testing.T, w *world) {
			asleep(to("a/b", 1))(t, w)
			publish(t, w, "pub", publishOf("a/b", "x", 0, 0))
		}},
		"refused": {reason: message.DropRefused, client: "sub", topic: "a/b", lose: func(t *testing.T, w *world) {
			p := w.sub(t, true, to("a/b", 1))
			publish(t, w, "pub", publishOf("a/b", "x", 1, 1))
			sendTo(t, p, &mqtt.Puback{Ack: mqtt.Ack{PacketID: 1, Code: mqtt.UnspecifiedError}})
		}},
		"with its session": {reason: message.DropSessionEnded, client: "sub", lose: func(t *testing.T, w *world) {
			p := w.sub(t, false, to("a/b", 1))
			publish(t, w, "pub", publishOf("a/b", "x", 1, 1))
			synctest.Wait()
			_ = p.conn.Close()
			synctest.Wait()
			w.sub(t, true)
		}},
		"by all of a group": {sets: []string{"auth.acl_file=" + acl}, reason: message.DropNotAuthorized, client: "$share/g/#", topic: "secret", lose: func(t *testing.T, w *world) {
			w.sub(t, true, to("$share/g/#", 1))
			publish(t, w, "pub", publishOf("secret", "x", 1, 1))
		}},
		"a topic that is too deep": {sets: []string{"mqtt.max_topic_levels=2"}, reason: message.DropInvalid, client: "pub", topic: "a/b/c", text: "mqtt.max_topic_levels", lose: func(t *testing.T, w *world) {
			publish(t, w, "pub", publishOf("a/b/c", "x", 1, 1))
		}},
		"to a stream": {reason: message.DropInvalid, client: "pub", topic: "$stream/s", text: "not published to", lose: func(t *testing.T, w *world) {
			publish(t, w, "pub", publishOf("$stream/s", "x", 1, 1))
		}},
		"a QoS that is switched off": {sets: []string{"mqtt.max_qos=0"}, reason: message.DropInvalid, client: "pub", topic: "a/b", text: "mqtt.max_qos", lose: func(t *testing.T, w *world) {
			publish(t, w, "pub", publishOf("a/b", "x", 1, 1))
		}},
		"RETAIN that is switched off": {sets: []string{"mqtt.retain_available=false"}, reason: message.DropInvalid, client: "pub", topic: "a/b", text: "mqtt.retain_available", lose: func(t *testing.T, w *world) {
			m := publishOf("a/b", "x", 1, 1)
			m.Retain = true
			publish(t, w, "pub", m)
		}},
		"beyond the receive maximum": {sets: []string{"mqtt.receive_maximum=2"}, reason: message.DropLimit, client: "pub", topic: "a/b", text: "mqtt.receive_maximum", lose: func(t *testing.T, w *world) {
			p, _ := w.connect(&mqtt.Connect{ClientID: "pub", CleanStart: true})
			for id := range uint16(3) {
				sendTo(t, p, publishOf("a/b", "x", 2, id+1))
			}
		}},
		"larger than a packet may be": {sets: []string{"mqtt.max_packet_bytes=1000"}, reason: message.DropLimit, client: "pub", text: "mqtt.max_packet_bytes", lose: func(t *testing.T, w *world) {
			publish(t, w, "pub", publishOf("a/b", strings.Repeat("x", 2000), 1, 1))
		}},
		"more than may be retained": {sets: []string{"limits.max_retained_messages=1"}, reason: message.DropLimit, uncounted: true, client: "pub", topic: "a/2", text: "not retained", lose: func(t *testing.T, w *world) {
			for id, topic := range []string{"a/1", "a/2"} {
				m := publishOf(topic, "x", 1, uint16(id+1))
				m.Retain = true
				publish(t, w, "pub", m)
			}
		}},
		"a bad delay": {reason: message.DropLimit, topic: "$delayed/never/a", lose: func(t *testing.T, w *world) {
			publish(t, w, "pub", publishOf("$delayed/never/a", "x", 1, 1))
		}},
	}
}

// Whoever looks for a message that was dropped on purpose finds it, with its reason, by the client or by the topic.
func TestEachDropIsRememberedWithItsReason(t *testing.T) {
	acl := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(acl, []byte(explainACL), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, x := range losses(acl) {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				x.lose(t, w)
				synctest.Wait()
				x.check(t, w)
			}, x.sets...)
		})
	}
}

func (x *lost) check(t *testing.T, w *world) {
	who := x.client
	if who == "" {
		who = "pub"
	}
	found := w.b.Trace().Events(trace.Query{ClientID: who, Reason: x.reason.String()})
	if len(found) == 0 || int64(len(found)) < x.atLeast {
		t.Fatalf("%d events of %v", len(found), w.b.Trace().Events(trace.Query{}))
	}
	e := found[len(found)-1]
	if e.ClientID != x.client || e.Message.Topic != x.topic {
		t.Errorf("%+v", e)
	}
	if x.topic != "" && len(w.b.Trace().Stories(trace.Query{Topic: x.topic})) == 0 {
		t.Error("its message is not found")
	}
	if n, told := w.b.metrics.Dropped(x.reason), int64(0); x.client == "sub" {
		for _, y := range w.b.Trace().Tallies("sub") {
			if y.Reason == x.reason {
				told = y.Count
			}
		}
		if n != told {
			t.Errorf("%d were dropped, and %d are remembered", n, told)
		}
	}
	if n := w.b.metrics.Dropped(x.reason); (n == 0) != x.uncounted || !strings.Contains(e.Text, x.text) {
		t.Errorf("%d counted, and told %q", n, e.Text)
	}
	if x.reason == message.DropNotAuthorized && x.client == "mute" && !strings.Contains(e.Text, ":4)") {
		t.Errorf("the rule is not said: %q", e.Text)
	}
}

func TestRefusedConnectionsAndEndsAreRemembered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if _, err := w.b.Ban(context.Background(), builtin.Ban{As: builtin.BanClientID, Who: "bad", Reason: "spam"}); err != nil {
			t.Fatal(err)
		}
		w.connect(&mqtt.Connect{ClientID: "bad", CleanStart: true})
		w.connect(&mqtt.Connect{ClientID: "c", CleanStart: true})
		p, _ := w.connect(&mqtt.Connect{ClientID: "c", CleanStart: true}) // takes over
		synctest.Wait()
		sendTo(t, p, &mqtt.Disconnect{Code: mqtt.DisconnectWithWill})
		synctest.Wait()
		q, _ := w.connect(&mqtt.Connect{ClientID: "lost", CleanStart: true})
		_ = q.conn.Close()
		synctest.Wait()
		for _, want := range []struct {
			client string
			kind   trace.Kind
			code   mqtt.ReasonCode
			text   string
		}{
			{"bad", trace.ConnectRefused, mqtt.Banned, `clientid "bad" is banned (spam)`},
			{"c", trace.Disconnected, mqtt.SessionTakenOver, "the broker closed it: another connection uses this client id"},
			{"c", trace.Disconnected, mqtt.DisconnectWithWill, "the client said DISCONNECT"},
			{"lost", trace.Disconnected, 0, "the connection was lost"},
		} {
			ok := false
			for _, e := range w.b.Trace().Events(trace.Query{ClientID: want.client}) {
				ok = ok || e.Kind == want.kind && e.Code == want.code && strings.Contains(e.Text, want.text) && e.Remote != nil
			}
			if !ok {
				t.Errorf("%+v is not among %+v", want, w.b.Trace().Events(trace.Query{ClientID: want.client}))
			}
		}
	})
}

// kindsOf lists what happened to a message, and to whom.
func kindsOf(s *trace.Story) string {
	var all []string
	for _, e := range s.Events {
		all = append(all, strings.TrimSpace(e.Kind.String()+" "+e.ClientID))
	}
	return strings.Join(all, ", ")
}

// The way of a message that came over HTTP is known to its end without anybody having asked before.
func TestAMessageOverHTTPCanBeFollowed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sub := w.subscriber(t, "sub", "a/b", 1)
		away := w.durable(t, "away")
		away.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{to("a/#", 2)}})
		away.next(mqtt.SUBACK)
		away.send(&mqtt.Disconnect{})
		synctest.Wait()
		id, code, err := w.b.Inject(t.Context(), Outgoing{Topic: "a/b", QoS: 2, Payload: []byte("x")})
		if err != nil || code.Failed() {
			t.Fatal(code, err)
		}
		m := sub.next(mqtt.PUBLISH).(*mqtt.Publish)
		sub.send(&mqtt.Puback{Ack: ids(m.PacketID)})
		synctest.Wait()
		pause(time.Minute)
		away = w.durable(t, "away")
		got := away.next(mqtt.PUBLISH).(*mqtt.Publish)
		away.send(&mqtt.Pubrec{Ack: ids(got.PacketID)})
		away.next(mqtt.PUBREL)
		away.send(&mqtt.Pubcomp{Ack: ids(got.PacketID)})
		synctest.Wait()
		stories := w.b.Trace().Stories(trace.Query{MessageID: id})
		if len(stories) != 1 {
			t.Fatalf("%+v", w.b.Trace().Events(trace.Query{}))
		}
		if got, want := kindsOf(&stories[0]), "routed, stored, queued away, sent sub, acknowledged sub, sent away, acknowledged away"; !sameSteps(got, want) {
			t.Errorf("%s\ninstead of\n%s", got, want)
		}
		for _, e := range stories[0].Events {
			if e.Kind == trace.Routed && (e.Count != 2 || len(e.List) != 2) {
				t.Errorf("%+v", e)
			}
		}
	})
}

// sameSteps compares two lists without their order: a commit and a delivery may come at the same instant.
func sameSteps(a, b string) bool {
	count := map[string]int{}
	for _, s := range strings.Split(a, ", ") {
		count[s]++
	}
	for _, s := range strings.Split(b, ", ") {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// A trace of a client has its packets both ways and what became of its messages, and no secret.
func TestATraceOfAClientHasItsPacketsAndNoSecrets(t *testing.T) {
	dir := t.TempDir()
	inWorld(t, func(t *testing.T, w *world) {
		now := time.Now()
		if _, err := w.b.Trace().Create(trace.Config{Name: "x", Type: trace.ByClientID, Value: "dev", StartAt: now, EndAt: now.Add(time.Hour), Payload: trace.Hidden, JSON: true}); err != nil {
			t.Fatal(err)
		}
		p, _ := w.connect(&mqtt.Connect{ClientID: "dev", CleanStart: true, HasUsername: true, Username: "alice", HasPassword: true, Password: []byte("hunter2")})
		exchange[*mqtt.Suback](t, p, &mqtt.Subscribe{PacketID: 7, Filters: []mqtt.FilterOptions{to("a/b", 1), to("c", 0)}})
		exchange[*mqtt.Puback](t, p, publishOf("nowhere", "top secret", 1, 8))
		other, _ := w.connect(&mqtt.Connect{ClientID: "other", CleanStart: true})
		sendTo(t, other, publishOf("a/b", "top secret", 1, 9))
		got, err := p.receive()
		if err != nil {
			t.Fatal(err)
		}
		sendTo(t, p, &mqtt.Puback{Ack: ids(got.(*mqtt.Publish).PacketID)})
		exchange[*mqtt.Pingresp](t, p, &mqtt.Pingreq{})
		sendTo(t, p, &mqtt.Disconnect{})
		synctest.Wait()
		f, _, err := w.b.Trace().OpenLog("x")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(f)
		_ = f.Close()
		if bytes.Contains(text, []byte("hunter2")) || bytes.Contains(text, []byte("secret")) {
			t.Errorf("a secret: %s", text)
		}
		var lines []string
		for line := range strings.Lines(string(text)) {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			what, _ := e["packet"].(string)
			topic, _ := e["topic"].(string)
			lines = append(lines, strings.Join(strings.Fields(e["event"].(string)+" "+what+" "+topic), " "))
		}
		want := "packet_in CONNECT, packet_out CONNACK, connected, packet_in SUBSCRIBE, packet_out SUBACK, packet_in PUBLISH nowhere, received nowhere, routed nowhere, dropped nowhere, " +
			"packet_out PUBACK, sent PUBLISH a/b, packet_in PUBACK, acknowledged PUBACK a/b, packet_in PINGREQ, packet_out PINGRESP, packet_in DISCONNECT, disconnected"
		if got := strings.Join(lines, ", "); got != want {
			t.Errorf("%s\ninstead of\n%s", got, want)
		}
	}, "data_dir="+dir, "auth.allow_anonymous=true")
}
