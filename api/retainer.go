package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// Retained are the retained messages.
type Retained interface {
	RetainedCount() int
	Retained(filter, after string, max int) (messages []*message.Message, more bool)
	RetainedMessage(topic string) *message.Message
	ForgetRetained(ctx context.Context, topic string) error
}

// retainerBatch is how many messages are looked at or removed at a time.
const retainerBatch = 1000

// retainer is /mqtt/retainer.
type retainer struct{ broker Retained }

type retainedView struct {
	ID       string  `json:"msgid"`
	Topic    string  `json:"topic"`
	QoS      int     `json:"qos"`
	At       string  `json:"publish_at"`
	ClientID string  `json:"from_clientid"`
	Username string  `json:"from_username"`
	Size     int     `json:"payload_size"`
	Payload  *string `json:"payload,omitempty"` // base64
}

// Routes implements Resource.
func (t *retainer) Routes() []Route {
	const path = Base + "/mqtt/retainer"
	return []Route{
		{Method: "GET", Path: path + "/messages", Access: Look, Handler: t.list},
		{Method: "DELETE", Path: path + "/messages", Access: Manage, Handler: t.clear},
		{Method: "GET", Path: path + "/message/{topic...}", Access: Look, Handler: t.get},
		{Method: "DELETE", Path: path + "/message/{topic...}", Access: Manage, Handler: t.remove},
	}
}

func viewRetained(m *message.Message) retainedView {
	return retainedView{
		ID: fmt.Sprintf("%016X", m.PublishedAt.UnixMicro()), Topic: m.Topic, QoS: int(m.QoS), At: stamp(m.PublishedAt),
		ClientID: m.ClientID, Username: m.Username, Size: len(m.Payload),
	}
}

// list skips to its page: topics are in order, but which is the thousandth is not known.
func (t *retainer) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page, filter := q.Page(), q.String("topic")
	if filter == "" {
		filter = "#"
	} else if _, err := mqtt.ParseTopicFilter(filter); err != nil {
		q.wrong("topic", "%q is no topic filter", filter)
	}
	if err := q.Done(); err != nil {
		return err
	}
	out := List[retainedView]{Data: []retainedView{}, Meta: Meta{Page: page.Number, Limit: page.Limit}}
	after, more := "", true
	for more {
		var messages []*message.Message
		messages, more = t.broker.Retained(filter, after, retainerBatch)
		for _, m := range messages {
			after = m.Topic
			if n := out.Meta.Count; n >= page.Skip() && n < page.Skip()+page.Limit {
				out.Data = append(out.Data, viewRetained(m))
			}
			out.Meta.Count++
		}
		if r.Context().Err() != nil {
			return r.Context().Err()
		}
	}
	out.Meta.HasNext = out.Meta.Count > page.Skip()+page.Limit
	WriteJSON(w, http.StatusOK, out)
	return nil
}

func (t *retainer) get(w http.ResponseWriter, r *http.Request) error {
	topic := r.PathValue("topic")
	m := t.broker.RetainedMessage(topic)
	if m == nil {
		return NotFound("NOT_FOUND", "nothing is retained on %q", topic)
	}
	v := viewRetained(m)
	payload := base64.StdEncoding.EncodeToString(m.Payload)
	v.Payload = &payload
	WriteJSON(w, http.StatusOK, v)
	return nil
}

func (t *retainer) remove(w http.ResponseWriter, r *http.Request) error {
	topic := r.PathValue("topic")
	if t.broker.RetainedMessage(topic) == nil {
		return NotFound("NOT_FOUND", "nothing is retained on %q", topic)
	}
	if err := t.broker.ForgetRetained(r.Context(), topic); err != nil {
		return err
	}
	NoContent(w)
	return nil
}

// clear forgets every retained message but those of $SYS.
func (t *retainer) clear(w http.ResponseWriter, r *http.Request) error {
	after, more := "", true
	for more {
		var messages []*message.Message
		messages, more = t.broker.Retained("#", after, retainerBatch)
		for _, m := range messages {
			after = m.Topic
			if err := t.broker.ForgetRetained(r.Context(), m.Topic); err != nil {
				return err
			}
		}
	}
	NoContent(w)
	return nil
}
