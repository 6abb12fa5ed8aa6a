package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
)

// messageView is a message that is consumed.
type messageView struct {
	ID         string          `json:"id,omitempty"` // its place in the log
	Topic      string          `json:"topic"`
	Payload    json.RawMessage `json:"payload"`
	Encoding   string          `json:"payload_encoding"`
	QoS        int             `json:"qos"`
	Retain     bool            `json:"retain"`
	Properties *propertiesView `json:"properties,omitempty"`
	At         string          `json:"publish_at"`
	ClientID   string          `json:"from_clientid"`
	Deliveries uint32          `json:"deliveries,omitempty"`
}

type propertiesView struct {
	PayloadFormat   *uint8         `json:"payload_format_indicator,omitempty"`
	Expiry          *uint32        `json:"message_expiry_interval,omitempty"` // what is left of it
	ResponseTopic   *string        `json:"response_topic,omitempty"`
	CorrelationData *string        `json:"correlation_data,omitempty"`        // as it is, if that is text
	CorrelationB64  *string        `json:"correlation_data_base64,omitempty"` // and else in base64
	ContentType     *string        `json:"content_type,omitempty"`
	User            orderedStrings `json:"user_properties,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (o orderedStrings) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, kv := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		key, err := json.Marshal(kv[0])
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(kv[1])
		if err != nil {
			return nil, err
		}
		out.Write(append(append(key, ':'), value...))
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// encodings of payloads, as a request may ask for them.
const (
	asFits   = "" // plain if it is text, and else base64
	asPlain  = "plain"
	asBase64 = "base64"
	asJSON   = "json"
)

// PayloadEncoding reads payload_encoding.
func (q *Query) PayloadEncoding() string {
	v := q.OneOf("payload_encoding", asPlain, "text", asBase64, asJSON)
	if v == "text" {
		return asPlain
	}
	return v
}

// encodePayload writes a payload as it was asked for. What cannot be written so is written as base64, and says so.
func encodePayload(payload []byte, as string) (raw json.RawMessage, encoding string) {
	if as == asJSON && json.Valid(payload) {
		return json.RawMessage(payload), asJSON
	}
	if as == asBase64 || !utf8.Valid(payload) {
		raw, _ = json.Marshal(base64.StdEncoding.EncodeToString(payload)) // a string always can be
		return raw, asBase64
	}
	raw, _ = json.Marshal(string(payload))
	return raw, asPlain
}

// viewMessage shows a message at a place of the log.
func viewMessage(pos message.Position, m *message.Message, as string, now time.Time) messageView {
	v := messageView{
		ID: broker.Position(pos), Topic: m.Topic, QoS: int(m.QoS), Retain: m.Retain, At: stamp(m.PublishedAt), ClientID: m.ClientID,
	}
	v.Payload, v.Encoding = encodePayload(m.Payload, as)
	v.Properties = viewProperties(m, now)
	return v
}

func viewProperties(m *message.Message, now time.Time) *propertiesView {
	left, expires := m.ExpirySeconds(now)
	if len(m.Properties) == 0 && !expires {
		return nil
	}
	v := &propertiesView{}
	if expires {
		v.Expiry = &left
	}
	p, err := mqtt.DecodeForward(m.Properties)
	if err != nil {
		return v // checked when it came in
	}
	text := func(id mqtt.PropertyID, b []byte) *string {
		if !p.Present.Has(id) {
			return nil
		}
		s := string(b)
		return &s
	}
	if p.Present.Has(mqtt.PropPayloadFormat) {
		v.PayloadFormat = &p.PayloadFormat
	}
	v.ContentType = text(mqtt.PropContentType, p.ContentType)
	v.ResponseTopic = text(mqtt.PropResponseTopic, p.ResponseTopic)
	if c := text(mqtt.PropCorrelationData, p.CorrelationData); c != nil && utf8.ValidString(*c) {
		v.CorrelationData = c
	} else if c != nil {
		encoded := base64.StdEncoding.EncodeToString([]byte(*c))
		v.CorrelationB64 = &encoded
	}
	for key, value := range p.User.All() {
		v.User = append(v.User, [2]string{key, value})
	}
	return v
}

// mayConsume asks the rules of an application: each filter has to be covered by one of them.
func mayConsume(r *http.Request, field string, filters []string) error {
	who := PrincipalOf(r.Context())
	return who.mayConsume(field, filters)
}

func (p *Principal) mayConsume(field string, filters []string) error {
	if p.Role != Client {
		return nil
	}
	var allowed []string
	if p.Topics != nil {
		for _, f := range p.Topics.Consume {
			allowed = append(allowed, p.expand(f))
		}
	}
	for _, f := range filters {
		if !stream.CoversAll(allowed, []string{f}) {
			return Forbidden("%s: %s may not consume %q", field, p.Name, f)
		}
	}
	return nil
}

// checkFilters reports what is wrong with filters of plain topics.
func checkFilters(field string, filters []string) error {
	if len(filters) == 0 {
		return BadRequest("%s: is missing", field)
	}
	if len(filters) > maxFilters {
		return BadRequest("%s: there may be %d", field, maxFilters)
	}
	for i, filter := range filters {
		f, err := mqtt.ParseTopicFilter(filter)
		switch _, shared := f.Group(); {
		case err != nil:
			return BadRequest("%s[%d]: %q is no topic filter", field, i, filter)
		case shared || slices.ContainsFunc([]string{"$stream/", "$queue/", "$exclusive/", "$delayed/"}, func(p string) bool { return strings.HasPrefix(filter, p) }):
			return BadRequest("%s[%d]: %q is for MQTT clients; filters of plain topics go here", field, i, filter)
		case slices.Contains(filters[:i], filter):
			return BadRequest("%s[%d]: %q is there twice", field, i, filter)
		}
	}
	return nil
}

// maxFilters is how many filters a stream or a consumer may have.
const maxFilters = 100
