package broker

import (
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// will is a will message that is not published yet.
type will struct {
	message      message.Message // without its times
	expiry       time.Duration   // of the message, from when it is published
	expires      bool
	delaySeconds uint32
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
		var ops []storage.Op
		if due {
			c.will = nil
			ops = c.sessionOps(false, nil, time.Time{})
		}
		c.mu.Unlock()
		if due {
			b.publishWill(w, ops)
		}
	})
}

// publishWill publishes a will, with the state that changes by that.
func (b *Broker) publishWill(w *will, ops []storage.Op) {
	m := w.message
	m.PublishedAt = time.Now()
	m.ExpiresAt = time.Time{}
	if w.expires {
		m.ExpiresAt = b.clock.At(m.PublishedAt).Add(w.expiry)
	}
	b.follow(&m, "will")
	b.publishOwed(&m, ops, b.publish)
}
