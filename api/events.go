package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
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
	s := &eventStream{e: e, w: w, r: r, tap: tap, filters: filters, as: as, next: tap.From(), began: time.Now(), beaten: time.Now()}
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
