package migrate

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/migrate/erl"
	"github.com/barid-mqtt/barid/mqtt"
)

// Where the fields of a message are: {message, id, qos, from, flags, headers, topic, payload, timestamp, extra}.
const (
	messageQoS = iota + 2
	messageFrom
	messageFlags
	messageHeaders
	messageTopic
	messagePayload
	messageTimestamp
	messageFields = 10
)

// retained takes a record of {table, topic's levels, message, expiry}; times are in milliseconds, 0 is never.
func (m *emqx) retained(r *erl.Term) (o outcome, err error) {
	if !r.IsTuple(4) || !r.Items[2].IsTuple(messageFields) || !r.Items[2].Items[0].IsAtom("message") {
		return o, fmt.Errorf("%w: a retained message that is not made as one", ErrExport)
	}
	fields := r.Items[2].Items
	topic, okTopic := fields[messageTopic].Bytes()
	payload, okPayload := fields[messagePayload].Bytes()
	qos, at, expiry := fields[messageQoS], fields[messageTimestamp], r.Items[3]
	if !okTopic || !okPayload || qos.Kind != erl.Int || qos.Int < 0 || qos.Int > 2 || at.Kind != erl.Int || expiry.Kind != erl.Int {
		return o, fmt.Errorf("%w: a retained message with a field that is none", ErrExport)
	}
	o.what = "retained " + topic
	msg := &message.Message{Topic: topic, Payload: []byte(payload), QoS: mqtt.QoS(qos.Int), Retain: true, PublishedAt: time.UnixMilli(at.Int)}
	if expiry.Int > 0 {
		msg.ExpiresAt = time.UnixMilli(expiry.Int)
	}
	switch _, err := mqtt.ParseTopicName(topic); {
	case strings.HasPrefix(topic, "$SYS/"):
		return outcome{verdict: NotNeeded, what: o.what}, nil // EMQX says so of itself
	case err != nil:
		return outcome{o.what, Unsupported, err.Error()}, nil
	case payload == "" || msg.Expired(time.Now()):
		return outcome{o.what, NotNeeded, "it has expired, or is empty"}, nil
	}
	if fields[messageFrom].Kind == erl.Binary {
		msg.ClientID = fields[messageFrom].Text
	}
	headers := fields[messageHeaders]
	if user := headers.Get("username"); user.Kind == erl.Binary {
		msg.Username = user.Text
	}
	if msg.Properties, err = forwarded(headers.Get("properties")); err != nil {
		return outcome{o.what, Unsupported, err.Error()}, nil //nolint:nilerr // it is said of the message
	}
	return outcome{what: o.what, verdict: Taken}, m.sink.Retained(msg)
}

// forwarded encodes the properties that go on to subscribers.
func forwarded(t erl.Term) ([]byte, error) {
	var p mqtt.PublishProperties
	if f := t.Get("Payload-Format-Indicator"); f.Kind == erl.Int && f.Int == 1 {
		p.PayloadFormat = 1
		p.Present.Add(mqtt.PropPayloadFormat)
	}
	for name, field := range map[string]struct {
		to   *[]byte
		id   mqtt.PropertyID
		text bool
	}{
		"Response-Topic": {&p.ResponseTopic, mqtt.PropResponseTopic, true}, "Content-Type": {&p.ContentType, mqtt.PropContentType, true},
		"Correlation-Data": {&p.CorrelationData, mqtt.PropCorrelationData, false},
	} {
		value := t.Get(name)
		if value.Kind == 0 {
			continue
		}
		text, ok := value.Bytes()
		if !ok || len(text) > 65535 || field.text && !isMQTTString(text) {
			return nil, fmt.Errorf("its %s is none", name)
		}
		*field.to = []byte(text)
		p.Present.Add(field.id)
	}
	user := t.Get("User-Property")
	for i := range user.Items {
		pair := user.Items[i]
		if !pair.IsTuple(2) || !isMQTTString(pair.Items[0].Text) || !isMQTTString(pair.Items[1].Text) {
			return nil, fmt.Errorf("its user property %d is none", i+1)
		}
		p.User = mqtt.AppendUserProperty(p.User, pair.Items[0].Text, pair.Items[1].Text)
	}
	return p.AppendForward(nil), nil
}

func isMQTTString(s string) bool {
	return len(s) <= 65535 && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
