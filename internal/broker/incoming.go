package broker

import (
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file turns PUBLISH packets into messages.

// message makes the message of a PUBLISH, with one copy of its bytes. The caller releases it.
func (l *link) message(now time.Time, topic string, p *mqtt.Publish) *message.Message {
	n := len(p.Payload) + forwardedBytes(&p.Properties)
	var m *message.Message
	var room []byte
	if p.Retain || l.logged { // it is about to be kept, and a frame takes more memory
		m, room = new(message.Message), make([]byte, 0, n)
	} else {
		m, room = message.New(n)
	}
	m.Topic, m.QoS, m.Retain, m.PublishedAt = topic, p.QoS, p.Retain, now
	m.ClientID, m.Username = l.client.id, l.identity.Username
	fill(m, room, p.Payload, &p.Properties, l.client.broker.clock.At(now))
	return m
}

// topicOf is the topic of a PUBLISH with the listener's mount point. Most clients publish to one topic again and again.
func (l *link) topicOf(name []byte) string {
	if n := len(l.mount); len(l.topic) == n+len(name) && l.topic[n:] == string(name) && l.topic != "" {
		return l.topic
	}
	topic := l.mount + string(name)
	if len(topic) <= maxTopicKept {
		l.topic = topic
	}
	return topic
}

// maxTopicKept bounds the memory of a topic that may not come again.
const maxTopicKept = 256

// forwardedBytes is enough for the properties that a message takes with it.
func forwardedBytes(p *mqtt.PublishProperties) int {
	if isPlain(p) {
		return 0
	}
	return len(p.User) + len(p.ContentType) + len(p.ResponseTopic) + len(p.CorrelationData) + 16
}

// isPlain reports whether a PUBLISH has no properties but the topic alias.
func isPlain(p *mqtt.PublishProperties) bool {
	return p.Present&^(1<<mqtt.PropTopicAlias) == 0 && len(p.User) == 0
}

// fill copies payload and properties into room, or beyond it.
func fill(m *message.Message, room, payload []byte, p *mqtt.PublishProperties, now time.Time) {
	if isPlain(p) {
		if len(payload) > 0 {
			m.Payload = append(room, payload...)
		}
		return
	}
	buf := p.AppendForward(room)
	n := len(buf)
	buf = append(buf, payload...)
	m.Properties, m.Payload = buf[:n:n], buf[n:]
	if p.Present.Has(mqtt.PropMessageExpiry) {
		m.ExpiresAt = now.Add(time.Duration(p.MessageExpirySeconds) * time.Second)
	}
}
