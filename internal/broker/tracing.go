package broker

import (
	"net/url"

	"github.com/barid-mqtt/barid/internal/tracing"
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
