package broker

import (
	"context"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/tracing"
	"github.com/barid-mqtt/barid/mqtt"
)

// injection is a publisher that is no client: it waits for the commit of one message.
type injection struct {
	done    chan mqtt.ReasonCode
	waiting bool
	span    *tracing.Publish // nil: it is not traced
}

// Wait implements router.Waiter.
func (i *injection) Wait() (p router.Pending, waits bool) {
	i.waiting = true
	i.span.Commit()
	return p, true
}

// Committed implements router.Waiter.
func (i *injection) Committed(_ router.Pending, code mqtt.ReasonCode) {
	i.span.End(code)
	i.done <- code
}

// Unwait implements router.Waiter.
func (i *injection) Unwait() { i.waiting = false }

// Outgoing is a message that comes from no connection. Its fields hold what a PUBLISH of a client may, checked.
type Outgoing struct {
	Topic      string
	Payload    []byte
	QoS        mqtt.QoS
	Retain     bool
	Properties mqtt.PublishProperties
	ClientID   string // who it is said to be from; may be empty
	Username   string
}

// Injected is what became of an Outgoing: mqtt.Success, mqtt.NoMatchingSubscribers, or the reason why it was not taken.
type Injected struct {
	ID   string
	Code mqtt.ReasonCode
	Err  error
}

// Inject publishes a message, and returns when every durable session that gets it has it on disk, with mqtt.Success,
// mqtt.NoMatchingSubscribers or the reason why it was not taken. If ctx ends first, the message may or may not have been
// taken.
func (b *Broker) Inject(ctx context.Context, o Outgoing) (id string, code mqtt.ReasonCode, err error) {
	r := b.InjectAll(ctx, []Outgoing{o})[0]
	return r.ID, r.Code, r.Err
}

// InjectAll is Inject for many, in their order. They are handed over one after the other before the first is waited for, so
// that their commits are few.
func (b *Broker) InjectAll(ctx context.Context, all []Outgoing) []Injected {
	results := make([]Injected, len(all))
	if b.Ready() != nil {
		for i := range results {
			results[i].Code = mqtt.ServerUnavailable
		}
		return results
	}
	under := make([]*injection, len(all))
	var last time.Time
	for i := range all {
		o, now := &all[i], time.Now()
		if !now.After(last) { // so that each has an ID of its own
			now = last.Add(time.Nanosecond)
		}
		last = now
		m := &message.Message{Topic: o.Topic, QoS: o.QoS, Retain: o.Retain, PublishedAt: now, ClientID: o.ClientID, Username: o.Username}
		fill(m, nil, o.Payload, &o.Properties, b.clock.At(now))
		r := &results[i]
		r.ID = m.ID()
		b.trace.Injected(m)
		b.follow(m, "http")
		under[i], r.Code, r.Err = b.handOver(ctx, m)
	}
	for i, u := range under {
		if u != nil {
			results[i].Code, results[i].Err = u.wait(ctx)
		}
	}
	return results
}

// handOver publishes a message, later if the engine is busy. Where it returns an injection, that hears the code.
func (b *Broker) handOver(ctx context.Context, m *message.Message) (*injection, mqtt.ReasonCode, error) {
	for {
		i := &injection{done: make(chan mqtt.ReasonCode, 1), span: tracing.Of(m.Trace)}
		batch := conn.NewBatch()
		batch.Now = time.Now()
		code, waits, err := b.publish(batch, m, publisher{waiter: i})
		batch.Flush(b.metrics)
		switch {
		case err == storage.ErrBusy:
		case err != nil:
			i.span.End(mqtt.ServerUnavailable)
			return nil, mqtt.ServerUnavailable, err
		case waits:
			return i, code, nil
		default:
			i.span.End(code)
			return nil, code, nil
		}
		select {
		case <-time.After(busyRetry):
		case <-ctx.Done():
			i.span.End(mqtt.ServerBusy)
			return nil, mqtt.ServerBusy, ctx.Err()
		}
	}
}

// inject publishes a message and waits for its commit.
func (b *Broker) inject(ctx context.Context, m *message.Message) (mqtt.ReasonCode, error) {
	i, code, err := b.handOver(ctx, m)
	if i != nil {
		return i.wait(ctx)
	}
	return code, err
}

// wait waits for the commit.
func (i *injection) wait(ctx context.Context) (mqtt.ReasonCode, error) {
	select {
	case code := <-i.done:
		return code, nil
	case <-ctx.Done():
		return mqtt.UnspecifiedError, ctx.Err()
	}
}
