package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// in runs a test with a spine in virtual time.
func in(t *testing.T, o Options, test func(t *testing.T, s *Spine)) {
	t.Helper()
	o = defaults(t, o)
	synctest.Test(t, func(t *testing.T) {
		s := reopen(t, o)
		defer s.Close()
		test(t, s)
	})
}

func defaults(t *testing.T, o Options) Options {
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "trace")
	}
	if o.MaxTraces == 0 {
		o.MaxTraces = 3
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 20
	}
	if o.RecentMaxBytes == 0 {
		o.RecentMaxBytes = 8 << 20
	}
	o.PayloadMaxBytes = 4
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	return o
}

func reopen(t *testing.T, o Options) *Spine {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func messageOf(from, topic, payload string) *message.Message {
	return &message.Message{ClientID: from, Topic: topic, Payload: []byte(payload), QoS: 1, PublishedAt: time.Now()}
}

// note has a copy for a client dropped.
func (s *Spine) drop(client string, reason message.DropReason, m *message.Message) {
	s.Note(Dropped, reason, client, m, time.Now(), 1, nil)
}

func (s *Spine) start(t *testing.T, c Config) {
	t.Helper()
	if c.StartAt.IsZero() {
		c.StartAt = time.Now()
	}
	if c.EndAt.IsZero() {
		c.EndAt = c.StartAt.Add(time.Minute)
	}
	if c.Payload == "" {
		c.Payload = Hidden
	}
	if _, err := s.Create(c); err != nil {
		t.Fatal(err)
	}
}

// log returns the lines of a trace, once all is written.
func (s *Spine) log(t *testing.T, name string) []string {
	t.Helper()
	synctest.Wait()
	f, _, err := s.OpenLog(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func TestEveryReasonIsExplained(t *testing.T) {
	for _, r := range message.DropReasons() {
		if Why(r) == "" {
			t.Errorf("%s has no explanation", r)
		}
		if int(r) >= reasonClasses {
			t.Errorf("%s has no class of its own", r)
		}
	}
	for _, k := range Kinds() {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
}

// What happened to a quiet client is still there after another one had a million messages dropped for the same reason.
func TestANoisyClientPushesNobodyOut(t *testing.T) {
	in(t, Options{}, func(t *testing.T, s *Spine) {
		s.drop("quiet", message.DropQueueFull, messageOf("p", "q/1", "x"))
		time.Sleep(time.Second)
		for i := range 1_000_000 {
			s.drop("noisy", message.DropQueueFull, messageOf("p", "n", fmt.Sprint(i%7)))
			if i%100_000 == 0 {
				time.Sleep(time.Second)
			}
		}
		found := s.Events(Query{ClientID: "quiet"})
		if len(found) != 1 || found[0].Message.Topic != "q/1" || found[0].Reason != message.DropQueueFull {
			t.Fatalf("%+v", found)
		}
		if n := len(s.Events(Query{ClientID: "noisy"})); n != eventsKept {
			t.Errorf("%d events of the noisy client", n)
		}
		if tallies := s.Tallies("noisy"); len(tallies) != 1 || tallies[0].Count != 1_000_000 {
			t.Errorf("%+v", tallies)
		}
	})
}

// A flood of one reason from ever new clients leaves the other reasons alone, and the memory within its bounds.
func TestAFloodOfOneReasonLeavesTheOthersAlone(t *testing.T) {
	in(t, Options{RecentMaxBytes: 256 << 10}, func(t *testing.T, s *Spine) {
		s.drop("victim", message.DropExpired, messageOf("p", "t", "x"))
		for i := range 20_000 {
			s.Note(ConnectRefused, 0, fmt.Sprintf("stranger-%d", i), nil, time.Now(), 1, func(e *Event) { e.Text = strings.Repeat("x", 100) })
			if i%1000 == 0 {
				time.Sleep(time.Second)
			}
		}
		if found := s.Events(Query{ClientID: "victim"}); len(found) != 1 {
			t.Errorf("%+v", found)
		}
		l := &s.recent.classes[classOf(ConnectRefused, 0)]
		var bytes int64
		for el := l.order.Front(); el != nil; el = el.Next() {
			x := el.Value.(*entry)
			bytes += entryBytes + int64(len(x.key))
			for _, e := range x.events {
				bytes += sizeOf(e)
			}
		}
		if bytes != l.bytes || bytes > l.limit || len(l.entries) != l.order.Len() || l.order.Len() < 5 {
			t.Errorf("%d bytes counted as %d, limit %d, %d entries, %d in order", bytes, l.bytes, l.limit, len(l.entries), l.order.Len())
		}
	})
}

func TestEventsAreFoundByWhatTheyAreAbout(t *testing.T) {
	in(t, Options{}, func(t *testing.T, s *Spine) {
		m := messageOf("pub", "a/b", "x")
		s.drop("sub", message.DropQueueFull, m)
		time.Sleep(time.Minute)
		since := time.Now()
		s.drop("", message.DropNoSubscriber, messageOf("pub", "c", "x"))
		s.Note(Disconnected, 0, "sub", nil, time.Now(), 1, nil)
		for want, q := range map[string]Query{
			"3": {}, "2": {ClientID: "sub"}, "2 ": {ClientID: "pub"}, "1": {Topic: "a/+"}, "1 ": {Topic: "c"}, "1  ": {Reason: "queue_full"},
			"1   ": {Reason: "disconnected"}, "2  ": {Since: since}, "1    ": {MessageID: strings.ToLower(m.ID())}, "0": {ClientID: "other"}, "1     ": {Limit: 1},
		} {
			if got := fmt.Sprint(len(s.Events(q))); got != strings.TrimSpace(want) {
				t.Errorf("%+v: %s, not %s", q, got, want)
			}
		}
		if e := s.Events(Query{Limit: 1})[0]; e.Kind == Dropped && e.Reason == message.DropQueueFull {
			t.Error("the oldest comes first")
		}
	})
}

func TestNothingIsWatchedWithoutATrace(t *testing.T) {
	in(t, Options{}, func(t *testing.T, s *Spine) {
		if s.Watch() != nil || (*Spine)(nil).Watch() != nil {
			t.Fatal("something is")
		}
		m := messageOf("", "t", "x")
		s.Injected(m)
		w := s.Watch()
		if w == nil {
			t.Fatal("a message that came over HTTP is not watched")
		}
		w.Message(Sent, m, "sub", nil, time.Now(), nil)
		time.Sleep(time.Nanosecond)
		w.Message(Sent, messageOf("", "t", "x"), "sub", nil, time.Now(), nil)
		if stories := s.Stories(Query{}); len(stories) != 1 || stories[0].Message.ID != m.ID() || len(stories[0].Events) != 1 {
			t.Errorf("%+v", stories)
		}
		time.Sleep(injectedFor + time.Second)
		s.Tick(time.Now())
		if s.Watch() != nil {
			t.Error("it is watched for ever")
		}
		s.Injected(messageOf("", "t", "x"))
		if s.Watch() == nil {
			t.Error("the next one is not")
		}
	})
}

func TestATraceWritesWhatItIsAbout(t *testing.T) {
	address := &net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 4711}
	for _, tt := range []struct {
		Config
		events []string // parts of the lines
	}{
		{Config{Type: ByClientID, Value: "sub"}, []string{"sent clientid=sub", "packet_in clientid=sub"}},
		{Config{Type: ByClientID, Value: "pub"}, []string{"sent clientid=sub"}},
		{Config{Type: ByTopic, Value: "a/#"}, []string{"sent clientid=sub", "packet_in clientid=sub"}},
		{Config{Type: ByTopic, Value: "b"}, []string{"sent clientid=other"}},
		{Config{Type: ByAddress, Value: "192.0.2.7"}, []string{"packet_in clientid=sub"}},
		{Config{Type: ByAddress, Value: "192.0.2.8"}, nil},
	} {
		in(t, Options{}, func(t *testing.T, s *Spine) {
			tt.Name = "x"
			s.start(t, tt.Config)
			w := s.Watch()
			w.Message(Sent, messageOf("pub", "a/b", "secret"), "sub", nil, time.Now(), nil)
			w.Message(Sent, messageOf("p", "b", "secret"), "other", nil, time.Now(), nil)
			e := &Event{At: time.Now(), Kind: PacketIn, ClientID: "sub", Remote: address, Packet: mqtt.SUBSCRIBE, List: []string{"a/+"}}
			if w.Connection("sub", address, "", e.List) {
				w.Emit(e)
			}
			lines := s.log(t, "x")
			if strings.Join(lines, "") == "" {
				lines = nil
			}
			if len(lines) != len(tt.events) {
				t.Fatalf("%+v: %q", tt.Config, lines)
			}
			for i, part := range tt.events {
				if !strings.Contains(lines[i], part) || strings.Contains(lines[i], "secret") {
					t.Errorf("%+v: %q", tt.Config, lines[i])
				}
			}
		})
	}
}

func TestLinesAreTextOrJSONWithPayloadsOnRequest(t *testing.T) {
	in(t, Options{}, func(t *testing.T, s *Spine) {
		for _, c := range []Config{{Name: "text", Payload: Text}, {Name: "hex", Payload: Hex, JSON: true}, {Name: "hidden", JSON: true}} {
			c.Type, c.Value = ByTopic, "#"
			s.start(t, c)
		}
		m := messageOf("the pub", "a=b", "sécret")
		s.drop("sub", message.DropQueueFull, m)
		if line := s.log(t, "text")[0]; !strings.Contains(line, ` dropped clientid=sub reason=queue_full id=`+m.ID()+` topic="a=b"`) ||
			!strings.Contains(line, `from_clientid="the pub"`) || !strings.Contains(line, `payload=`) || strings.Contains(line, "cret") {
			t.Error(line)
		}
		for name, payload := range map[string]any{"hex": "73c3a963", "hidden": nil} {
			var v map[string]any
			if err := json.Unmarshal([]byte(s.log(t, name)[0]), &v); err != nil {
				t.Fatal(err)
			}
			if v["event"] != "dropped" || v["reason"] != "queue_full" || v["payload"] != payload || v["why"] != Why(message.DropQueueFull) {
				t.Errorf("%v", v)
			}
		}
		var v map[string]any
		text, err := json.Marshal(s.Events(Query{})[0])
		if err == nil {
			err = json.Unmarshal(text, &v)
		}
		if err != nil || v["payload"] != nil || v["id"] != m.ID() {
			t.Errorf("%v %s", err, text)
		}
	})
}

func TestATraceStartsAndEndsByTheClock(t *testing.T) {
	in(t, Options{}, func(t *testing.T, s *Spine) {
		s.start(t, Config{Name: "later", Type: ByTopic, Value: "#", StartAt: time.Now().Add(10 * time.Second)})
		for _, want := range []Status{Waiting, Running, Stopped} {
			s.Tick(time.Now())
			if got := s.List()[0].Status; got != want {
				t.Errorf("%s instead of %s", got, want)
			}
			s.drop("c", message.DropExpired, messageOf("p", string(want), "x"))
			time.Sleep(time.Minute)
		}
		if lines := s.log(t, "later"); len(lines) != 1 || !strings.Contains(lines[0], "topic=running") {
			t.Errorf("%q", lines)
		}
	})
}

func TestTracesSurviveARestartAsStopped(t *testing.T) {
	o := defaults(t, Options{})
	synctest.Test(t, func(t *testing.T) {
		s := reopen(t, o)
		s.start(t, Config{Name: "x", Type: ByClientID, Value: "c", EndAt: time.Now().Add(time.Hour)})
		s.drop("c", message.DropExpired, messageOf("p", "t", "x"))
		s.Close()
		s.Close()
		s = reopen(t, o)
		defer s.Close()
		if l := s.List(); len(l) != 1 || l[0].Status != Stopped || l[0].Value != "c" || l[0].Bytes == 0 {
			t.Errorf("%+v", l)
		}
		if lines := s.log(t, "x"); len(lines) != 1 || !strings.Contains(lines[0], "reason=expired") {
			t.Errorf("%q", lines)
		}
		if s.Watch() != nil {
			t.Error("it runs")
		}
		if err := s.Delete("x"); err != nil {
			t.Fatal(err)
		}
		if left, _ := os.ReadDir(o.Dir); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
	})
}

func TestTracesAreBounded(t *testing.T) {
	in(t, Options{MaxTraces: 2, MaxBytes: 1000}, func(t *testing.T, s *Spine) {
		s.start(t, Config{Name: "a", Type: ByTopic, Value: "#"})
		s.start(t, Config{Name: "b", Type: ByTopic, Value: "none"})
		for name, want := range map[string]error{"a": ErrExists, "c": ErrTooMany} {
			if _, err := s.Create(Config{Name: name, Type: ByTopic, Value: "#"}); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for range 20 {
			s.drop("c", message.DropExpired, messageOf("p", "t", "x"))
			synctest.Wait()
		}
		n := len(s.log(t, "a"))
		if i := s.List()[0]; !i.Full || i.Bytes > 1000 || i.Lost != int64(20-n) || n < 2 {
			t.Errorf("%+v, %d lines", i, n)
		}
		for _, err := range []error{s.Delete("a"), s.Delete("b")} {
			if err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Stop("a"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if err := s.Delete("a"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

// Events that come faster than they are written are left out, and the log says how many.
func TestWhatTheQueueHasNoRoomForIsCounted(t *testing.T) {
	in(t, Options{}, func(t *testing.T, s *Spine) {
		s.start(t, Config{Name: "a", Type: ByTopic, Value: "#"})
		w := s.Watch()
		w.rules[0].lost.Add(7) // as Emit does when the queue is full
		s.drop("c", message.DropExpired, messageOf("p", "t", "x"))
		lines := s.log(t, "a")
		if len(lines) != 2 || !strings.Contains(lines[0], "count=7") || !strings.Contains(lines[0], "trace_queue_full") {
			t.Errorf("%q", lines)
		}
		if i := s.List()[0]; i.Lost != 7 {
			t.Errorf("%+v", i)
		}
	})
}

// Whoever still has an old Watch adds nothing to a trace that was stopped or deleted.
func TestAStoppedTraceTakesNothing(t *testing.T) {
	in(t, Options{}, func(t *testing.T, s *Spine) {
		s.start(t, Config{Name: "a", Type: ByTopic, Value: "#"})
		s.start(t, Config{Name: "b", Type: ByTopic, Value: "#"})
		w := s.Watch()
		if _, err := s.Stop("a"); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete("b"); err != nil {
			t.Fatal(err)
		}
		w.Message(Sent, messageOf("p", "t", "x"), "c", nil, time.Now(), nil)
		if lines := s.log(t, "a"); lines[0] != "" {
			t.Errorf("%q", lines)
		}
		if left, _ := os.ReadDir(s.opts.Dir); len(left) != 2 {
			t.Errorf("left are %v", left)
		}
	})
}

func TestIDsFollowFromTheMessageAndSortByTime(t *testing.T) {
	at := time.Unix(1_700_000_000, 123)
	m := message.Message{ClientID: "c", Topic: "t", Payload: []byte("x"), PublishedAt: at}
	same, other, later := m, m, m
	other.Payload, later.PublishedAt = []byte("y"), at.Add(time.Millisecond)
	if m.ID() != same.ID() || m.ID() == other.ID() || m.ID() >= later.ID() || len(m.ID()) != 24 {
		t.Error(m.ID(), same.ID(), other.ID(), later.ID())
	}
	back, _, err := message.Decode(message.AppendEncoded(nil, &m, 1))
	if err != nil || back.ID() != m.ID() {
		t.Errorf("from the log it is %v, %v", back, err)
	}
}

func BenchmarkWatchOff(b *testing.B) {
	s := &Spine{}
	for b.Loop() {
		if s.Watch() != nil {
			b.Fatal("on")
		}
	}
}

// BenchmarkFloodOfDrops is what a drop costs while its client has many.
func BenchmarkFloodOfDrops(b *testing.B) {
	s := &Spine{recent: newRecent(1 << 20)}
	m := messageOf("p", "t", "x")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		s.Note(Dropped, message.DropSlowConsumer, "noisy", m, now, 1, nil)
	}
}
