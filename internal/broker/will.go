package broker

import (
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// will is a will message that is not published yet.
type will struct {
	message      message.Message // without its times
	expiry       time.Duration   // of the message, from when it is published
	expires      bool
	delaySeconds uint32
	id           uint64 // no other will of the session has it
}

func newWill(w *mqtt.Will, mount, clientID, username string) *will {
	x := &will{delaySeconds: w.DelaySeconds}
	fill(&x.message, nil, w.Payload, &w.Properties, time.Time{})
	x.message.Topic, x.message.QoS, x.message.Retain = mount+w.Topic, w.QoS, w.Retain
	x.message.ClientID, x.message.Username = clientID, username
	x.expires = w.Properties.Present.Has(mqtt.PropMessageExpiry)
	x.expiry = time.Duration(w.Properties.MessageExpirySeconds) * time.Second
	return x
}

// delayWill publishes a will after its delay, unless the session is resumed before that.
func (b *Broker) delayWill(c *client, w *will, delay time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rouse()
	c.will = w
	c.willTimer = b.timers.afterAtLeast(delay, func() {
		c.mu.Lock()
		due := c.will == w
		if due {
			c.will = nil
		}
		c.mu.Unlock()
		if due {
			b.publishWill(c, w)
		}
	})
}

// publishWill publishes a will, and keeps that in the same commit. It leaves alone what else is kept of the session, which may
// have a connection again when the commit comes.
func (b *Broker) publishWill(c *client, w *will) {
	var ops []storage.Op
	c.mu.Lock()
	if c.stored {
		ops = []storage.Op{state.PutWillPublished(c.owner(), w.id)}
	}
	c.mu.Unlock()
	m := w.message
	m.PublishedAt = time.Now()
	m.ExpiresAt = time.Time{}
	if w.expires {
		m.ExpiresAt = b.clock.At(m.PublishedAt).Add(w.expiry)
	}
	b.follow(&m, "will")
	b.publishOwed(&m, ops, b.publish)
}
