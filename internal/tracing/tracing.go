// Package tracing makes OpenTelemetry spans of what becomes of a message, and sends them to a collector by OTLP over HTTP:
//
//	publish   from reading the PUBLISH to its acknowledgement, or to the end of its handling
//	  commit    from handing the message to the engine to the commit
//	  deliver   one for each subscriber that it is sent to
//
// A publisher that sends W3C trace context (the user properties traceparent and tracestate) has the spans in its own trace,
// and decides whether there are any; of the other messages a share is sampled. The properties reach subscribers unaltered,
// as the standard asks for, so their spans are siblings of the broker's.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// What is bounded.
const (
	maxQueue      = 4096 // spans that wait to be sent; more are dropped
	maxDeliveries = 64   // spans of deliveries of one message
	sendEvery     = 2 * time.Second
	sendTimeout   = 5 * time.Second
	lastSending   = 2 * time.Second // of what waits when the broker stops
)

// Options make a Tracer.
type Options struct {
	Endpoint string  // URL of a collector, with the path of its traces
	Ratio    float64 // share of the messages without a trace of their own that are traced, from 0 to 1
	Node     string
	Version  string
	Log      *slog.Logger
}

// Tracer makes spans. A nil Tracer makes none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	log      *slog.Logger
	w3c      propagation.TraceContext
}

// New makes a tracer. It sends in the background; a collector that does not answer costs spans and nothing else.
func New(o Options) (*Tracer, error) {
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(o.Endpoint), otlptracehttp.WithTimeout(sendTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{})) // what is not taken is dropped: newer spans wait behind it
	if err != nil {
		return nil, fmt.Errorf("tracing.otlp_endpoint: %w", err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "barid"),
			attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node))),
		sdk.WithSpanProcessor(sdk.NewBatchSpanProcessor(&reporting{SpanExporter: exporter, log: o.Log},
			sdk.WithMaxQueueSize(maxQueue), sdk.WithBatchTimeout(sendEvery), sdk.WithExportTimeout(sendTimeout))),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("barid"), log: o.Log}, nil
}

// Close sends what waits to be sent, for a moment.
func (t *Tracer) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastSending)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last traces were not sent", "error", err)
	}
}

// reporting says in the log, once for a while, that spans are lost.
type reporting struct {
	sdk.SpanExporter
	log  *slog.Logger
	last atomic.Int64 // second of the last line
}

// ExportSpans implements sdk.SpanExporter. The error goes to the log rather than to OpenTelemetry's global handler.
func (r *reporting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	if now := time.Now().Unix(); err != nil && now-r.last.Load() >= 60 {
		r.last.Store(now)
		r.log.Warn("traces were not sent", "spans", len(spans), "error", err)
	}
	return nil
}

// Publish is a message on its way through the broker: message.Trace holds it. A nil Publish is not traced.
type Publish struct {
	t          *Tracer
	ctx        context.Context // of the span
	span       trace.Span
	commit     trace.Span // nil: there is none
	deliveries atomic.Int32
}

// Begin begins the span of a PUBLISH; nil: it is not sampled. Its User properties may hold trace context.
func (t *Tracer) Begin(topic, clientID string, p *mqtt.Publish, at time.Time) *Publish {
	if t == nil {
		return nil
	}
	m := message.Message{Topic: topic, ClientID: clientID, QoS: p.QoS, Retain: p.Retain, Payload: p.Payload, PublishedAt: at}
	return t.begin(t.contextOf(p.Properties.User), &m, "mqtt")
}

// BeginMessage is Begin for a message that came in no PUBLISH: source says in what, for example "http" or "will".
func (t *Tracer) BeginMessage(m *message.Message, source string) *Publish {
	if t == nil {
		return nil
	}
	return t.begin(t.contextIn(m.Properties), m, source)
}

func (t *Tracer) begin(parent context.Context, m *message.Message, source string) *Publish {
	ctx, span := t.tracer.Start(parent, "publish "+m.Topic, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(m.PublishedAt),
		trace.WithAttributes(about(m.Topic, m.ClientID, m.QoS)...),
		trace.WithAttributes(attribute.Int("messaging.message.body.size", len(m.Payload)), attribute.Bool("mqtt.retain", m.Retain),
			attribute.String("barid.source", source)))
	if !span.IsRecording() {
		return nil
	}
	return &Publish{t: t, ctx: ctx, span: span}
}

func about(topic, clientID string, qos mqtt.QoS) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "mqtt"), attribute.String("messaging.destination.name", topic),
		attribute.String("messaging.client.id", clientID), attribute.Int("mqtt.qos", int(qos)),
	}
}

// Commit says that the message is handed to the engine.
func (p *Publish) Commit() {
	if p != nil && p.commit == nil { // what the engine refused is handed to it again
		_, p.commit = p.t.tracer.Start(p.ctx, "commit", trace.WithSpanKind(trace.SpanKindInternal))
	}
}

// End ends the span, with the code of the acknowledgement, and that of the commit if there is one.
func (p *Publish) End(code mqtt.ReasonCode) {
	if p == nil {
		return
	}
	for _, s := range []trace.Span{p.commit, p.span} {
		if s == nil {
			continue
		}
		s.SetAttributes(attribute.String("mqtt.reason", code.String()))
		if code.Failed() {
			s.SetStatus(codes.Error, code.String())
		}
		s.End()
	}
}

// Deliver makes the span of a delivery to a client: in the trace of the message if the broker has it, or of the context in
// its properties if it comes from the log.
func (t *Tracer) Deliver(m *message.Message, clientID string, qos mqtt.QoS, again bool) {
	if t == nil {
		return
	}
	var ctx context.Context
	if p := Of(m.Trace); p != nil {
		if p.deliveries.Add(1) > maxDeliveries {
			return
		}
		ctx = p.ctx
	} else if ctx = t.contextIn(m.Properties); !trace.SpanContextFromContext(ctx).IsSampled() {
		return // without a trace of its own, nothing says where it belongs
	}
	_, span := t.tracer.Start(ctx, "deliver "+m.Topic, trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(m.PublishedAt),
		trace.WithAttributes(about(m.Topic, clientID, qos)...), trace.WithAttributes(attribute.Bool("mqtt.dup", again)))
	span.End()
}

// Of returns what a message's trace is; nil: it is not traced.
func Of(t *message.Trace) *Publish {
	if t == nil {
		return nil
	}
	p, _ := t.Span.(*Publish)
	return p
}

// contextIn reads the trace context of a message as it is kept.
func (t *Tracer) contextIn(properties []byte) context.Context {
	if len(properties) == 0 {
		return context.Background()
	}
	p, err := mqtt.DecodeForward(properties)
	if err != nil {
		return context.Background()
	}
	return t.contextOf(p.User)
}

// contextOf reads the trace context of a message.
func (t *Tracer) contextOf(u mqtt.UserProperties) context.Context {
	var c carrier
	for key, value := range u.All() {
		switch key {
		case "traceparent":
			c.parent = value
		case "tracestate":
			c.state = value
		}
	}
	if c.parent == "" {
		return context.Background()
	}
	return t.w3c.Extract(context.Background(), c)
}

// carrier is what of a message the propagator asks for.
type carrier struct{ parent, state string }

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(key string) string {
	switch key {
	case "traceparent":
		return c.parent
	case "tracestate":
		return c.state
	}
	return ""
}

// Set implements propagation.TextMapCarrier: messages are not changed.
func (carrier) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (carrier) Keys() []string { return []string{"traceparent", "tracestate"} }
