package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
)

// Consumers are the broker's consumers.
type Consumers interface {
	Consumers(ctx context.Context) []broker.ConsumerInfo
	Consumer(ctx context.Context, name string) (broker.ConsumerInfo, error)
	ConsumerConfig(name string) (broker.ConsumerConfig, error)
	PutConsumer(ctx context.Context, name string, c broker.ConsumerConfig, start stream.Offset) (made bool, err error)
	DeleteConsumer(ctx context.Context, name string) error
	// Poll gives out messages of a consumer; Acknowledge ends them, and Reject has them come again. Each returns when that is
	// durable.
	Poll(ctx context.Context, name string, max, maxBytes int, wait time.Duration) ([]broker.Leased, error)
	Acknowledge(ctx context.Context, name string, ids []message.Position) (unknown []message.Position, err error)
	Reject(ctx context.Context, name string, ids []message.Position, delay time.Duration) (unknown []message.Position, err error)
	// ReturnLeased gives back what Poll returned and nobody has seen.
	ReturnLeased(name string, batch []broker.Leased)
	// PushFailed counts a push that failed.
	PushFailed(name string)
}

// Limits of what consumers are told and asked.
const (
	maxPoll         = 1000
	maxPollBytes    = 4 << 20
	maxPollWait     = 60 // seconds
	maxAckWait      = 12 * 3600
	maxDeliver      = 1_000_000
	maxIdleExpiry   = 1_000_000_000
	maxNackDelay    = 24 * 3600
	maxAnswered     = 10_000 // ids of one request
	defaultAckWait  = 30
	defaultPollWait = 30
)

// consumers is /consumers.
type consumers struct {
	broker Consumers
	push   *pushing
}

type consumerInput struct {
	Name        *string         `json:"name"`
	Filters     []string        `json:"filters"`
	Start       json.RawMessage `json:"start"`
	AckWait     *int            `json:"ack_wait_seconds"`
	MaxDeliver  int             `json:"max_deliver"`
	DeadLetter  string          `json:"dead_letter_topic"`
	IdleSeconds int             `json:"idle_expiry_seconds"`
	Push        *pushInput      `json:"push"`
}

type consumerView struct {
	Name         string    `json:"name"`
	Filters      []string  `json:"filters"`
	Start        string    `json:"start"`
	AckWait      int       `json:"ack_wait_seconds"`
	MaxDeliver   uint32    `json:"max_deliver"`
	DeadLetter   string    `json:"dead_letter_topic"`
	IdleSeconds  int       `json:"idle_expiry_seconds"`
	Push         *pushView `json:"push,omitempty"`
	Owner        string    `json:"owner"`
	CreatedAt    string    `json:"created_at"`
	Position     string    `json:"position"`
	Lag          int       `json:"lag"`
	LagExact     bool      `json:"lag_exact"`
	InFlight     int       `json:"in_flight"`
	Leased       int       `json:"leased"`
	Waiting      int       `json:"waiting"`
	Delivered    uint64    `json:"delivered"`
	Redelivered  uint64    `json:"redelivered"`
	Acknowledged uint64    `json:"acknowledged"`
	Returned     uint64    `json:"returned"`
	DeadLettered uint64    `json:"dead_lettered"`
}

// Routes implements Resource.
func (c *consumers) Routes() []Route {
	const path = Base + "/consumers"
	return []Route{
		{Method: "GET", Path: path, Access: Anyone, Handler: c.list},
		{Method: "GET", Path: path + "/{name}", Access: Anyone, Handler: c.get},
		{Method: "PUT", Path: path + "/{name}", Access: Consume, MaxBodyBytes: 64 << 10, Handler: c.put},
		{Method: "DELETE", Path: path + "/{name}", Access: Consume, Handler: c.remove},
		{Method: "GET", Path: path + "/{name}/messages", Access: Consume, Handler: c.messages},
		{Method: "POST", Path: path + "/{name}/ack", Access: Consume, Quiet: true, MaxBodyBytes: 1 << 20, Handler: c.ack},
		{Method: "POST", Path: path + "/{name}/nack", Access: Consume, Quiet: true, MaxBodyBytes: 1 << 20, Handler: c.nack},
	}
}

func viewConsumer(i *broker.ConsumerInfo) consumerView {
	return consumerView{
		Name: i.Name, Filters: i.Config.Filters, Start: i.Config.Start, AckWait: int(i.Config.AckWait / time.Second),
		MaxDeliver: i.Config.MaxDeliver, DeadLetter: i.Config.DeadLetterTopic, IdleSeconds: int(i.Config.IdleExpiry / time.Second),
		Push: viewPush(i.Config.Push), Owner: i.Config.Owner, CreatedAt: stamp(i.Created), Position: broker.Position(i.Position),
		Lag: i.Lag, LagExact: i.LagExact, InFlight: i.InFlight, Leased: i.Leased, Waiting: i.Waiting, Delivered: i.Counters.Delivered,
		Redelivered: i.Counters.Redelivered, Acknowledged: i.Counters.Acknowledged, Returned: i.Counters.Returned, DeadLettered: i.Counters.DeadLettered,
	}
}

// noConsumer translates the broker's error.
func noConsumer(name string, err error) error {
	switch {
	case errors.Is(err, broker.ErrNoConsumer):
		return NotFound("CONSUMER_NOT_FOUND", "there is no consumer %q", name)
	case errors.Is(err, broker.ErrTooManyConsumers):
		return limitReached("there are as many consumers as consumers.max says")
	case errors.Is(err, broker.ErrTooManyWaiting):
		return limitReached("as many requests wait for messages as consumers.max_waiting says")
	}
	return notKept(err)
}

// list shows an application those that it may use.
func (c *consumers) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page := q.Page()
	if err := q.Done(); err != nil {
		return err
	}
	views := []consumerView{}
	for _, i := range c.broker.Consumers(r.Context()) {
		if mayConsume(r, "filters", i.Config.Filters) == nil {
			views = append(views, viewConsumer(&i))
		}
	}
	WriteJSON(w, http.StatusOK, Of(page, views))
	return nil
}

// find returns the name of the consumer that a request names, and what it is told, if whoever sent the request may use it.
func (c *consumers) find(r *http.Request) (name string, config broker.ConsumerConfig, err error) {
	name = r.PathValue("name")
	if config, err = c.broker.ConsumerConfig(name); err != nil {
		return name, config, noConsumer(name, err)
	}
	return name, config, mayConsume(r, "filters", config.Filters)
}

// mayChange keeps applications from the consumers of others.
func mayChange(r *http.Request, name string, config *broker.ConsumerConfig) error {
	if who := PrincipalOf(r.Context()); who.Role == Client && config.Owner != who.Name {
		return Forbidden("%s did not make the consumer %q", who.Name, name)
	}
	return nil
}

func (c *consumers) get(w http.ResponseWriter, r *http.Request) error {
	name, _, err := c.find(r)
	if err != nil {
		return err
	}
	i, err := c.broker.Consumer(r.Context(), name)
	if err != nil {
		return noConsumer(name, err)
	}
	WriteJSON(w, http.StatusOK, viewConsumer(&i))
	return nil
}

func (c *consumers) put(w http.ResponseWriter, r *http.Request) error {
	var in consumerInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	name := r.PathValue("name")
	config, start, err := in.check(r, name)
	if err != nil {
		return err
	}
	old, err := c.broker.ConsumerConfig(name)
	switch {
	case err == nil:
		if err := mayChange(r, name, &old); err != nil {
			return err
		}
	case !errors.Is(err, broker.ErrNoConsumer):
		return noConsumer(name, err)
	}
	secret := ""
	if config.Push != nil {
		if secret, err = c.push.admit(r, config.Push, old.Push); err != nil {
			return err
		}
	}
	if _, err := c.broker.PutConsumer(r.Context(), name, config, start); err != nil {
		return noConsumer(name, err)
	}
	i, err := c.broker.Consumer(r.Context(), name)
	if err != nil {
		return noConsumer(name, err)
	}
	c.push.watch(name)
	v := viewConsumer(&i)
	if v.Push != nil && secret != "" {
		v.Push.Secret = secret
	}
	WriteJSON(w, http.StatusOK, v)
	return nil
}

// check checks the input.
func (in *consumerInput) check(r *http.Request, name string) (c broker.ConsumerConfig, start stream.Offset, err error) {
	wait := defaultAckWait
	if in.AckWait != nil {
		wait = *in.AckWait
	}
	switch {
	case in.Name != nil && *in.Name != name:
		return c, start, BadRequest("name: is another than in the path; a consumer cannot be renamed")
	case !goodConsumerName(name):
		return c, start, BadRequest("name: %q is none; use letters, digits, ., - and _, at most 128 bytes", name)
	case wait < 1 || wait > maxAckWait:
		return c, start, BadRequest("ack_wait_seconds: must be from 1 to %d", maxAckWait)
	case in.MaxDeliver < 0 || in.MaxDeliver > maxDeliver:
		return c, start, BadRequest("max_deliver: must be from 0, for no limit, to %d", maxDeliver)
	case in.IdleSeconds < 0 || in.IdleSeconds > maxIdleExpiry:
		return c, start, BadRequest("idle_expiry_seconds: must be from 0, for never, to %d", maxIdleExpiry)
	}
	if err = checkFilters("filters", in.Filters); err == nil {
		err = mayConsume(r, "filters", in.Filters)
	}
	if err == nil {
		err = in.checkDeadLetter(r)
	}
	c = broker.ConsumerConfig{
		Filters: in.Filters, AckWait: time.Duration(wait) * time.Second, MaxDeliver: uint32(in.MaxDeliver),
		DeadLetterTopic: in.DeadLetter, IdleExpiry: time.Duration(in.IdleSeconds) * time.Second,
	}
	if err == nil {
		c.Start, start, err = in.start()
	}
	if err == nil && in.Push != nil {
		c.Push, err = in.Push.check(wait)
	}
	if who := PrincipalOf(r.Context()); who.Role == Client {
		c.Owner = who.Name
	}
	return c, start, err
}

func goodConsumerName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 128 && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	})
}

func (in *consumerInput) checkDeadLetter(r *http.Request) error {
	if in.DeadLetter == "" {
		return nil
	}
	if _, err := mqtt.ParseTopicName(in.DeadLetter); err != nil || strings.HasPrefix(in.DeadLetter, "$") {
		return BadRequest("dead_letter_topic: %q is no topic to publish to", in.DeadLetter)
	}
	if in.MaxDeliver == 0 {
		return BadRequest("dead_letter_topic: nothing goes there without max_deliver")
	}
	for _, f := range in.Filters {
		if mqtt.MatchTopic(f, in.DeadLetter) {
			return BadRequest("dead_letter_topic: the consumer's own filter %q matches it", f)
		}
	}
	return mayPublish(r.Context(), in.DeadLetter)
}

// start reads where to begin: new, or what history has. A number may stand for a time.
func (in *consumerInput) start() (text string, o stream.Offset, err error) {
	if len(in.Start) == 0 || string(in.Start) == "null" {
		return "new", stream.Offset{Latest: true}, nil
	}
	if json.Unmarshal(in.Start, &text) != nil {
		text = string(in.Start)
	}
	if text == "new" {
		return text, stream.Offset{Latest: true}, nil
	}
	if o, err = broker.ParseStart(text); err != nil {
		return text, o, BadRequest("start: %q is none of new, earliest, a time (2026-01-31T12:00:00Z, or seconds or milliseconds since 1970), a position (12-3)", text)
	}
	return text, o, nil
}

func (c *consumers) remove(w http.ResponseWriter, r *http.Request) error {
	name, config, err := c.find(r)
	var p *Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		NoContent(w)
		return nil
	}
	if err == nil {
		err = mayChange(r, name, &config)
	}
	if err != nil {
		return err
	}
	if err := c.broker.DeleteConsumer(r.Context(), name); err != nil {
		return noConsumer(name, err)
	}
	NoContent(w)
	return nil
}

// messages gives messages out. If the answer cannot be written, they are given back.
func (c *consumers) messages(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	max, wait, as := q.Int("max", 100, 1, maxPoll), q.Int("wait_seconds", defaultPollWait, 0, maxPollWait), q.PayloadEncoding()
	if err := q.Done(); err != nil {
		return err
	}
	name, config, err := c.find(r)
	if err != nil {
		return err
	}
	if config.Push != nil {
		return Conflict("PUSH_CONSUMER", "the consumer %q pushes its messages", name)
	}
	batch, err := c.broker.Poll(r.Context(), name, max, maxPollBytes, time.Duration(wait)*time.Second)
	if err != nil {
		return noConsumer(name, err)
	}
	if err := writeBatch(w, batch, as); err != nil || r.Context().Err() != nil {
		c.broker.ReturnLeased(name, batch)
	}
	return nil
}

func viewLeased(l *broker.Leased, as string, now time.Time) messageView {
	v := viewMessage(l.Position, l.Message, as, now)
	v.Deliveries = l.Deliveries
	return v
}

func writeBatch(w http.ResponseWriter, batch []broker.Leased, as string) error {
	now, out := time.Now(), struct {
		Data []messageView `json:"data"`
	}{make([]messageView, len(batch))}
	for i := range batch {
		out.Data[i] = viewLeased(&batch[i], as, now)
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(append(body, '\n')); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

type answerInput struct {
	IDs   []string `json:"ids"`
	Delay int      `json:"delay_seconds"`
}

type answered struct {
	Count   int      `json:"count"`
	Unknown []string `json:"unknown"`
}

func (c *consumers) ack(w http.ResponseWriter, r *http.Request) error {
	in := struct {
		IDs []string `json:"ids"`
	}{}
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	return c.answer(w, r, in.IDs, c.broker.Acknowledge)
}

func (c *consumers) nack(w http.ResponseWriter, r *http.Request) error {
	var in answerInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if in.Delay < 0 || in.Delay > maxNackDelay {
		return BadRequest("delay_seconds: must be from 0 to %d", maxNackDelay)
	}
	return c.answer(w, r, in.IDs, func(ctx context.Context, name string, ids []message.Position) ([]message.Position, error) {
		return c.broker.Reject(ctx, name, ids, time.Duration(in.Delay)*time.Second)
	})
}

// answer has something done with messages, and says which of them were not given out.
func (c *consumers) answer(w http.ResponseWriter, r *http.Request, ids []string, do func(context.Context, string, []message.Position) ([]message.Position, error)) error {
	if len(ids) == 0 || len(ids) > maxAnswered {
		return BadRequest("ids: must hold from 1 to %d", maxAnswered)
	}
	places := make([]message.Position, len(ids))
	for n, id := range ids {
		var ok bool
		if places[n], ok = stream.ParsePosition(id); !ok {
			return BadRequest("ids[%d]: %q is no id of a message", n, id)
		}
	}
	name, _, err := c.find(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxPollWait*time.Second)
	defer cancel()
	unknown, err := do(ctx, name, places)
	if err != nil {
		if ctx.Err() != nil {
			return Unavailable("it is not known to be kept; ask again")
		}
		return noConsumer(name, err)
	}
	out := answered{Count: len(ids) - len(unknown), Unknown: []string{}}
	for _, pos := range unknown {
		out.Unknown = append(out.Unknown, broker.Position(pos))
	}
	WriteJSON(w, http.StatusOK, out)
	return nil
}
