// Package prom shows the broker's counters to Prometheus: under our own names, barid_…, and under those that EMQX has for
// them. All is read when it is asked for; nothing here is on the way of a message.
//
// Labels have few values: reasons, limits, packet types and stages are shown from the start, with 0; listeners and
// streams are what the configuration or an administrator names; of shared groups those that lag most are shown.
package prom

import (
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/host"
	"github.com/barid-mqtt/barid/internal/metrics"
)

// groupsShown bounds the groups that have labels of their own.
const groupsShown = 50

// Broker is what is shown.
type Broker interface {
	Metrics() *metrics.Metrics
	Levels() metrics.Levels
	Detail(groups int) broker.Detail
	Started() time.Time
	MaxDescriptors() uint64
}

// Options make a handler.
type Options struct {
	Broker   Broker
	Version  string
	Requests func() []*metrics.Requests // of the HTTP API; nil: there is none
	Log      *slog.Logger
}

// Handler serves the metrics in Prometheus's format.
func Handler(o Options) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{o: o}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4,
	})
}

// collector reads everything at each scrape.
type collector struct {
	o   Options
	cpu host.CPU
}

// Describe implements prometheus.Collector: the collector describes nothing beforehand, so that each name and its help
// stand in one place.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	w := writer{ch}
	b := c.o.Broker
	m, l, d := b.Metrics(), b.Levels(), b.Detail(groupsShown)
	w.gauge("barid_build_info", "The version that runs; always 1.", 1, "version", c.o.Version, "goversion", runtime.Version())
	w.gauge("barid_start_time_seconds", "When the broker was started, in seconds since 1970.", float64(b.Started().UnixMilli())/1000)
	traffic(w, m)
	clients(w, m)
	refusals(w, m)
	levels(w, &l, &d)
	parts(w, &d)
	store(w, m, &d)
	latencies(w, m)
	if c.o.Requests != nil {
		requests(w, c.o.Requests())
	}
	c.emqx(w, m, &l)
}

// writer makes metrics.
type writer struct{ ch chan<- prometheus.Metric }

func (w writer) put(t prometheus.ValueType, name, help string, value float64, labels []string) {
	names, values := pairs(labels)
	w.ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), t, value, values...)
}

// counter and gauge make one metric. labels are names and values in turn.
func (w writer) counter(name, help string, value int64, labels ...string) {
	w.put(prometheus.CounterValue, name, help, float64(value), labels)
}

func (w writer) gauge(name, help string, value float64, labels ...string) {
	w.put(prometheus.GaugeValue, name, help, value, labels)
}

// histogram makes a histogram of the buckets whose bounds coarse does not leave out.
func (w writer) histogram(name, help string, d metrics.Distribution, keep func(time.Duration) bool, labels ...string) {
	names, values := pairs(labels)
	buckets := make(map[float64]uint64)
	var sum uint64
	for i, bound := range metrics.Bounds {
		if sum += uint64(d.Buckets[i]); keep(bound) {
			buckets[bound.Seconds()] = sum
		}
	}
	w.ch <- prometheus.MustNewConstHistogram(prometheus.NewDesc(name, help, names, nil), uint64(d.Count()), d.Sum.Seconds(), buckets, values...)
}

func pairs(labels []string) (names, values []string) {
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return names, values
}
