package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/stream"
)

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
	beaten  time.Time
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
		if s.tap.From().Less(pos.Next()) { // it is of another log: this one is younger
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
		if s.tap.From().Less(o.Position) {
			return start, BadRequest("from: %q is past the end, which is %s", from, broker.Position(s.tap.From()))
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
	s.beaten = time.Now()
	if why := s.over(); why != "" {
		return why, false
	}
	return "", s.write(": heartbeat\n\n") == nil
}

// over says why the reader may not read any more: its time is over, or what it has proved who it is with does not hold any
// more, be it with the request or with a ticket.
func (s *eventStream) over() (why string) {
	if time.Since(s.began) >= eventLifetime {
		return "lifetime"
	}
	who := PrincipalOf(s.r.Context())
	if who.again == nil {
		return ""
	}
	now, err := who.again(s.r.Context())
	switch {
	case err != nil:
		return "unauthorized"
	case !Consume.allows(now.Role) || now.mayConsume("filter", s.filters) != nil:
		return "forbidden"
	}
	return ""
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
		if time.Since(s.beaten) >= heartbeat { // there is much to send
			if why, ok := s.beat(); !ok {
				return why, false
			}
		}
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
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.e.s.log.Info("a reader of events was cut off", "reason", "slow_consumer", "from", s.r.RemoteAddr, "error", err)
	}
	return err
}
