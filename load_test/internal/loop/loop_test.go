package loop

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/load_test/internal/fakebroker"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a handler that tells the test what happens.
type recorder struct {
	events   chan string
	writable chan struct{}
}

func newRecorder() *recorder {
	return &recorder{make(chan string, 10_000), make(chan struct{}, 1)}
}

func (r *recorder) Connected(*Client, *mqtt.Connack) { r.events <- "connected" }
func (r *recorder) Packet(_ *Client, h mqtt.Header, body []byte) error {
	r.events <- fmt.Sprintf("%v %d", h.Type, len(body))
	return nil
}
func (r *recorder) Writable(*Client) {
	select {
	case r.writable <- struct{}{}:
	default:
	}
}
func (r *recorder) Closed(_ *Client, err error) { r.events <- fmt.Sprint("closed ", err) }

func (r *recorder) want(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-r.events:
		if !strings.Contains(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%q does not come", want)
	}
}

func newLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	return l
}

// connect connects a client over a socket of the loop, or a stream.
func connect(t *testing.T, l *Loop, addr string, stream bool) (*Client, *recorder) {
	t.Helper()
	target, err := ParseTarget(addr)
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder()
	c := NewClient(l, &mqtt.Connect{Version: mqtt.V5, ClientID: "c", CleanStart: true}, r)
	if stream {
		l.wg.Go(func() { c.runStream(target) })
	} else {
		l.Do(func(int64) { c.Dial(target) })
	}
	return c, r
}

func eachTransport(t *testing.T, test func(t *testing.T, stream bool)) {
	t.Run("socket", func(t *testing.T) { test(t, false) })
	t.Run("stream", func(t *testing.T) { test(t, true) })
}

func TestPacketsComeWholeHoweverTheyAreCut(t *testing.T) {
	eachTransport(t, func(t *testing.T, stream bool) {
		var all []byte
		sizes := []int{0, 5, 300, 70_000, 500_000, 1}
		for _, n := range sizes {
			p := mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, n)}
			var err error
			if all, err = p.AppendTo(all, mqtt.V5); err != nil {
				t.Fatal(err)
			}
		}
		addr := fakebroker.Start(t, func(c *fakebroker.Conn) {
			for b := all; len(b) > 0; {
				n := min(len(b), 1+len(b)%1777)
				if _, err := c.Write(b[:n]); err != nil {
					return
				}
				b = b[n:]
			}
			c.Next()
		})
		c, r := connect(t, newLoop(t), addr, stream)
		r.want(t, "connected")
		for _, n := range sizes {
			r.want(t, fmt.Sprintf("PUBLISH %d", n+4))
		}
		c.Loop().Do(func(int64) { c.Finish() })
		r.want(t, "closed <nil>")
	})
}

func TestOutputThatTheBrokerDoesNotReadBlocksAndGoesOn(t *testing.T) {
	eachTransport(t, func(t *testing.T, stream bool) {
		const size = 32 << 20
		read, got := make(chan struct{}), make(chan int64, 1)
		addr := fakebroker.Start(t, func(c *fakebroker.Conn) {
			<-read
			n, _ := io.Copy(io.Discard, io.LimitReader(c, size))
			got <- n
		})
		c, r := connect(t, newLoop(t), addr, stream)
		r.want(t, "connected")
		c.Loop().Do(func(int64) { c.SetOut(append(c.Out(), bytes.Repeat([]byte{0xC0}, size)...)) })
		c.Loop().Do(func(int64) {
			if !c.Blocked() || c.Pending() == 0 {
				t.Error("32 MB were taken by nobody")
			}
		})
		close(read)
		if n := <-got; n != size {
			t.Errorf("%d bytes came", n)
		}
		<-r.writable
	})
}

func TestClosedTellsWhy(t *testing.T) {
	eachTransport(t, func(t *testing.T, stream bool) {
		for name, c := range map[string]struct {
			serve func(c *fakebroker.Conn)
			want  string
		}{
			"the broker closes":      {func(*fakebroker.Conn) {}, "the broker closed the connection"},
			"the broker disconnects": {func(c *fakebroker.Conn) { c.Send(&mqtt.Disconnect{Code: mqtt.ServerBusy}); c.Next() }, "ServerBusy|server busy"},
			"malformed":              {func(c *fakebroker.Conn) { _, _ = c.Write([]byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF}); c.Next() }, "MQTT-"},
		} {
			_, r := connect(t, newLoop(t), fakebroker.Start(t, c.serve), stream)
			r.want(t, "connected")
			got := <-r.events
			ok := false
			for _, want := range strings.Split(c.want, "|") {
				ok = ok || strings.Contains(strings.ToLower(got), strings.ToLower(want))
			}
			if !ok {
				t.Errorf("%s: %q", name, got)
			}
		}
		_, r := connect(t, newLoop(t), "127.0.0.1:1", stream)
		r.want(t, "refused")
	})
}

func TestPausedClientReadsNothing(t *testing.T) {
	eachTransport(t, func(t *testing.T, stream bool) {
		pub := &mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, 1000)}
		sent := make(chan struct{})
		addr := fakebroker.Start(t, func(c *fakebroker.Conn) {
			c.Next() // the test's sign
			c.Send(pub)
			close(sent)
			c.Next()
		})
		c, r := connect(t, newLoop(t), addr, stream)
		r.want(t, "connected")
		if stream {
			return // it may be in a read already: a pause takes effect after the next one
		}
		c.Loop().Do(func(int64) {
			c.Pause(true)
			c.ping()
		})
		<-sent
		for range 3 {
			c.Loop().Do(func(int64) {})
		}
		select {
		case e := <-r.events:
			t.Fatalf("%q while paused", e)
		default:
		}
		c.Loop().Do(func(int64) { c.Pause(false) })
		r.want(t, "PUBLISH")
	})
}

// ticks counts calls and asks for the next a millisecond later.
type ticks struct{ at chan int64 }

func (k *ticks) Tick(now int64) int64 {
	select {
	case k.at <- now:
	default:
	}
	return now + int64(time.Millisecond)
}

func TestTickComesAtItsTime(t *testing.T) {
	l := newLoop(t)
	k := &ticks{make(chan int64, 10)}
	l.Do(func(int64) { l.SetTicker(k) })
	first := <-k.at
	var last int64
	for range 20 {
		last = <-k.at
	}
	// Setting the ticker may make a round or two; every other tick comes by itself, at its time.
	if took := time.Duration(last - first); took < 18*time.Millisecond {
		t.Errorf("20 ticks a millisecond apart took %v", took)
	}
}

func TestPostRunsInTheLoop(t *testing.T) {
	l := newLoop(t)
	done := make(chan struct{})
	l.Post(func() { l.Post(func() { close(done) }) })
	<-done
}

func TestParseTarget(t *testing.T) {
	for s, want := range map[string]string{
		"127.0.0.1:1884": "mqtt://127.0.0.1:1884", "tcp://127.0.0.1": "mqtt://127.0.0.1:1883", "ssl://127.0.0.1": "mqtts://127.0.0.1:8883",
		"ws://127.0.0.1:1": "ws://127.0.0.1:1/mqtt", "wss://127.0.0.1/x": "wss://127.0.0.1:8084/x", "127.0.0.1": "mqtt://127.0.0.1:1883",
	} {
		if got, err := ParseTarget(s); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"http://127.0.0.1", "127.0.0.1:port"} {
		if got, err := ParseTarget(s); err == nil {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func TestSourcesAreUsedInTurn(t *testing.T) {
	target, err := ParseTarget("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := target.source(1); ok {
		t.Error("a source without being asked for")
	}
	target.Sources = 3
	seen := map[string]bool{}
	for i := range uint32(9) {
		a, ok := target.source(i)
		if !ok || !a.IsLoopback() {
			t.Fatalf("source %v", a)
		}
		seen[a.String()] = true
	}
	if len(seen) != 3 {
		t.Errorf("sources %v", seen)
	}
}
