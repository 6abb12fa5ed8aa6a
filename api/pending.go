package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/barid-mqtt/barid/internal/broker"
)

// Pending is what is on its way to clients.
type Pending interface {
	InFlightOf(id string) ([]broker.PendingMessage, error)
	QueuedFor(ctx context.Context, id string, most int) (list []broker.PendingMessage, more bool, err error)
}

// pending is /clients/{clientid}/mqueue_messages and inflight_messages.
type pending struct{ broker Pending }

type pendingView struct {
	ID       string  `json:"msgid"`
	Topic    string  `json:"topic"`
	QoS      int     `json:"qos"`
	At       int64   `json:"publish_at"` // milliseconds since 1970
	ClientID string  `json:"from_clientid"`
	Username string  `json:"from_username"`
	Inserted string  `json:"inserted_at"` // nanoseconds since 1970
	PacketID uint16  `json:"packet_id,omitempty"`
	Released bool    `json:"released,omitempty"`
	Encoding string  `json:"payload_encoding,omitempty"`
	Payload  *string `json:"payload,omitempty"`
}

type pendingPage struct {
	Data []pendingView `json:"data"`
	Meta pendingMeta   `json:"meta"`
}

type pendingMeta struct {
	Start    string `json:"start"`
	Position string `json:"position"` // to go on from
	HasNext  bool   `json:"hasnext"`
}

// maxPending is how far into a queue can be looked.
const maxPending = 100_000

// Routes implements Resource.
func (p *pending) Routes() []Route {
	const path = Base + "/clients/{clientid}"
	return []Route{
		{Method: "GET", Path: path + "/mqueue_messages", Access: Look, Handler: p.queued},
		{Method: "GET", Path: path + "/inflight_messages", Access: Look, Handler: p.inFlight},
	}
}

// pendingQuery is which part of the messages is asked for, and how.
type pendingQuery struct {
	skip, limit, maxBytes int
	payload               string
}

func readPendingQuery(r *http.Request) (p pendingQuery, err error) {
	q := NewQuery(r)
	p.limit = q.Int("limit", defaultLimit, 1, maxLimit)
	p.maxBytes = q.Int("max_payload_bytes", 1<<20, 0, 64<<20)
	if p.payload = q.OneOf("payload", "none", "base64", "plain"); p.payload == "" {
		p.payload = "base64"
	}
	if v := q.String("position"); v != "" && v != "none" {
		p.skip, err = strconv.Atoi(v)
		if err != nil || p.skip < 0 || p.skip > maxPending {
			q.wrong("position", "%q is none that an answer gave", v)
		}
	}
	return p, q.Done()
}

func (p *pending) queued(w http.ResponseWriter, r *http.Request) error {
	q, err := readPendingQuery(r)
	if err != nil {
		return err
	}
	id := r.PathValue("clientid")
	list, more, err := p.broker.QueuedFor(r.Context(), id, q.skip+q.limit)
	if err != nil {
		return noClient(id, err)
	}
	WriteJSON(w, http.StatusOK, q.page(list, more))
	return nil
}

func (p *pending) inFlight(w http.ResponseWriter, r *http.Request) error {
	q, err := readPendingQuery(r)
	if err != nil {
		return err
	}
	id := r.PathValue("clientid")
	list, err := p.broker.InFlightOf(id)
	if err != nil {
		return noClient(id, err)
	}
	WriteJSON(w, http.StatusOK, q.page(list, false))
	return nil
}

// page cuts the part out of a list that may go on. It ends early where payloads would be too much, but has one message.
func (q *pendingQuery) page(list []broker.PendingMessage, more bool) pendingPage {
	out := pendingPage{Data: []pendingView{}, Meta: pendingMeta{Start: "none"}}
	if q.skip > 0 {
		out.Meta.Start = strconv.Itoa(q.skip)
	}
	first, bytes := min(q.skip, len(list)), 0
	last := first
	for _, m := range list[first:min(first+q.limit, len(list))] {
		if bytes += len(m.Message.Payload); q.payload != "none" && bytes > q.maxBytes && last > first {
			break
		}
		out.Data = append(out.Data, q.view(&m))
		last++
	}
	out.Meta.Position, out.Meta.HasNext = strconv.Itoa(last), more || last < len(list)
	return out
}

func (q *pendingQuery) view(m *broker.PendingMessage) pendingView {
	x := m.Message
	v := pendingView{
		ID: fmt.Sprintf("%016X", x.PublishedAt.UnixMicro()), Topic: x.Topic, QoS: int(m.QoS), At: x.PublishedAt.UnixMilli(),
		ClientID: x.ClientID, Username: x.Username, Inserted: strconv.FormatInt(x.PublishedAt.UnixNano(), 10), PacketID: m.PacketID, Released: m.Released,
	}
	switch {
	case q.payload == "none":
	case q.payload == "plain" && utf8.Valid(x.Payload):
		text := string(x.Payload)
		v.Payload, v.Encoding = &text, "plain"
	default:
		text := base64.StdEncoding.EncodeToString(x.Payload)
		v.Payload, v.Encoding = &text, "base64"
	}
	return v
}
