package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/stream"
)

// Taps are where events come from.
type Taps interface {
	Tap(filters []string) (*broker.Tap, error)
}

const (
	heartbeat     = 15 * time.Second
	eventTimeout  = 30 * time.Second // for a write to whoever reads the events
	eventLifetime = time.Hour        // then the reader comes again, with credentials that hold
	eventPage     = 100
	ticketLife    = 30 * time.Second
	ticketCount   = 4096
)

// events is /stream: server-sent events.
type events struct {
	taps    Taps
	streams Streams
	s       *Server
}

// Routes implements Resource.
func (e *events) Routes() []Route {
	return []Route{
		{Method: "GET", Path: Base + "/stream", Access: Consume, Ticket: true, Handler: e.follow},
		{Method: "POST", Path: Base + "/stream/ticket", Access: Consume, Quiet: true, MaxBodyBytes: 4 << 10, Handler: e.ticket},
	}
}

// ticket answers with a ticket for browsers, whose EventSource sends no header.
func (e *events) ticket(w http.ResponseWriter, r *http.Request) error {
	WriteJSON(w, http.StatusOK, map[string]any{
		"ticket": e.s.tickets.issue(PrincipalOf(r.Context())), "expires_in": int(ticketLife / time.Second),
	})
	return nil
}

// startEvent is what the first event says: where the stream begins, and whether it can be resumed.
type startEvent struct {
	Resumable bool   `json:"resumable"`
	Stream    string `json:"stream,omitempty"`
	From      string `json:"from"`             // a position, or new
	Reason    string `json:"reason,omitempty"` // why it does not begin where it was asked to
}

// reasonEvent says why something is missing, or over.
type reasonEvent struct {
	Reason string `json:"reason"`
	Count  int    `json:"count,omitempty"`
}

// eventStream is one reader.
type eventStream struct {
	e       *events
	w       http.ResponseWriter
	r       *http.Request
	tap     *broker.Tap
	filters []string
	as      string
	next    message.Position // where the stream is read on
	resumed bool
	began   time.Time
}

func (e *events) follow(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	filters, as, from := q.Strings("filter"), q.PayloadEncoding(), q.String("from")
	q.Has("ticket")
	if err := q.Done(); err != nil {
		return err
	}
	if err := checkFilters("filter", filters); err != nil {
		return err
	}
	if err := mayConsume(r, "filter", filters); err != nil {
		return err
	}
	tap, err := e.taps.Tap(filters)
	if errors.Is(err, broker.ErrTooManyTaps) {
		return limitReached("there are as many streams of events as consumers.max_event_streams says")
	}
	if err != nil {
		return err
	}
	defer tap.Close()
	s := &eventStream{e: e, w: w, r: r, tap: tap, filters: filters, as: as, next: tap.From(), began: time.Now()}
	start, err := s.begin(from)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // or proxies gather it
	if why := s.run(start); why != "" {
		_ = s.event("end", "", reasonEvent{Reason: why}) // if it can still be told
	}
	return nil
}

// begin finds where to begin: after the last event that the reader has seen, where from says, or now.
func (s *eventStream) begin(from string) (start startEvent, err error) {
	last := s.r.Header.Get("Last-Event-ID")
	start = startEvent{Resumable: s.tap.Stream() != "", Stream: s.tap.Stream(), From: "new"}
	switch {
	case last == "" && from == "":
		return start, nil
	case !start.Resumable:
		start.Reason = "no_stream"
		return start, nil
	case last != "":
		pos, ok := stream.ParsePosition(last)
		if !ok {
			start.Reason = "unknown_id"
			return start, nil
		}
		s.next, s.resumed = pos.Next(), true
	default:
		o, err := broker.ParseStart(from)
		if err != nil {
			return start, BadRequest("from: %v", err)
		}
		if o.Latest {
			return start, nil
		}
		if !o.Since.IsZero() {
			page, err := s.e.streams.History(s.r.Context(), stream.Query{Stream: s.tap.Stream(), Since: o.Since, Limit: 1})
			if err != nil {
				return start, err
			}
			if o.Position = page.Next; len(page.Records) > 0 {
				o.Position = page.Records[0].Position
			}
		}
		s.next = o.Position
	}
	start.From = broker.Position(s.next)
	return start, nil
}

// before is an id after which a place comes next.
func before(pos message.Position) string {
	switch {
	case pos.Index > 0:
		pos.Index--
	case pos.Block > 0:
		pos = message.Position{Block: pos.Block - 1, Index: math.MaxUint32 - 1}
	}
	return broker.Position(pos)
}

// run sends events until the reader goes, or something else ends it; that is returned.
func (s *eventStream) run(start startEvent) (why string) {
	id := ""
	if start.Resumable {
		id = before(s.next)
	}
	if s.event("start", id, start) != nil {
		return ""
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if why, ok := s.send(); !ok {
			return why
		}
		select {
		case <-s.tap.Wake():
		case <-beat.C:
			if why, ok := s.beat(); !ok {
				return why
			}
		case <-s.r.Context().Done():
			if s.e.s.ctx.Err() != nil {
				return "server_stopping"
			}
			return ""
		}
	}
}

// beat keeps the connection open, and looks whether the reader may still read.
func (s *eventStream) beat() (why string, ok bool) {
	switch who := PrincipalOf(s.r.Context()); {
	case time.Since(s.began) > eventLifetime:
		return "lifetime", false
	case !who.Trusted && s.r.Header.Get("Authorization") != "":
		now, err := s.e.s.identify(s.r)
		if err != nil {
			return "unauthorized", false
		}
		if mayConsume(s.r.WithContext(withPrincipal(s.r.Context(), now)), "filter", s.filters) != nil {
			return "forbidden", false
		}
	}
	return "", s.write(": heartbeat\n\n") == nil
}

// send sends what there is.
func (s *eventStream) send() (why string, ok bool) {
	if s.tap.Stream() != "" {
		return s.sendHistory()
	}
	all, missed := s.tap.Take()
	now := time.Now()
	for _, m := range all {
		v := viewMessage(message.Position{}, m, s.as, now)
		v.ID = ""
		if s.event("", "", v) != nil {
			return "", false
		}
	}
	if missed > 0 && s.event("dropped", "", reasonEvent{"slow_consumer", missed}) != nil {
		return "", false
	}
	return "", true
}

// sendHistory sends what the stream has from where the reader stands. A reader that is slow lags behind there.
func (s *eventStream) sendHistory() (why string, ok bool) {
	for s.r.Context().Err() == nil {
		page, err := s.e.streams.History(s.r.Context(), stream.Query{Stream: s.tap.Stream(), Filters: s.filters, From: s.next, Limit: eventPage})
		switch {
		case errors.Is(err, broker.ErrNoStream):
			return "stream_deleted", false
		case err != nil && s.r.Context().Err() == nil:
			s.e.s.log.Error("a stream of events was not read", "stream", s.tap.Stream(), "error", err)
			return "error", false
		case err != nil:
			return "", true
		}
		if !page.Complete && (s.resumed || !s.next.IsZero()) && s.event("gap", "", reasonEvent{Reason: "stream_trimmed"}) != nil {
			return "", false
		}
		now := time.Now()
		for _, rec := range page.Records {
			if s.event("", broker.Position(rec.Position), viewMessage(rec.Position, rec.Message, s.as, now)) != nil {
				return "", false
			}
		}
		s.next, s.resumed = page.Next, false
		if page.End {
			break
		}
	}
	return "", true
}

// event sends an event: what kind, its id if it has one, and its data in one line.
func (s *eventStream) event(kind, id string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var b strings.Builder
	if kind != "" {
		fmt.Fprintf(&b, "event: %s\n", kind)
	}
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "data: %s\n\n", body)
	return s.write(b.String())
}

// write writes within a time: who takes nothing for so long is cut off.
func (s *eventStream) write(text string) error {
	c := http.NewResponseController(s.w)
	_ = c.SetWriteDeadline(time.Now().Add(eventTimeout)) // where the connection has such
	_, err := io.WriteString(s.w, text)
	if err == nil {
		err = c.Flush()
	}
	if err != nil && s.r.Context().Err() == nil {
		s.e.s.log.Info("a reader of events was cut off", "reason", "slow_consumer", "from", s.r.RemoteAddr, "error", err)
	}
	return err
}
