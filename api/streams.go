package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/stream"
)

// Streams are the broker's declared streams, and what is kept of messages.
type Streams interface {
	Streams() []broker.StreamInfo
	Stream(name string) (broker.StreamInfo, error)
	PutStream(ctx context.Context, name string, c stream.Config) error
	DeleteStream(ctx context.Context, name string) error
	History(ctx context.Context, q stream.Query) (*stream.Page, error)
}

// streams is /streams and /history.
type streams struct{ broker Streams }

type streamInput struct {
	Name        *string  `json:"name"`
	Filters     []string `json:"filters"`
	KeepSeconds int64    `json:"keep_seconds"`
	KeepBytes   int64    `json:"keep_bytes"`
	LastValue   bool     `json:"last_value"`
}

type streamView struct {
	Name        string   `json:"name"`
	Filters     []string `json:"filters"`
	KeepSeconds int64    `json:"keep_seconds"`
	KeepBytes   int64    `json:"keep_bytes"`
	LastValue   bool     `json:"last_value"`
	Source      string   `json:"source"` // config or local
	Messages    uint64   `json:"messages"`
	Bytes       int64    `json:"bytes"`
	First       string   `json:"first"`
	Next        string   `json:"next"`
}

// Routes implements Resource.
func (s *streams) Routes() []Route {
	const path = Base + "/streams"
	return []Route{
		{Method: "GET", Path: path, Access: Look, Handler: s.list},
		{Method: "GET", Path: path + "/{name}", Access: Look, Handler: s.get},
		{Method: "PUT", Path: path + "/{name}", Access: Manage, MaxBodyBytes: 64 << 10, Handler: s.put},
		{Method: "DELETE", Path: path + "/{name}", Access: Manage, Handler: s.remove},
		{Method: "GET", Path: Base + "/history", Access: Anyone, Handler: s.history},
	}
}

func viewStream(i *broker.StreamInfo) streamView {
	v := streamView{
		Name: i.Name, Filters: i.Config.Filters, KeepSeconds: int64(i.Config.Keep / time.Second), KeepBytes: i.Config.KeepBytes,
		LastValue: i.Config.LastValue, Source: "local", Messages: i.Info.Messages, Bytes: i.Info.Bytes,
		First: broker.Position(i.Info.First), Next: broker.Position(i.Info.Next),
	}
	if i.Configured {
		v.Source = "config"
	}
	return v
}

func (s *streams) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page := q.Page()
	if err := q.Done(); err != nil {
		return err
	}
	cut := Of(page, s.broker.Streams())
	views := make([]streamView, len(cut.Data))
	for i := range cut.Data {
		views[i] = viewStream(&cut.Data[i])
	}
	WriteJSON(w, http.StatusOK, List[streamView]{Data: views, Meta: cut.Meta})
	return nil
}

func (s *streams) get(w http.ResponseWriter, r *http.Request) error {
	info, err := s.broker.Stream(r.PathValue("name"))
	if err != nil {
		return noStream(r.PathValue("name"), err)
	}
	WriteJSON(w, http.StatusOK, viewStream(&info))
	return nil
}

// noStream translates the broker's error.
func noStream(name string, err error) error {
	switch {
	case errors.Is(err, broker.ErrNoStream):
		return NotFound("STREAM_NOT_FOUND", "there is no stream %q", name)
	case errors.Is(err, broker.ErrStreamConfigured):
		return Conflict("CONFIGURED", "%q is the configuration's: change streams.%s there", name, name)
	case errors.Is(err, broker.ErrStreamInUse):
		return Conflict("IN_USE", "clients are subscribed to $stream/%s or $queue/%s: end those subscriptions first", name, name)
	case errors.Is(err, broker.ErrTooManyStreams):
		return limitReached("there are as many streams as limits.max_streams says")
	}
	return notKept(err)
}

func (s *streams) put(w http.ResponseWriter, r *http.Request) error {
	var in streamInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := in.check(name); err != nil {
		return err
	}
	c := stream.Config{Filters: in.Filters, Keep: time.Duration(in.KeepSeconds) * time.Second, KeepBytes: in.KeepBytes, LastValue: in.LastValue}
	if err := s.broker.PutStream(r.Context(), name, c); err != nil {
		return noStream(name, err)
	}
	return s.get(w, r)
}

func (in *streamInput) check(name string) error {
	const maxSeconds = 1_000_000_000
	switch {
	case in.Name != nil && *in.Name != name:
		return BadRequest("name: is another than in the path; a stream cannot be renamed")
	case !broker.GoodName(name):
		return BadRequest("name: %q is none; use a to z, 0 to 9, - and single _, at most 128 bytes", name)
	case in.KeepSeconds < 0 || in.KeepSeconds > maxSeconds:
		return BadRequest("keep_seconds: must be from 0, for no limit, to %d", maxSeconds)
	case in.KeepBytes < 0:
		return BadRequest("keep_bytes: must be 0, for no limit, or more")
	}
	return checkFilters("filters", in.Filters)
}

func (s *streams) remove(w http.ResponseWriter, r *http.Request) error {
	if err := s.broker.DeleteStream(r.Context(), r.PathValue("name")); err != nil {
		return noStream(r.PathValue("name"), err)
	}
	NoContent(w)
	return nil
}

type historyView struct {
	Data     []messageView `json:"data"`
	Next     string        `json:"next"`
	End      bool          `json:"end"`
	Complete bool          `json:"complete"`
}

// history answers with a part of what is kept.
func (s *streams) history(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	query := stream.Query{Stream: q.String("stream"), Filters: q.Strings("filter"), Since: q.Time("since"), Limit: q.Int("limit", defaultLimit, 1, maxLimit), MaxBytes: 4 << 20}
	as, from := q.PayloadEncoding(), q.String("from")
	if err := q.Done(); err != nil {
		return err
	}
	if err := s.aim(r, &query, from); err != nil {
		return err
	}
	page, err := s.broker.History(r.Context(), query)
	if err != nil {
		return noStream(query.Stream, err)
	}
	out := historyView{Data: make([]messageView, len(page.Records)), Next: broker.Position(page.Next), End: page.End, Complete: page.Complete}
	now := time.Now()
	for i, rec := range page.Records {
		out.Data[i] = viewMessage(rec.Position, rec.Message, as, now)
	}
	WriteJSON(w, http.StatusOK, out)
	return nil
}

// aim checks what history is asked for, and from where.
func (s *streams) aim(r *http.Request, q *stream.Query, from string) error {
	if q.Stream == "" && len(q.Filters) == 0 {
		return BadRequest("filter: is missing, or stream")
	}
	asked := q.Filters
	if len(asked) > 0 {
		if err := checkFilters("filter", asked); err != nil {
			return err
		}
	}
	if q.Stream != "" {
		info, err := s.broker.Stream(q.Stream)
		if err != nil {
			return noStream(q.Stream, err)
		}
		if len(asked) == 0 {
			asked = info.Config.Filters
		}
	}
	if from != "" {
		o, err := broker.ParseStart(from)
		switch {
		case err != nil:
			return BadRequest("from: %v", err)
		case o.Latest:
			return BadRequest("from: there is no history after the latest message; earliest, a time or a position goes there")
		case !o.Since.IsZero() && !q.Since.IsZero():
			return BadRequest("from: is a time, and since is given too")
		case !o.Since.IsZero():
			q.Since = o.Since
		}
		q.From = o.Position
	}
	return mayConsume(r, "filter", asked)
}
