package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// storyView is what is remembered of a message.
type storyView struct {
	ID       string         `json:"id"`
	Topic    string         `json:"topic"`
	ClientID string         `json:"from_clientid"`
	Username string         `json:"from_username"`
	QoS      int            `json:"qos"`
	Retain   bool           `json:"retain"`
	Bytes    int            `json:"payload_bytes"`
	At       string         `json:"publish_at"`
	Summary  string         `json:"summary"`
	Events   []*trace.Event `json:"events"`
}

func viewStory(s *trace.Story) storyView {
	m := &s.Message
	return storyView{m.ID, m.Topic, m.ClientID, m.Username, int(m.QoS), m.Retain, m.Bytes, stamp(m.PublishedAt), summarize(s), s.Events}
}

// summarize tells a message's story in a sentence.
func summarize(s *trace.Story) string {
	var parts []string
	count := func(kind trace.Kind, one string) {
		var who []string
		for _, e := range s.Events {
			if e.Kind == kind && e.ClientID != "" && !slices.Contains(who, e.ClientID) {
				who = append(who, e.ClientID)
			}
		}
		if n := len(who); n > 5 {
			parts = append(parts, fmt.Sprintf("%s %d clients", one, n))
		} else if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %q", one, who))
		}
	}
	for _, e := range s.Events {
		switch e.Kind {
		case trace.Received:
			parts = append(parts, fmt.Sprintf("received from %q", e.ClientID))
		case trace.Refused:
			parts = append(parts, fmt.Sprintf("refused: %s", reasonOf(e)))
		case trace.Routed:
			parts = append(parts, fmt.Sprintf("for %d subscribers", e.Count))
		case trace.Dropped:
			if e.ClientID == "" {
				parts = append(parts, fmt.Sprintf("dropped: %s", reasonOf(e)))
			} else {
				parts = append(parts, fmt.Sprintf("dropped for %q: %s", e.ClientID, e.Reason))
			}
		}
	}
	count(trace.Queued, "waited for")
	count(trace.Sent, "sent to")
	count(trace.Acknowledged, "acknowledged by")
	if len(parts) > 20 {
		parts = append(parts[:20], "…")
	}
	return strings.Join(parts, "; ")
}

func reasonOf(e *trace.Event) string {
	if e.Text != "" {
		return fmt.Sprintf("%s (%s)", e.Reason, e.Text)
	}
	return e.Reason.String()
}

// eventQuery reads what both lists take.
func eventQuery(q *Query) trace.Query {
	t := trace.Query{ClientID: q.String("clientid"), Topic: q.String("topic"), Since: q.Time("since")}
	if t.Topic != "" {
		if _, err := mqtt.ParseTopicFilter(t.Topic); err != nil {
			q.wrong("topic", "%q is no topic or filter", t.Topic)
		}
	}
	return t
}

// messages lists messages of which something is remembered.
func (x *explaining) messages(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page, t := q.Page(), eventQuery(q)
	if err := q.Done(); err != nil {
		return err
	}
	views := []storyView{}
	for _, s := range x.broker.Trace().Stories(t) {
		views = append(views, viewStory(&s))
	}
	WriteJSON(w, http.StatusOK, Of(page, views))
	return nil
}

// message tells the story of one.
func (x *explaining) message(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	stories := x.broker.Trace().Stories(trace.Query{MessageID: id, Limit: 1})
	if len(stories) == 0 {
		return NotFound("NOT_FOUND", "nothing is remembered of a message %q: what was dropped is, for some time, and all of what came over HTTP or was traced", id)
	}
	WriteJSON(w, http.StatusOK, viewStory(&stories[0]))
	return nil
}

// events lists what happened.
func (x *explaining) events(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page, t := q.Page(), eventQuery(q)
	t.Reason = q.OneOf("reason", reasonNames()...)
	if err := q.Done(); err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, Of(page, x.broker.Trace().Events(t)))
	return nil
}

// reasonNames are the reasons and kinds that events can be asked for by.
func reasonNames() (names []string) {
	for _, r := range message.DropReasons() {
		names = append(names, r.String())
	}
	for _, k := range trace.Kinds() {
		names = append(names, k.String())
	}
	return names
}

// tallyView is how often something happened to a client.
type tallyView struct {
	Event  string       `json:"event"`
	Reason string       `json:"reason,omitempty"`
	Count  int64        `json:"count"`
	LastAt string       `json:"last_at"`
	Last   *trace.Event `json:"last"`
}

// recently says what happened to a client lately, and adds to the verdict what has to do with the topic.
func (x *explaining) recently(v *explanationView) {
	v.Recent = []tallyView{}
	tallies := x.broker.Trace().Tallies(v.ClientID)
	for _, t := range tallies {
		v.Recent = append(v.Recent, tallyView{t.Kind.String(), t.Reason.String(), t.Count, stamp(t.Last.At), t.Last})
	}
	for _, e := range x.broker.Trace().Events(trace.Query{ClientID: v.ClientID, Topic: v.Topic}) {
		if e.Kind == trace.Dropped && e.ClientID == v.ClientID {
			v.Verdict += fmt.Sprintf(" A message on that topic was dropped for it at %s (%s): %s.", stamp(e.At), e.Reason, trace.Why(e.Reason))
			return
		}
	}
}
