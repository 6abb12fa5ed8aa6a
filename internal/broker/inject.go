package broker

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// injection is a publisher that is no client: it waits for the commit of one message.
type injection struct {
	done    chan mqtt.ReasonCode
	waiting bool
}

// Wait implements router.Waiter.
func (i *injection) Wait() func(mqtt.ReasonCode) {
	i.waiting = true
	return func(code mqtt.ReasonCode) { i.done <- code }
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

// Inject publishes a message, and returns when every durable session that gets it has it on disk, with mqtt.Success,
// mqtt.NoMatchingSubscribers or the reason why it was not taken. If ctx ends first, the message may or may not have been
// taken.
func (b *Broker) Inject(ctx context.Context, o Outgoing) (id string, code mqtt.ReasonCode, err error) {
	if b.Ready() != nil {
		return "", mqtt.ServerUnavailable, nil
	}
	now := time.Now()
	m := &message.Message{Topic: o.Topic, QoS: o.QoS, Retain: o.Retain, PublishedAt: now, ClientID: o.ClientID, Username: o.Username}
	fill(m, nil, o.Payload, &o.Properties, b.clock.At(now))
	code, err = b.inject(ctx, m)
	return messageID(now), code, err
}

var messageNumber atomic.Uint64

// messageID names a message that came over HTTP, in logs and answers: it sorts by time.
func messageID(now time.Time) string {
	return fmt.Sprintf("%016X%08X", now.UnixMicro(), uint32(messageNumber.Add(1)))
}

func (b *Broker) inject(ctx context.Context, m *message.Message) (mqtt.ReasonCode, error) {
	for {
		i := &injection{done: make(chan mqtt.ReasonCode, 1)}
		batch := conn.NewBatch()
		batch.Now = time.Now()
		code, waits, err := b.publish(batch, m, publisher{waiter: i})
		batch.Flush(b.metrics)
		switch {
		case err == storage.ErrBusy:
			select {
			case <-time.After(busyRetry):
				continue
			case <-ctx.Done():
				return mqtt.ServerBusy, ctx.Err()
			}
		case err != nil:
			return mqtt.ServerUnavailable, err
		case !waits:
			return code, nil
		}
		select {
		case code := <-i.done:
			return code, nil
		case <-ctx.Done():
			return mqtt.UnspecifiedError, ctx.Err()
		}
	}
}
