package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// retainedImport copies retained messages from one broker to another.
type retainedImport struct {
	from, to     clientOptions
	filters      []string
	quietSeconds int

	received chan *paho.Publish
}

func importRetained(e *env, c *command, args []string) int {
	r := &retainedImport{from: clientOptions{keepAlive: 60, protocol: "5"}, to: clientOptions{keepAlive: 60, protocol: "5"}, received: make(chan *paho.Publish, 1000)}
	fs := flag.NewFlagSet("import retained", flag.ContinueOnError)
	fs.StringVar(&r.to.rawURL, "to", "mqtt://127.0.0.1:1883", "`URL` of this broker")
	fs.StringVar(&r.from.caFile, "cafile", "", "trust the certificates in `FILE` for the broker that is copied from")
	fs.IntVar(&r.quietSeconds, "quiet-seconds", 3, "end when nothing has come for `N` seconds")
	fs.Func("t", "`FILTER` of topics to copy; may be repeated (default #)", func(f string) error {
		r.filters = append(r.filters, f)
		return nil
	})
	if status, done := e.parse(c, fs, args, &r.from.rawURL); done {
		return status
	}
	if len(r.filters) == 0 {
		r.filters = []string{"#"}
	}
	for _, o := range []*clientOptions{&r.from, &r.to} {
		if !hasScheme(o.rawURL) {
			return e.wrongUsage(c, fmt.Errorf("%q is no URL such as mqtt://user:password@host", o.rawURL))
		}
		if _, err := o.complete(); err != nil {
			return e.wrongUsage(c, err)
		}
	}
	copied, err := r.run(e)
	fmt.Fprintf(e.stdout, "%d retained messages copied\n", copied)
	if err != nil {
		return e.fail(c, err)
	}
	return exitOK
}

// run copies until nothing more comes. What was copied is acknowledged by the other broker.
func (r *retainedImport) run(e *env) (copied int, err error) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	to, err := r.to.connect(ctx, e.stderr, newClientState(), hooks{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	from, err := r.from.connect(ctx, e.stderr, newClientState(), hooks{received: func(p *paho.Publish) {
		select {
		case r.received <- p:
		case <-ctx.Done():
		}
	}})
	if err != nil {
		return 0, err
	}
	defer func() { cancel(); _ = from.close() }() // its messages are not all waited for
	if err := r.subscribe(ctx, from); err != nil {
		return 0, err
	}
	quiet := time.Duration(r.quietSeconds) * time.Second
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case p := <-r.received:
			if !p.Retain {
				continue // it was published meanwhile, and whoever subscribes here has missed nothing yet
			}
			if err := r.copy(ctx, to, p); err != nil {
				return copied, fmt.Errorf("%s: %w", p.Topic, err)
			}
			copied++
			timer.Reset(quiet)
		case <-timer.C:
			return copied, nil
		case <-from.up.Done():
			return copied, context.Cause(from.up)
		case <-to.up.Done():
			return copied, context.Cause(to.up)
		case <-ctx.Done():
			return copied, ctx.Err()
		}
	}
}

func (r *retainedImport) subscribe(ctx context.Context, from *client) error {
	packet := &paho.Subscribe{}
	for _, f := range r.filters {
		packet.Subscriptions = append(packet.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: 2})
	}
	ctx, cancel := from.whileUp(ctx)
	defer cancel()
	answer, err := from.Subscribe(ctx, packet)
	if err != nil && answer == nil {
		return fmt.Errorf("subscribing: %w", whyNoAnswer(ctx, err))
	}
	for i, code := range answer.Reasons {
		if code >= 0x80 {
			return fmt.Errorf("subscribing to %s: %w", r.filters[i], refused(code, ""))
		}
	}
	return nil
}

// copy publishes a message as it was, and waits for the acknowledgement; the lowest QoS for that is 1.
func (r *retainedImport) copy(ctx context.Context, to *client, p *paho.Publish) error {
	ctx, cancel := to.whileUp(ctx)
	defer cancel()
	out := &paho.Publish{Topic: p.Topic, Payload: p.Payload, QoS: max(p.QoS, 1), Retain: true}
	if in := p.Properties; in != nil {
		out.Properties = &paho.PublishProperties{
			ContentType: in.ContentType, ResponseTopic: in.ResponseTopic, CorrelationData: in.CorrelationData,
			PayloadFormat: in.PayloadFormat, MessageExpiry: in.MessageExpiry, User: in.User,
		}
	}
	answer, err := to.Publish(ctx, out)
	switch {
	case answer != nil && answer.ReasonCode >= 0x80:
		return refused(answer.ReasonCode, "")
	case err != nil:
		return whyNoAnswer(ctx, err)
	}
	return nil
}
