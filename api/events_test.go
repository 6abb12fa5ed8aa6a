package api

import (
	"bufio"
	"context"
	"encoding/json"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
)

// sse is a reader of events over a socket.
type sse struct {
	t      *testing.T
	res    *http.Response
	lines  *bufio.Reader
	cancel context.CancelFunc
}

type sseEvent struct {
	kind, id string
	data     map[string]any
}

// serveSocket serves the bench on a socket, and returns its address.
func (b *bench) serveSocket() string {
	b.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.Serve(ln)
	b.t.Cleanup(func() { _ = b.Close(context.Background()) })
	return "http://" + ln.Addr().String()
}

// events opens a stream of events. last is the last event that was seen.
func (b *bench) events(address, query, last string) *sse {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	b.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", address+Base+"/stream?"+query, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if !strings.Contains(query, "ticket=") {
		req.Header.Set("Authorization", b.header)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return &sse{b.t, res, bufio.NewReader(res.Body), cancel}
}

// next reads an event.
func (s *sse) next() (e sseEvent) {
	s.t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%v after %+v", err, e)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "event":
			e.kind = value
		case "id":
			e.id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e.data); err != nil {
				s.t.Fatal(err)
			}
		case "":
			if e.data != nil {
				return e
			}
		}
	}
}

func TestEventsOfAnyFilterBeginNowAndSayThatTheyCannotBeResumed(t *testing.T) {
	b := newBench(t).asAdmin()
	s := b.events(b.serveSocket(), "filter=a/%2B&filter=b", "12-3")
	if kind := s.res.Header.Get("Content-Type"); s.res.StatusCode != 200 || kind != "text/event-stream" {
		t.Fatalf("answered %d %s", s.res.StatusCode, kind)
	}
	if s.res.Header.Get("X-Accel-Buffering") != "no" {
		t.Error("a proxy may gather the events")
	}
	if e := s.next(); e.kind != "start" || e.data["resumable"] != false || e.data["reason"] != "no_stream" || e.data["from"] != "new" {
		t.Errorf("it begins with %+v", e)
	}
	b.ok("POST", "/publish", `{"topic":"a/1","payload":"x"}`)
	b.ok("POST", "/publish", `{"topic":"b","payload":"y","qos":2}`)
	for _, want := range []string{"a/1", "b"} {
		if e := s.next(); e.kind != "" || e.id != "" || e.data["topic"] != want {
			t.Errorf("got %+v, not %s", e, want)
		}
	}
}

func TestBeforeIsAnIDJustShortOfAPlace(t *testing.T) {
	for _, c := range []struct{ place, want message.Position }{
		{message.Position{}, message.Position{}},
		{message.Position{Block: 7, Index: 3}, message.Position{Block: 7, Index: 2}},
		{message.Position{Block: 7, Index: 1}, message.Position{Block: 7}},
		{message.Position{Block: 7}, message.Position{Block: 6, Index: math.MaxUint32 - 1}},
		{message.Position{Index: 1}, message.Position{}},
	} {
		if got := before(c.place); got != broker.Position(c.want) {
			t.Errorf("before %v is %s, not %v", c.place, got, c.want)
		}
	}
}

func TestEventsThatAStreamCoversAreResumed(t *testing.T) {
	b := newBench(t).asAdmin()
	b.ok("PUT", "/streams/s", `{"filters":["a/#"]}`)
	address := b.serveSocket()
	b.ok("POST", "/publish", `{"topic":"a/0"}`)
	s := b.events(address, "filter=a/%23", "")
	start := s.next()
	if start.data["resumable"] != true || start.data["stream"] != "s" || start.id == "" {
		t.Errorf("it begins with %+v", start)
	}
	for _, topic := range []string{"a/1", "a/2", "a/3"} {
		b.ok("POST", "/publish", `{"topic":"`+topic+`"}`)
	}
	first := s.next()
	if first.data["topic"] != "a/1" || first.id != first.data["id"] {
		t.Errorf("then comes %+v", first)
	}
	s.cancel()
	for last, want := range map[string][]string{first.id: {"a/2", "a/3"}, start.id: {"a/1", "a/2", "a/3"}} {
		again := b.events(address, "filter=a/%23", last)
		if e := again.next(); e.kind != "start" || e.data["from"] == "new" {
			t.Errorf("after %s it begins with %+v", last, e)
		}
		for _, topic := range want {
			if e := again.next(); e.data["topic"] != topic {
				t.Errorf("after %s comes %+v, not %s", last, e, topic)
			}
		}
		again.cancel()
	}
	all := b.events(address, "filter=a/%23&from=earliest", "")
	all.next()
	if e := all.next(); e.data["topic"] != "a/0" {
		t.Errorf("from the earliest comes %+v", e)
	}
}

func TestATicketIsGoodOnceAndForAWhile(t *testing.T) {
	b := newBench(t).as("shop", `{"consume":["a/#"]}`)
	address := b.serveSocket()
	ticket := func() string { return b.ok("POST", "/stream/ticket", "")["ticket"].(string) }
	one := ticket()
	if e := b.events(address, "filter=a/1&ticket="+one, "").next(); e.kind != "start" {
		t.Errorf("it begins with %+v", e)
	}
	shop := b.header
	for _, query := range []string{"filter=a/1&ticket=" + one, "filter=a/1&ticket=x"} {
		b.header = shop
		b.fails("GET", "/stream?"+query, "", 401, "BAD_TICKET", "ticket")
	}
	late := ticket()
	b.now = b.now.Add(ticketLife + time.Second)
	b.fails("GET", "/stream?filter=a/1&ticket="+late, "", 401, "BAD_TICKET", "run out")
	b.fails("GET", "/stream?filter=b&ticket="+ticket(), "", 403, "FORBIDDEN", `"b"`) // it carries the rules
	b.fails("GET", "/consumers?ticket="+ticket(), "", 400, "BAD_REQUEST", "ticket")
	b.header = ""
	b.fails("GET", "/consumers?ticket=x", "", 401, "UNAUTHORIZED", "")
}

func TestWhatIsWrongWithAStreamOfEventsIsNamed(t *testing.T) {
	b := newBenchWith(t, func(c *config.Config) { c.Consumers.MaxEventStreams = 1 }).asAdmin()
	b.ok("PUT", "/streams/s", `{"filters":["a/#"]}`)
	for query, part := range map[string]string{"": "filter", "?filter=a/%23/b": "filter[0]", "?filter=a&x=1": "x", "?filter=a&payload_encoding=y": "payload_encoding", "?filter=a&from=soon": "from"} {
		b.fails("GET", "/stream"+query, "", 400, "BAD_REQUEST", part)
	}
	b.events(b.serveSocket(), "filter=a", "").next()
	b.fails("GET", "/stream?filter=a", "", 503, "LIMIT_REACHED", "max_event_streams")
}

func TestAReaderOfEventsThatIsSlowIsToldWhatItMissed(t *testing.T) {
	b := newBench(t).asAdmin()
	tap, err := b.broker.Tap([]string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	for range 300 {
		b.do("POST", "/publish", `{"topic":"a"}`)
	}
	if all, missed := tap.Take(); len(all) != 256 || missed != 44 {
		t.Errorf("%d are held, %d were missed", len(all), missed)
	}
	b.do("POST", "/publish", `{"topic":"a"}`)
	if all, missed := tap.Take(); len(all) != 1 || missed != 0 {
		t.Errorf("then %d are held, %d were missed", len(all), missed)
	}
}
