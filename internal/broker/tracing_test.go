package broker

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
)

// receiver is a collector of traces.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans map[string][]*v1.Span // by the first word of their name
	paths []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{spans: map[string][]*v1.Span{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var in otlp.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &in); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.paths = append(r.paths, req.URL.Path)
		for _, rs := range in.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					kind, _, _ := strings.Cut(s.Name, " ")
					r.spans[kind] = append(r.spans[kind], s)
				}
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// traced runs a broker that sends its traces to r, and returns when it has sent them.
func (r *receiver) traced(t *testing.T, ratio string, during func(b *Broker)) {
	t.Helper()
	cfg, _, err := config.Load(config.Sources{Sets: []string{"data_dir=" + t.TempDir(), "tracing.otlp_endpoint=" + r.URL, "tracing.sample_ratio=" + ratio}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	during(b)
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func (r *receiver) count() (publish, commit, deliver int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.spans["publish"]), len(r.spans["commit"]), len(r.spans["deliver"])
}

const (
	traceID  = "0af7651916cd43dd8448eb211c80319c"
	parentID = "b7ad6b7169203331"
)

func withContext(p *mqtt.Publish, flags string) *mqtt.Publish {
	p.Properties.User = mqtt.AppendUserProperty(p.Properties.User, "room", "7")
	p.Properties.User = mqtt.AppendUserProperty(p.Properties.User, "traceparent", "00-"+traceID+"-"+parentID+"-"+flags)
	p.Properties.User = mqtt.AppendUserProperty(p.Properties.User, "tracestate", "vendor=x")
	return p
}

// converse sends packets and takes as many answers.
func converse(t *testing.T, p *peer, answers int, packets ...mqtt.Packet) (last mqtt.Packet) {
	t.Helper()
	for _, pk := range packets {
		if err := p.send(pk); err != nil {
			t.Fatal(err)
		}
	}
	for range answers {
		pk, err := p.receive()
		if err != nil {
			t.Fatal(err)
		}
		last = pk
	}
	return last
}

func TestTraceContextOfAPublisherIsContinued(t *testing.T) {
	r := newReceiver(t)
	r.traced(t, "0", func(b *Broker) {
		durable, _ := connect(t, b, &mqtt.Connect{ClientID: "durable", SessionExpirySeconds: 100})
		durable.subscribe(t, "t", 1)
		other, _ := connect(t, b, &mqtt.Connect{ClientID: "other", CleanStart: true})
		other.subscribe(t, "t", 0)
		pub, _ := connect(t, b, &mqtt.Connect{ClientID: "pub", CleanStart: true})
		converse(t, pub, 1, withContext(publishOf("t", "x", 1, 1), "01"))
		got := converse(t, durable, 1).(*mqtt.Publish)
		converse(t, other, 1)
		var keys []string
		for key := range got.Properties.User.All() {
			keys = append(keys, key)
		}
		if strings.Join(keys, " ") != "room traceparent tracestate" {
			t.Errorf("the subscriber got the user properties %v [MQTT-3.3.2-17]", keys)
		}
		converse(t, pub, 2, publishOf("t", "y", 1, 2), withContext(publishOf("t", "z", 1, 3), "00")) // not sampled
		converse(t, durable, 2)
	})
	if p, c, d := r.count(); p != 1 || c != 1 || d != 2 {
		t.Fatalf("%d, %d and %d spans: %v", p, c, d, r.spans)
	}
	publish := r.spans["publish"][0]
	if hex.EncodeToString(publish.TraceId) != traceID || hex.EncodeToString(publish.ParentSpanId) != parentID || publish.TraceState != "vendor=x" || publish.Name != "publish t" {
		t.Errorf("the span of the publish is %v", publish)
	}
	clients := map[string]bool{}
	for _, s := range append(r.spans["deliver"], r.spans["commit"]...) {
		if hex.EncodeToString(s.TraceId) != traceID || !bytes.Equal(s.ParentSpanId, publish.SpanId) {
			t.Errorf("%s is no child of the publish: %v", s.Name, s)
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano || s.StartTimeUnixNano == 0 {
			t.Errorf("%s lasts from %d to %d", s.Name, s.StartTimeUnixNano, s.EndTimeUnixNano)
		}
		for _, a := range s.Attributes {
			if a.Key == "messaging.client.id" {
				clients[a.Value.GetStringValue()] = true
			}
		}
	}
	if !clients["durable"] || !clients["other"] || len(clients) != 2 {
		t.Errorf("deliveries to %v", clients)
	}
	if r.paths[0] != "/v1/traces" {
		t.Errorf("they went to %s", r.paths[0])
	}
}

func TestAShareOfMessagesWithoutContextIsTraced(t *testing.T) {
	r := newReceiver(t)
	r.traced(t, "0.5", func(b *Broker) {
		pub, _ := connect(t, b, &mqtt.Connect{ClientID: "pub", CleanStart: true})
		for i := range 400 {
			converse(t, pub, 1, publishOf("nobody", "x", 1, uint16(i+1)))
		}
	})
	if p, c, d := r.count(); p < 120 || p > 280 || c != 0 || d != 0 {
		t.Errorf("of 400 messages %d are traced, with %d commits and %d deliveries", p, c, d)
	}
}

func TestWhatComesFromTheLogLaterIsInThePublishersTrace(t *testing.T) {
	r := newReceiver(t)
	r.traced(t, "0", func(b *Broker) {
		away, _ := connect(t, b, &mqtt.Connect{ClientID: "away", SessionExpirySeconds: 100})
		away.subscribe(t, "t", 1)
		_ = away.send(&mqtt.Disconnect{})
		_ = away.conn.Close()
		if !eventually(10*time.Second, func() bool { return b.connections.Load() == 0 }) {
			t.Fatal("the client does not leave")
		}
		pub, _ := connect(t, b, &mqtt.Connect{ClientID: "pub", CleanStart: true})
		converse(t, pub, 1, withContext(publishOf("t", "x", 1, 1), "01"))
		back, _ := connect(t, b, &mqtt.Connect{ClientID: "away", SessionExpirySeconds: 100})
		converse(t, back, 1)
	})
	if p, c, d := r.count(); p != 1 || c != 1 || d != 1 || hex.EncodeToString(r.spans["deliver"][0].TraceId) != traceID {
		t.Errorf("%d, %d and %d spans: %v", p, c, d, r.spans)
	}
}

// Messages of the HTTP API and wills are traced as those of clients are.
func TestMessagesOfTheAPIAndWillsAreTraced(t *testing.T) {
	r := newReceiver(t)
	r.traced(t, "0", func(b *Broker) {
		sub, _ := connect(t, b, &mqtt.Connect{ClientID: "sub", SessionExpirySeconds: 100})
		sub.subscribe(t, "t/#", 1)
		properties := withContext(publishOf("", "", 1, 1), "01").Properties
		for _, topic := range []string{"t/api", "nobody"} {
			if _, code, err := b.Inject(t.Context(), Outgoing{Topic: topic, Payload: []byte("x"), QoS: 1, Properties: properties}); err != nil || code.Failed() {
				t.Fatal(code, err)
			}
		}
		converse(t, sub, 1)
		for _, topic := range []string{"t/will", "nobody/will"} {
			dying, _ := connect(t, b, &mqtt.Connect{ClientID: "dying", CleanStart: true, Will: &mqtt.Will{Topic: topic, QoS: 1, Properties: properties}})
			_ = dying.conn.Close()
			if !eventually(10*time.Second, func() bool { return b.connections.Load() == 1 }) {
				t.Fatal("the client does not leave")
			}
		}
		converse(t, sub, 1)
	})
	if p, c, d := r.count(); p != 4 || c != 3 || d != 2 { // that a will is published is kept, even if nobody gets it
		t.Fatalf("%d, %d and %d spans: %v", p, c, d, r.spans)
	}
	sources := map[string]int{}
	for _, s := range r.spans["publish"] {
		if hex.EncodeToString(s.TraceId) != traceID || hex.EncodeToString(s.ParentSpanId) != parentID {
			t.Errorf("%s is in another trace: %v", s.Name, s)
		}
		for _, a := range s.Attributes {
			if a.Key == "barid.source" {
				sources[a.Value.GetStringValue()]++
			}
		}
	}
	if sources["http"] != 2 || sources["will"] != 2 {
		t.Errorf("they come from %v", sources)
	}
}

// A collector that is not there costs spans, a line in the log, and nothing else.
func TestWithoutACollectorMessagesGoOn(t *testing.T) {
	var log syncBuffer
	cfg, _, err := config.Load(config.Sources{Sets: []string{"durability=memory", "tracing.otlp_endpoint=http://127.0.0.1:1", "tracing.sample_ratio=1"}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := connect(t, b, &mqtt.Connect{ClientID: "pub", CleanStart: true})
	for i := range 100 {
		converse(t, pub, 1, publishOf("t", "x", 1, uint16(i+1)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	begun := time.Now()
	if err := b.Stop(ctx); err != nil || time.Since(begun) > 4*time.Second {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	if !strings.Contains(log.buf.String(), "traces were not sent") {
		t.Errorf("the log says %s", log.buf.String())
	}
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}
