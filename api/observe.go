package api

import (
	"math"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/alarm"
	"github.com/barid-mqtt/barid/internal/emqx"
	"github.com/barid-mqtt/barid/internal/host"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/monitor"
)

// Observed is what can be seen of the broker as a whole.
type Observed interface {
	Metrics() *metrics.Metrics
	Levels() metrics.Levels
	Monitor() *monitor.History
	Current() (states monitor.States, counts monitor.Counts, seconds float64)
	Started() time.Time
	MaxDescriptors() uint64
	Alarms() *alarm.Registry
}

// observe is /metrics, /stats, /nodes and /monitor, for the one node that there is.
type observe struct {
	broker  Observed
	node    string
	version string
}

// Routes implements Resource.
func (o *observe) Routes() []Route {
	var routes []Route
	for path, handler := range map[string]Handler{
		"/metrics": o.metrics, "/nodes/{node}/metrics": o.only(o.counters),
		"/stats": o.stats, "/nodes/{node}/stats": o.only(o.levels),
		"/nodes": o.nodes, "/nodes/{node}": o.only(o.describe),
		"/monitor": o.history, "/monitor/nodes/{node}": o.history,
		"/monitor_current": o.current, "/monitor_current/nodes/{node}": o.current,
	} {
		routes = append(routes, Route{Method: "GET", Path: Base + path, Access: Look, Handler: handler})
	}
	return append(routes, Route{Method: "DELETE", Path: Base + "/monitor", Access: Manage, Handler: o.forget})
}

// known says whether the node of the path, if there is one in it, is this one.
func (o *observe) known(r *http.Request) error {
	if node := r.PathValue("node"); strings.Contains(r.Pattern, "{node}") && node != o.node {
		return NotFound("NOT_FOUND", "there is no node %q, but %q", node, o.node)
	}
	return nil
}

// only answers with what is made of the node.
func (o *observe) only(make func() map[string]any) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := o.known(r); err != nil {
			return err
		}
		if err := NewQuery(r).Done(); err != nil {
			return err
		}
		WriteJSON(w, http.StatusOK, make())
		return nil
	}
}

// perNode answers with a list of nodes, or with the sum of them if the query asks for it.
func (o *observe) perNode(w http.ResponseWriter, r *http.Request, make func() map[string]any) error {
	q := NewQuery(r)
	sum := q.Bool("aggregate")
	if err := q.Done(); err != nil {
		return err
	}
	values := make()
	if sum != nil && *sum {
		WriteJSON(w, http.StatusOK, values)
		return nil
	}
	values["node"] = o.node
	WriteJSON(w, http.StatusOK, []any{values})
	return nil
}

func dotted(values []emqx.Value) map[string]any {
	out := make(map[string]any, len(values)+1)
	for _, v := range values {
		out[v.Name] = v.Value
	}
	return out
}

func (o *observe) counters() map[string]any { return dotted(emqx.Counters(o.broker.Metrics())) }

func (o *observe) levels() map[string]any {
	l := o.broker.Levels()
	return dotted(emqx.Stats(&l))
}

func (o *observe) metrics(w http.ResponseWriter, r *http.Request) error {
	return o.perNode(w, r, o.counters)
}

func (o *observe) stats(w http.ResponseWriter, r *http.Request) error {
	return o.perNode(w, r, o.levels)
}

func (o *observe) nodes(w http.ResponseWriter, r *http.Request) error {
	if err := NewQuery(r).Done(); err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, []any{o.describe()})
	return nil
}

// describe is the node in EMQX's shape. What is Erlang's there is Go's here.
func (o *observe) describe() map[string]any {
	l, load := o.broker.Levels(), host.Load()
	total, used := host.Memory()
	return map[string]any{
		"node": o.node, "node_status": "running", "role": "core", "edition": "Opensource", "version": o.version,
		"uptime": time.Since(o.broker.Started()).Milliseconds(), "otp_release": runtime.Version(),
		"connections": l.Sessions.Now, "live_connections": l.Connected.Now,
		"load1": load[0], "load5": load[1], "load15": load[2],
		"memory_total": total, "memory_used": used,
		"process_used": runtime.NumGoroutine(), "process_available": math.MaxInt32,
		"max_fds": o.broker.MaxDescriptors(),
	}
}

// sampleView is a sample in EMQX's shape, and below what is ours.
type sampleView struct {
	At            int64 `json:"time_stamp"` // milliseconds
	Connections   int64 `json:"connections"`
	Live          int64 `json:"live_connections"`
	Topics        int64 `json:"topics"`
	Subscriptions int64 `json:"subscriptions"`
	SubsDurable   int64 `json:"subscriptions_durable"`
	DurableAway   int64 `json:"disconnected_durable_sessions"`
	Received      int64 `json:"received"`
	Sent          int64 `json:"sent"`
	Dropped       int64 `json:"dropped"`
	Persisted     int64 `json:"persisted"`

	BytesReceived int64   `json:"received_bytes"`
	BytesSent     int64   `json:"sent_bytes"`
	Retained      int64   `json:"retained"`
	Shared        int64   `json:"shared_subscriptions"`
	Memory        int64   `json:"memory_bytes"`
	Log           int64   `json:"log_bytes"`
	DiskFree      int64   `json:"disk_free_bytes"`
	Commits       int64   `json:"commits"`
	CommitMean    float64 `json:"commit_seconds_mean"`
	CommitSlow    float64 `json:"commit_seconds_p99"`
}

func viewSample(s *monitor.Sample) sampleView {
	v := sampleView{
		At: s.Time.UnixMilli(), Connections: s.Sessions, Live: s.Connected, Topics: s.Topics, Subscriptions: s.Subscriptions,
		SubsDurable: s.DurableSubscriptions, DurableAway: s.DurableAway,
		Received: s.Received, Sent: s.Sent, Dropped: s.Dropped, Persisted: s.Persisted,
		BytesReceived: s.BytesReceived, BytesSent: s.BytesSent, Retained: s.Retained, Shared: s.Shared,
		Memory: s.MemoryBytes, Log: s.LogBytes, DiskFree: s.DiskFree, Commits: s.Commits, CommitSlow: s.CommitSlow.Seconds(),
	}
	if s.Commits > 0 {
		v.CommitMean = s.CommitTime.Seconds() / float64(s.Commits)
	}
	return v
}

// maxLatest is as far back as anybody may ask for, in seconds; a week is kept.
const maxLatest = 365 * 24 * 3600

func (o *observe) history(w http.ResponseWriter, r *http.Request) error {
	if err := o.known(r); err != nil {
		return err
	}
	q := NewQuery(r)
	latest := q.Int("latest", maxLatest, 1, maxLatest)
	if err := q.Done(); err != nil {
		return err
	}
	now := time.Now() // the samples' clock
	samples := o.broker.Monitor().Since(now.Add(-time.Duration(latest)*time.Second), now)
	views := make([]sampleView, len(samples))
	for i := range samples {
		views[i] = viewSample(&samples[i])
	}
	WriteJSON(w, http.StatusOK, views)
	return nil
}

func (o *observe) forget(w http.ResponseWriter, _ *http.Request) error {
	o.broker.Monitor().Clear()
	NoContent(w)
	return nil
}

// current answers with how things are, and the rates of the last seconds.
func (o *observe) current(w http.ResponseWriter, r *http.Request) error {
	if err := o.known(r); err != nil {
		return err
	}
	if err := NewQuery(r).Done(); err != nil {
		return err
	}
	s, c, seconds := o.broker.Current()
	rate := func(n int64) int64 { return int64(math.Round(float64(n) / seconds)) }
	out := map[string]any{
		"connections": s.Sessions, "live_connections": s.Connected, "topics": s.Topics,
		"subscriptions": s.Subscriptions, "subscriptions_durable": s.DurableSubscriptions,
		"subscriptions_ram": s.Subscriptions - s.DurableSubscriptions, "disconnected_durable_sessions": s.DurableAway,
		"shared_subscriptions": s.Shared, "retained_msg_count": s.Retained,
		"received_msg_rate": rate(c.Received), "sent_msg_rate": rate(c.Sent), "dropped_msg_rate": rate(c.Dropped), "persisted_rate": rate(c.Persisted),
		"received_bytes_rate": rate(c.BytesReceived), "sent_bytes_rate": rate(c.BytesSent),
		"memory_bytes": s.MemoryBytes, "log_bytes": s.LogBytes, "disk_free_bytes": s.DiskFree, "alarms": s.Alarms,
	}
	if r.PathValue("node") != "" {
		out["node_uptime"] = int64(time.Since(o.broker.Started()).Seconds())
	}
	WriteJSON(w, http.StatusOK, out)
	return nil
}
