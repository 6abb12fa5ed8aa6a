package broker

import (
	"net/url"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/tracing"
	"github.com/barid-mqtt/barid/mqtt"
)

// openTracing makes the tracer, if messages are to be traced.
func (b *Broker) openTracing() (err error) {
	endpoint := b.cfg.Tracing.OTLPEndpoint
	if endpoint == "" {
		return nil
	}
	if u, err := url.Parse(endpoint); err == nil && (u.Path == "" || u.Path == "/") {
		endpoint = u.JoinPath("/v1/traces").String()
	}
	b.tracer, err = tracing.New(tracing.Options{
		Endpoint: endpoint, Ratio: b.cfg.Tracing.SampleRatio, Node: b.cfg.Node.Name, Version: b.sys.version, Log: b.log,
	})
	return err
}

// follow begins the span of a message that came in no PUBLISH, if it is to have one: source says in what. Who publishes it
// hears of its end as a router.Waiter, or calls End.
func (b *Broker) follow(m *message.Message, source string) {
	if span := b.tracer.BeginMessage(m, source); span != nil {
		m.Trace = &message.Trace{Span: span}
	}
}

// unattended is the waiter of a message that nobody waits for but its span.
type unattended struct{ span *tracing.Publish }

// Wait implements router.Waiter.
func (u unattended) Wait() (p router.Pending, waits bool) {
	u.span.Commit()
	return p, true
}

// Committed implements router.Waiter.
func (u unattended) Committed(_ router.Pending, code mqtt.ReasonCode) { u.span.End(code) }

// Unwait implements router.Waiter.
func (unattended) Unwait() {}
