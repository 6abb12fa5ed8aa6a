package broker

import (
	"context"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// RetainedCount is how many retained messages there are, those of $SYS not counted.
func (b *Broker) RetainedCount() int { return b.retained.Len() }

// Retained lists retained messages whose topics a filter matches, in the order of their topics, after a topic, and at
// most max. more says that there may be others. The messages are shared, and not to be changed.
func (b *Broker) Retained(filter, after string, max int) (messages []*message.Message, more bool) {
	entries, more := b.retainedFor(filter).Scan(filter, after, b.clock.Now(), max, nil)
	for _, e := range entries {
		messages = append(messages, e.Message)
	}
	return messages, more
}

// RetainedMessage returns the retained message of a topic; nil: there is none.
func (b *Broker) RetainedMessage(topic string) *message.Message {
	e, ok := b.retainedFor(topic).Get(topic)
	if !ok || e.Message.Expired(b.clock.Now()) {
		return nil
	}
	return e.Message
}

// ForgetRetained removes the retained message of a topic, durably, and tells nobody: that is no publication.
func (b *Broker) ForgetRetained(ctx context.Context, topic string) error {
	if strings.HasPrefix(topic, "$SYS/") {
		return nil
	}
	m := &message.Message{Topic: topic, Retain: true, PublishedAt: time.Now()}
	done := make(chan error, 1)
	err := b.engine.Submit(0, storage.Unit{Ops: b.withRetained(nil, m)}, func(pos message.Position, err error) {
		if err == nil {
			err = b.retained.Set(m, pos)
		}
		done <- err
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
