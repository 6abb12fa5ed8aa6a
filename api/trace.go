package api

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"regexp"
	"time"

	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// Tracer traces, and remembers what happened lately.
type Tracer interface {
	Trace() *trace.Spine
}

// tracing is /trace.
type tracing struct {
	broker Tracer
	node   string
}

// traceFor is how long a trace runs that says nothing of its end, and traceMax the longest.
const (
	traceFor = 10 * time.Minute
	traceMax = 24 * time.Hour
)

// maxLogBytes is how much of a log one request reads.
const maxLogBytes = 1 << 20

type traceInput struct {
	Name     string         `json:"name"`
	Type     string         `json:"type"`
	ClientID string         `json:"clientid"`
	Topic    string         `json:"topic"`
	Address  string         `json:"ip_address"`
	StartAt  orTime         `json:"start_at"`
	EndAt    orTime         `json:"end_at"`
	Payload  string         `json:"payload_encode"`
	Format   string         `json:"formatter"`
	Enable   *bool          `json:"enable"`   // EMQX's; a trace is enabled
	LogSize  map[string]int `json:"log_size"` // EMQX's answer sent back
	Status   string         `json:"status"`   // likewise
}

// orTime is a time in RFC 3339, or in seconds or milliseconds since 1970.
type orTime struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *orTime) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	if text == "" || text == "null" {
		return nil
	}
	at, ok := parseTime(text)
	if !ok {
		return BadRequest("start_at, end_at: %s is neither a time such as \"2030-01-31T12:00:00Z\" nor a number of seconds", b)
	}
	t.Time = at
	return nil
}

type traceView struct {
	Name     string           `json:"name"`
	Type     string           `json:"type"`
	ClientID string           `json:"clientid,omitempty"`
	Topic    string           `json:"topic,omitempty"`
	Address  string           `json:"ip_address,omitempty"`
	StartAt  string           `json:"start_at"`
	EndAt    string           `json:"end_at"`
	Status   string           `json:"status"`
	Payload  string           `json:"payload_encode"`
	Format   string           `json:"formatter"`
	LogSize  map[string]int64 `json:"log_size"`
	Lost     int64            `json:"lost"`
	Full     bool             `json:"full"`
}

// Routes implements Resource.
func (t *tracing) Routes() []Route {
	const path, one = Base + "/trace", Base + "/trace/{name}"
	return []Route{
		{Method: "GET", Path: path, Access: Manage, Handler: t.list},
		{Method: "POST", Path: path, Access: Manage, Handler: t.create},
		{Method: "DELETE", Path: path, Access: Manage, Handler: t.clear},
		{Method: "DELETE", Path: one, Access: Manage, Handler: t.remove},
		{Method: "PUT", Path: one + "/stop", Access: Manage, Handler: t.stop},
		{Method: "GET", Path: one + "/log", Access: Manage, Handler: t.log},
		{Method: "GET", Path: one + "/log_detail", Access: Manage, Handler: t.detail},
		{Method: "GET", Path: one + "/download", Access: Manage, Handler: t.download},
	}
}

func (t *tracing) view(i *trace.Info) traceView {
	v := traceView{
		Name: i.Name, Type: string(i.Type), StartAt: i.StartAt.UTC().Format(time.RFC3339), EndAt: i.EndAt.UTC().Format(time.RFC3339),
		Status: string(i.Status), Payload: string(i.Payload), Format: "text", LogSize: map[string]int64{t.node: i.Bytes}, Lost: i.Lost, Full: i.Full,
	}
	if i.JSON {
		v.Format = "json"
	}
	switch i.Type {
	case trace.ByClientID:
		v.ClientID = i.Value
	case trace.ByTopic:
		v.Topic = i.Value
	case trace.ByAddress:
		v.Address = i.Value
	}
	return v
}

func (t *tracing) list(w http.ResponseWriter, _ *http.Request) error {
	views := []traceView{}
	for _, i := range t.broker.Trace().List() {
		views = append(views, t.view(&i))
	}
	WriteJSON(w, http.StatusOK, views)
	return nil
}

func (t *tracing) create(w http.ResponseWriter, r *http.Request) error {
	var in traceInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	c, err := in.config(time.Now())
	if err != nil {
		return err
	}
	i, err := t.broker.Trace().Create(c)
	switch {
	case errors.Is(err, trace.ErrExists):
		return Conflict("ALREADY_EXISTS", "name: there is a trace %q", in.Name)
	case errors.Is(err, trace.ErrTooMany):
		return Conflict("EXCEED_LIMIT", "%v (trace.max_traces)", err)
	case err != nil:
		return err
	}
	WriteJSON(w, http.StatusOK, t.view(&i))
	return nil
}

var traceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,199}$`)

// config checks the input.
func (in *traceInput) config(now time.Time) (c trace.Config, err error) {
	c = trace.Config{Name: in.Name, Type: trace.Type(in.Type), StartAt: in.StartAt.Time, EndAt: in.EndAt.Time, Payload: trace.Payload(in.Payload), JSON: in.Format == "json"}
	if !traceName.MatchString(in.Name) {
		return c, BadRequest("name: %q is no letter with up to 199 letters, digits, - and _ after it", in.Name)
	}
	if err := in.subject(&c); err != nil {
		return c, err
	}
	if c.StartAt.Before(now) {
		c.StartAt = now
	}
	if c.EndAt.IsZero() {
		c.EndAt = c.StartAt.Add(traceFor)
	}
	switch {
	case !c.EndAt.After(c.StartAt):
		return c, BadRequest("end_at: is not after the start, or has passed")
	case c.EndAt.Sub(c.StartAt) > traceMax:
		return c, BadRequest("end_at: a trace runs for a day at most")
	}
	if c.Payload == "" {
		c.Payload = trace.Hidden
	}
	if c.Payload != trace.Hidden && c.Payload != trace.Text && c.Payload != trace.Hex {
		return c, BadRequest("payload_encode: %q is none of hidden, text, hex", in.Payload)
	}
	if in.Format != "" && in.Format != "text" && in.Format != "json" {
		return c, BadRequest("formatter: %q is neither text nor json", in.Format)
	}
	return c, nil
}

// subject checks what is traced.
func (in *traceInput) subject(c *trace.Config) error {
	given := map[string]string{"clientid": in.ClientID, "topic": in.Topic, "ip_address": in.Address}
	value, known := given[in.Type]
	if !known {
		return BadRequest("type: %q is none of clientid, topic, ip_address", in.Type)
	}
	if value == "" {
		return BadRequest("%s: is missing, and the type asks for it", in.Type)
	}
	for name, other := range given {
		if name != in.Type && other != "" {
			return BadRequest("%s: does not belong to the type %s", name, in.Type)
		}
	}
	switch c.Value = value; c.Type {
	case trace.ByTopic:
		f, err := mqtt.ParseTopicFilter(value)
		if _, shared := f.Group(); err != nil || shared {
			return BadRequest("topic: %q is no topic filter without a group", value)
		}
	case trace.ByAddress:
		if _, err := netip.ParseAddr(value); err != nil {
			return BadRequest("ip_address: %q is no address", value)
		}
	}
	return nil
}

func (t *tracing) stop(w http.ResponseWriter, r *http.Request) error {
	i, err := t.broker.Trace().Stop(r.PathValue("name"))
	if err != nil {
		return noTrace(r, err)
	}
	WriteJSON(w, http.StatusOK, map[string]any{"name": i.Name, "enable": false})
	return nil
}

func noTrace(r *http.Request, err error) error {
	if errors.Is(err, trace.ErrNotFound) {
		return NotFound("NOT_FOUND", "there is no trace %q", r.PathValue("name"))
	}
	return err
}

func (t *tracing) remove(w http.ResponseWriter, r *http.Request) error {
	if err := t.broker.Trace().Delete(r.PathValue("name")); err != nil && !errors.Is(err, trace.ErrNotFound) {
		return err
	}
	NoContent(w)
	return nil
}

func (t *tracing) clear(w http.ResponseWriter, _ *http.Request) error {
	for _, i := range t.broker.Trace().List() {
		if err := t.broker.Trace().Delete(i.Name); err != nil && !errors.Is(err, trace.ErrNotFound) {
			return err
		}
	}
	NoContent(w)
	return nil
}

// log reads a part of a log.
func (t *tracing) log(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	bytes, position := q.Int("bytes", 1000, 1, maxLogBytes), q.Int("position", 0, 0, math.MaxInt)
	t.isNode(q)
	if err := q.Done(); err != nil {
		return err
	}
	f, _, err := t.broker.Trace().OpenLog(r.PathValue("name"))
	if err != nil {
		return noTrace(r, err)
	}
	defer func() { _ = f.Close() }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	position = int(min(int64(position), size))
	if _, err := f.Seek(int64(position), io.SeekStart); err != nil {
		return err
	}
	part, err := io.ReadAll(io.LimitReader(f, int64(bytes)))
	if err != nil {
		return err
	}
	part = wholeRunes(part)
	WriteJSON(w, http.StatusOK, map[string]any{
		"meta": map[string]any{"position": position + len(part), "bytes": bytes}, "items": string(part),
	})
	return nil
}

// wholeRunes leaves out a character at the end that is cut off: the next request gets it.
func wholeRunes(b []byte) []byte {
	for n := 1; n <= 3 && n < len(b); n++ {
		if c := b[len(b)-n]; c&0xC0 == 0xC0 {
			if need := map[bool]int{c >= 0xF0: 4}[true]; n < max(need, map[bool]int{c >= 0xE0: 3}[true], 2) {
				return b[:len(b)-n]
			}
			return b
		} else if c < 0x80 {
			return b
		}
	}
	return b
}

// isNode checks the parameter node, of which there is one.
func (t *tracing) isNode(q *Query) {
	if node := q.String("node"); node != "" && node != t.node {
		q.wrong("node", "%q is not this node, %q", node, t.node)
	}
}

func (t *tracing) detail(w http.ResponseWriter, r *http.Request) error {
	f, i, err := t.broker.Trace().OpenLog(r.PathValue("name"))
	if err != nil {
		return noTrace(r, err)
	}
	_ = f.Close()
	WriteJSON(w, http.StatusOK, []map[string]any{{"node": t.node, "size": i.Bytes, "mtime": i.Written.UnixMilli()}})
	return nil
}

// download answers with a ZIP archive of the log, as EMQX does.
func (t *tracing) download(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	t.isNode(q)
	if err := q.Done(); err != nil {
		return err
	}
	f, i, err := t.broker.Trace().OpenLog(r.PathValue("name"))
	if err != nil {
		return noTrace(r, err)
	}
	defer func() { _ = f.Close() }()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", i.Name+".zip"))
	z := zip.NewWriter(w)
	entry, err := z.CreateHeader(&zip.FileHeader{Name: i.Name + ".log", Method: zip.Deflate, Modified: i.Written})
	if err == nil {
		_, err = io.Copy(entry, f)
	}
	if err := errors.Join(err, z.Close()); err != nil {
		panic(http.ErrAbortHandler) // the answer has begun: its end tells that it is not whole
	}
	return nil
}
