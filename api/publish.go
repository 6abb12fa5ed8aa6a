package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/mqtt"
)

// maxBulk is how many messages one request may publish.
const maxBulk = 10_000

// Injector takes messages.
type Injector interface {
	// InjectAll publishes messages in their order, and returns when they are durable for whom it matters.
	InjectAll(ctx context.Context, all []broker.Outgoing) []broker.Injected
}

// publishing is /publish.
type publishing struct{ broker Injector }

type publishInput struct {
	Topic      string           `json:"topic"`
	Payload    json.RawMessage  `json:"payload"`
	Encoding   string           `json:"payload_encoding"`
	QoS        int              `json:"qos"`
	Retain     bool             `json:"retain"`
	ClientID   string           `json:"clientid"`
	Properties *propertiesInput `json:"properties"`
}

type propertiesInput struct {
	PayloadFormat   *int           `json:"payload_format_indicator"`
	Expiry          *int64         `json:"message_expiry_interval"`
	ResponseTopic   *string        `json:"response_topic"`
	CorrelationData *string        `json:"correlation_data"`
	ContentType     *string        `json:"content_type"`
	User            orderedStrings `json:"user_properties"`
}

// orderedStrings is a JSON object of strings whose order and doubles stay, as user properties do.
type orderedStrings [][2]string

// UnmarshalJSON implements json.Unmarshaler.
func (o *orderedStrings) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		if t == nil && err == nil {
			return nil // null
		}
		return BadRequest("properties.user_properties: an object of strings goes there")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value string
		if err := d.Decode(&value); err != nil {
			return BadRequest("properties.user_properties.%v: a string goes there", key)
		}
		*o = append(*o, [2]string{key.(string), value})
	}
	return nil
}

type published struct {
	ID      string `json:"id,omitempty"`
	Code    *int   `json:"reason_code,omitempty"`
	Message string `json:"message,omitempty"`
}

// Routes implements Resource.
func (p *publishing) Routes() []Route {
	return []Route{
		{Method: "POST", Path: Base + "/publish", Access: Send, Quiet: true, Handler: p.one},
		{Method: "POST", Path: Base + "/publish/bulk", Access: Send, Quiet: true, MaxBodyBytes: 32 << 20, Handler: p.many},
	}
}

func (p *publishing) one(w http.ResponseWriter, r *http.Request) error {
	var in publishInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	o, err := in.outgoing(r.Context(), "")
	if err != nil {
		return err
	}
	taken := p.broker.InjectAll(r.Context(), []broker.Outgoing{o})[0]
	if taken.Err != nil || taken.Code.Failed() {
		return notTaken(taken.Code, taken.Err)
	}
	status, out := answer(taken.ID, taken.Code)
	WriteJSON(w, status, out)
	return nil
}

// notTaken says why a message was not published.
func notTaken(code mqtt.ReasonCode, err error) error {
	switch {
	case code == mqtt.QuotaExceeded:
		p := problem(http.StatusServiceUnavailable, "QUOTA_EXCEEDED", "there is no room for the message")
		p.Retry = 1
		return p
	case err != nil && code == mqtt.PayloadFormatInvalid:
		return BadRequest("%v", err)
	}
	return Unavailable("the message was not taken: %s", code)
}

// answer says what became of a message that was taken.
func answer(id string, code mqtt.ReasonCode) (int, published) {
	if code == mqtt.NoMatchingSubscribers {
		n := int(code)
		return http.StatusAccepted, published{ID: id, Code: &n, Message: "no_matching_subscribers"}
	}
	return http.StatusOK, published{ID: id}
}

// many publishes messages in their order. All are checked before the first is taken.
func (p *publishing) many(w http.ResponseWriter, r *http.Request) error {
	var in []publishInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if len(in) > maxBulk {
		return BadRequest("at most %d messages at a time", maxBulk)
	}
	out := make([]broker.Outgoing, len(in))
	for i := range in {
		var err error
		if out[i], err = in[i].outgoing(r.Context(), fmt.Sprintf("[%d].", i)); err != nil {
			return err
		}
	}
	answers, worst := make([]published, len(out)), http.StatusOK
	for i, taken := range p.broker.InjectAll(r.Context(), out) {
		status := http.StatusServiceUnavailable
		if taken.Err != nil || taken.Code.Failed() {
			n := int(taken.Code)
			answers[i] = published{Code: &n, Message: notTaken(taken.Code, taken.Err).Error()}
		} else {
			status, answers[i] = answer(taken.ID, taken.Code)
		}
		worst = max(worst, status)
	}
	WriteJSON(w, worst, answers)
	return nil
}

// outgoing checks the input. where is put before the names of fields.
func (in *publishInput) outgoing(ctx context.Context, where string) (o broker.Outgoing, err error) {
	if _, err := mqtt.ParseTopicName(in.Topic); err != nil {
		return o, BadRequest("%stopic: %q is no topic to publish to", where, in.Topic)
	}
	if err := mayPublish(ctx, in.Topic); err != nil {
		return o, err
	}
	if in.QoS < 0 || in.QoS > 2 {
		return o, BadRequest("%sqos: %d is none of 0, 1, 2", where, in.QoS)
	}
	o = broker.Outgoing{Topic: in.Topic, QoS: mqtt.QoS(in.QoS), Retain: in.Retain, ClientID: in.ClientID, Username: PrincipalOf(ctx).Name}
	if o.Payload, err = in.payload(where); err != nil {
		return o, err
	}
	if in.Properties != nil {
		err = in.Properties.into(&o.Properties, where+"properties.")
	}
	return o, err
}

// mayPublish asks the rules of an application.
func mayPublish(ctx context.Context, topic string) error {
	who := PrincipalOf(ctx)
	if who.Role != Client {
		return nil
	}
	if who.Topics == nil || !slices.ContainsFunc(who.Topics.Publish, func(f string) bool {
		return mqtt.MatchTopic(who.expand(f), topic)
	}) {
		return Forbidden("%s may not publish to %q", who.Name, topic)
	}
	return nil
}

// expand puts the application's name into a filter of its rules.
func (p *Principal) expand(filter string) string { return strings.ReplaceAll(filter, "%n", p.Name) }

// payload decodes what is to be sent: a string as it is or in base64, or with the encoding json any value as its text.
func (in *publishInput) payload(where string) ([]byte, error) {
	var text string
	isString := json.Unmarshal(in.Payload, &text) == nil
	switch in.Encoding {
	case "", "plain":
		if in.Payload != nil && !isString {
			return nil, BadRequest("%spayload: a string goes there; with \"payload_encoding\":\"json\" any value", where)
		}
		return []byte(text), nil
	case "base64":
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !isString {
			return nil, BadRequest("%spayload: is no base64", where)
		}
		return data, nil
	case "json":
		var out bytes.Buffer
		if err := json.Compact(&out, in.Payload); err != nil {
			return nil, BadRequest("%spayload: is no JSON", where)
		}
		return out.Bytes(), nil
	}
	return nil, BadRequest("%spayload_encoding: %q is none of plain, base64, json", where, in.Encoding)
}

func (in *propertiesInput) into(p *mqtt.PublishProperties, where string) error {
	if in.PayloadFormat != nil {
		if *in.PayloadFormat != 0 && *in.PayloadFormat != 1 {
			return BadRequest("%spayload_format_indicator: is neither 0 nor 1", where)
		}
		p.Present.Add(mqtt.PropPayloadFormat)
		p.PayloadFormat = uint8(*in.PayloadFormat)
	}
	if in.Expiry != nil {
		if *in.Expiry < 0 || *in.Expiry > 1<<32-1 {
			return BadRequest("%smessage_expiry_interval: must be from 0 to 4294967295 seconds", where)
		}
		p.Present.Add(mqtt.PropMessageExpiry)
		p.MessageExpirySeconds = uint32(*in.Expiry)
	}
	if in.ResponseTopic != nil {
		if _, err := mqtt.ParseTopicName(*in.ResponseTopic); err != nil {
			return BadRequest("%sresponse_topic: %q is no topic", where, *in.ResponseTopic)
		}
		p.Present.Add(mqtt.PropResponseTopic)
		p.ResponseTopic = []byte(*in.ResponseTopic)
	}
	if in.CorrelationData != nil {
		if len(*in.CorrelationData) > 65535 {
			return BadRequest("%scorrelation_data: may have 65535 bytes", where)
		}
		p.Present.Add(mqtt.PropCorrelationData)
		p.CorrelationData = []byte(*in.CorrelationData)
	}
	if in.ContentType != nil {
		if !isMQTTString(*in.ContentType) {
			return BadRequest("%scontent_type: is no MQTT string", where)
		}
		p.Present.Add(mqtt.PropContentType)
		p.ContentType = []byte(*in.ContentType)
	}
	for _, kv := range in.User {
		if !isMQTTString(kv[0]) || !isMQTTString(kv[1]) {
			return BadRequest("%suser_properties: %q is no MQTT string", where, kv[0])
		}
		p.User = mqtt.AppendUserProperty(p.User, kv[0], kv[1])
	}
	return nil
}

func isMQTTString(s string) bool {
	return len(s) <= 65535 && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
