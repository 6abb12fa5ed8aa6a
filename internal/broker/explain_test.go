package broker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// explained is a situation, what is said about it, and so what has to happen when the message is published.
type explained struct {
	sets    []string
	prepare func(t *testing.T, w *world)
	q       ExplainQuery // of a subscriber "sub"; From.ClientID is the publisher, "pub" if it is nil
	qos0    bool         // not 1
	outcome ExplainOutcome
	verdict string // a part of it
	reason  message.DropReason
}

// sub connects the client sub, which stays unless clean, and subscribes it.
func (w *world) sub(t *testing.T, clean bool, filters ...mqtt.FilterOptions) *peer {
	t.Helper()
	c := &mqtt.Connect{ClientID: "sub", CleanStart: clean}
	if !clean {
		c.SessionExpirySeconds = 600
	}
	p, _ := w.connect(c)
	for _, f := range filters {
		exchange[*mqtt.Suback](t, p, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{f}})
	}
	return p
}

func to(filter string, qos mqtt.QoS) mqtt.FilterOptions {
	return mqtt.FilterOptions{Filter: filter, QoS: qos}
}

func subscribed(filters ...mqtt.FilterOptions) func(*testing.T, *world) {
	return func(t *testing.T, w *world) { w.sub(t, true, filters...) }
}

// asleep is a session without a connection.
func asleep(filters ...mqtt.FilterOptions) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		sendTo(t, w.sub(t, false, filters...), &mqtt.Disconnect{})
		synctest.Wait()
	}
}

func explanations(acl string) map[string]explained {
	return map[string]explained{
		"connected":         {prepare: subscribed(to("a/+", 1)), outcome: WouldDeliver, verdict: "at once"},
		"several filters":   {prepare: subscribed(to("a/+", 0), to("#", 1)), outcome: WouldDeliver},
		"no session":        {outcome: WouldNotDeliver, verdict: "no session of that client id", reason: message.DropNoSubscriber},
		"nothing matches":   {prepare: subscribed(to("x/#", 1), to("y", 0)), outcome: WouldNotDeliver, verdict: "none of its 2 subscriptions", reason: message.DropNoSubscriber},
		"no subscription":   {prepare: subscribed(), outcome: WouldNotDeliver, verdict: "no subscription at all", reason: message.DropNoSubscriber},
		"another capital":   {prepare: subscribed(to("A/#", 1)), outcome: WouldNotDeliver, verdict: `"A/#" would, if capitals`, reason: message.DropNoSubscriber},
		"a slash before":    {prepare: subscribed(to("/a/#", 1)), outcome: WouldNotDeliver, verdict: "the filter begins with a /", reason: message.DropNoSubscriber},
		"a slash behind":    {prepare: subscribed(to("a/b/", 1)), outcome: WouldNotDeliver, verdict: "the filter ends with a /", reason: message.DropNoSubscriber},
		"a wildcard and $":  {prepare: subscribed(to("#", 1)), q: ExplainQuery{Topic: "$data/b"}, outcome: WouldNotDeliver, verdict: `subscribe to "$data/#"`, reason: message.DropNoSubscriber},
		"No Local":          {prepare: subscribed(mqtt.FilterOptions{Filter: "a/b", QoS: 1, NoLocal: true}), q: ExplainQuery{From: &ExplainSender{ClientID: "sub"}}, outcome: WouldNotDeliver, verdict: "No Local"},
		"No Local of two":   {prepare: subscribed(mqtt.FilterOptions{Filter: "a/b", QoS: 1, NoLocal: true}, to("#", 1)), q: ExplainQuery{From: &ExplainSender{ClientID: "sub"}}, outcome: WouldDeliver},
		"asleep":            {prepare: asleep(to("a/b", 1)), outcome: WouldWait, verdict: "its session ends in 10m0s"},
		"asleep, QoS 0":     {prepare: asleep(to("a/b", 0)), outcome: WouldNotDeliver, verdict: "QoS 0 is not kept", reason: message.DropOffline},
		"asleep, and kept":  {sets: []string{"session.queue_qos0=true"}, prepare: asleep(to("a/b", 0)), outcome: WouldWait},
		"a delay":           {prepare: subscribed(to("a/b", 1)), q: ExplainQuery{Topic: "$delayed/60/a/b"}, outcome: WouldWait, verdict: "when its delay is over"},
		"the window":        {prepare: window(1), outcome: WouldWait, verdict: "1 messages are sent to it and not acknowledged, and it takes 1"},
		"QoS 0 past it":     {prepare: window(0), outcome: WouldDeliver, qos0: true},
		"a full queue":      {sets: []string{"session.queue_memory_messages=1"}, prepare: window(2), outcome: WouldNotDeliver, verdict: "(queue_full)", reason: message.DropQueueFull},
		"rejected":          {sets: []string{"session.on_full=reject", "session.queue_max_messages=1"}, prepare: fullAsleep, outcome: WouldNotDeliver, verdict: "0x97", reason: message.DropQueueFull},
		"a group of one":    {prepare: subscribed(to("$share/g/a/b", 1)), outcome: WouldDeliver},
		"a group of two":    {prepare: groupOfTwo, outcome: MayDeliver, verdict: "2 members"},
		"and its own":       {prepare: func(t *testing.T, w *world) { groupOfTwo(t, w); w.sub(t, true, to("$share/g/a/b", 1), to("a/b", 1)) }, outcome: WouldDeliver},
		"a stream":          {sets: []string{"streams.s.filters=a/#"}, prepare: subscribed(to("$stream/s/a/b", 1)), outcome: WouldDeliver},
		"may not publish":   {sets: []string{"auth.acl_file=" + acl}, prepare: subscribed(to("mute/#", 1)), q: ExplainQuery{Topic: "mute/x", From: &ExplainSender{ClientID: "mute"}}, outcome: WouldNotDeliver, verdict: acl + ":4", reason: message.DropNotAuthorized},
		"may not receive":   {sets: []string{"auth.acl_file=" + acl}, prepare: subscribed(to("#", 1)), q: ExplainQuery{Topic: "secret"}, outcome: WouldNotDeliver, verdict: "no rule is about this", reason: message.DropNotAuthorized},
		"a topic too long":  {sets: []string{"mqtt.max_topic_levels=2"}, prepare: subscribed(to("#", 1)), q: ExplainQuery{Topic: "a/b/c"}, outcome: WouldNotDeliver, verdict: "max_topic_levels"},
		"a stream's topic":  {q: ExplainQuery{Topic: "$stream/s"}, outcome: WouldNotDeliver, verdict: "read and not published to"},
		"the broker's":      {prepare: subscribed(to("$SYS/#", 1)), q: ExplainQuery{Topic: "$SYS/x", From: &ExplainSender{ClientID: "pub"}}, outcome: WouldNotDeliver, verdict: "$SYS"},
		"a banned client":   {prepare: func(t *testing.T, w *world) { asleep(to("a/b", 1))(t, w); banned(t, w) }, outcome: WouldNotDeliver, verdict: `clientid "sub" is banned for good (spam)`},
		"a publisher's ban": {prepare: func(t *testing.T, w *world) { w.sub(t, true, to("a/b", 1)); banned(t, w) }, q: ExplainQuery{ClientID: "other", From: &ExplainSender{ClientID: "sub"}}, outcome: WouldNotDeliver, verdict: "is banned"},
	}
}

const explainACL = "topic readwrite a/+\ntopic write secret\ntopic read mute/#\npattern deny %c/#\n"

// window is a subscriber that takes one message at a time; n were published.
func window(n int) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		p, _ := w.connect(&mqtt.Connect{ClientID: "sub", CleanStart: true, ReceiveMaximum: 1})
		p.subscribe(t, "a/b", 1)
		for i := range n {
			publish(t, w, "before", publishOf("a/b", "x", 1, uint16(i+1)))
		}
		synctest.Wait()
	}
}

func fullAsleep(t *testing.T, w *world) {
	asleep(to("a/b", 1))(t, w)
	publish(t, w, "before", publishOf("a/b", "x", 1, 1))
	synctest.Wait()
}

func groupOfTwo(t *testing.T, w *world) {
	w.sub(t, true, to("$share/g/a/b", 1))
	p, _ := w.connect(&mqtt.Connect{ClientID: "other", CleanStart: true})
	p.subscribe(t, "$share/g/a/b", 1)
}

func banned(t *testing.T, w *world) {
	if _, err := w.b.Ban(context.Background(), builtin.Ban{As: builtin.BanClientID, Who: "sub", Reason: "spam"}); err != nil {
		t.Fatal(err)
	}
}

// What is said of a message comes true when it is published.
func TestAnExplanationComesTrue(t *testing.T) {
	acl := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(acl, []byte(explainACL), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, x := range explanations(acl) {
		t.Run(name, func(t *testing.T) { inWorld(t, func(t *testing.T, w *world) { x.check(t, w) }, x.sets...) })
	}
}

func (x *explained) check(t *testing.T, w *world) {
	if x.prepare != nil {
		x.prepare(t, w)
	}
	q := x.q
	if q.ClientID == "" {
		q.ClientID = "sub"
	}
	if q.Topic == "" {
		q.Topic = "a/b"
	}
	q.QoS = mqtt.AtLeastOnce
	if x.qos0 {
		q.QoS = mqtt.AtMostOnce
	}
	e := w.b.Explain(q)
	if e.Outcome != x.outcome || !strings.Contains(e.Verdict, x.verdict) {
		t.Errorf("%s: %s\n%+v", e.Outcome, e.Verdict, e.Steps)
	}
	from := "pub"
	if q.From != nil {
		from = q.From.ClientID
	}
	if strings.HasPrefix(x.verdict, "is banned") {
		return // and so nobody publishes
	}
	before, sent := w.b.metrics.DroppedTotal()+w.b.metrics.Dropped(message.DropNoSubscriber), w.b.metrics.PublishSent.Load()
	named := w.b.metrics.Dropped(x.reason)
	c := w.publisher(t, from)
	sendTo(t, c, publishOf(q.Topic, "x", q.QoS, 9))
	synctest.Wait()
	dropped := w.b.metrics.DroppedTotal() + w.b.metrics.Dropped(message.DropNoSubscriber) - before
	sent = w.b.metrics.PublishSent.Load() - sent
	switch {
	case x.outcome == WouldNotDeliver && (sent > 0 || x.reason != message.NotDropped && w.b.metrics.Dropped(x.reason) != named+1):
		t.Errorf("sent %d times, dropped %d times for %s", sent, w.b.metrics.Dropped(x.reason)-named, x.reason)
	case x.outcome == WouldWait && (sent > 0 || dropped > 0):
		t.Errorf("instead of waiting it was sent %d times and dropped %d times", sent, dropped)
	case (x.outcome == WouldDeliver || x.outcome == MayDeliver) && (sent == 0 || dropped > 0):
		t.Errorf("sent %d times and dropped %d times", sent, dropped)
	}
}

// publisher is a connection of a client; of sub, the one that it has.
func (w *world) publisher(t *testing.T, id string) *peer {
	t.Helper()
	if id == "sub" {
		return &peer{conn: w.conns[len(w.conns)-1], version: mqtt.V5}
	}
	p, _ := w.connect(&mqtt.Connect{ClientID: id, CleanStart: true})
	return p
}

func TestAnExplanationShowsTheSubscriptionsAndTheirGroup(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		groupOfTwo(t, w)
		publish(t, w, "pub", &mqtt.Publish{Topic: []byte("a/b"), QoS: 1, PacketID: 1, Retain: true, Payload: []byte("12345")})
		e := w.b.Explain(ExplainQuery{ClientID: "sub", Topic: "a/b", QoS: 1})
		if len(e.Subscriptions) != 1 || e.Subscriptions[0].Filter != "$share/g/a/b" || e.Subscriptions[0].Kind != "shared" {
			t.Fatalf("%+v", e.Subscriptions)
		}
		if g := e.Subscriptions[0].Group; g.Name != "g" || g.Members != 2 || g.Ready != 2 || g.Strategy != "round_robin" || len(g.SomeOfThem) != 2 {
			t.Errorf("%+v", g)
		}
		last := e.Steps[len(e.Steps)-1]
		if last.Name != "retained" || !strings.Contains(last.Why, `5 bytes with QoS 1`) || !strings.Contains(last.Why, `"pub"`) {
			t.Errorf("%+v", last)
		}
	})
}

// A connection whose client reads nothing holds deliveries back, and then QoS 0 is dropped.
func TestAnExplanationSaysThatAClientDoesNotRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p, _ := w.connect(&mqtt.Connect{ClientID: "sub", CleanStart: true, MaximumPacketSize: 70_000})
		p.subscribe(t, "a/b", 0)
		pub, _ := w.connect(&mqtt.Connect{ClientID: "pub", CleanStart: true})
		fill := func() {
			for range 4 {
				sendTo(t, pub, &mqtt.Publish{Topic: []byte("a/b"), Payload: make([]byte, 64<<10)})
			}
			synctest.Wait()
		}
		fill()
		e := w.b.Explain(ExplainQuery{ClientID: "sub", Topic: "a/b"})
		if e.Outcome != WouldWait || !strings.Contains(e.Verdict, "it does not read") {
			t.Errorf("%+v", e)
		}
		fill()
		e = w.b.Explain(ExplainQuery{ClientID: "sub", Topic: "a/b"})
		if e.Outcome != WouldNotDeliver || !strings.Contains(e.Verdict, "slow_consumer") || w.b.metrics.Dropped(message.DropSlowConsumer) == 0 {
			t.Errorf("%+v", e)
		}
		found := false
		for _, s := range e.Steps {
			found = found || s.Name == "packet_size" && strings.Contains(s.Why, "70000 bytes")
		}
		if !found {
			t.Error("the client's maximum packet size is not said")
		}
	}, "mqtt.out_buffer_max_bytes=65536", "session.queue_memory_messages=5")
}

func TestAnExplanationOfASessionThatSleepsSaysWhenItEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		asleep(to("a/b", 1))(t, w)
		pause(4 * time.Minute)
		if e := w.b.Explain(ExplainQuery{ClientID: "sub", Topic: "a/b", QoS: 1}); !strings.Contains(e.Verdict, "its session ends in 6m0s") {
			t.Error(e.Verdict)
		}
	})
}
