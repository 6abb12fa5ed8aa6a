package scenario

import (
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/hist"
)

// Better says which of two values of a metric is the better one.
type Better int

// What is better.
const (
	Neither Better = 0
	Higher  Better = 1
	Lower   Better = -1
)

// Metric is one measured value.
type Metric struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Value  float64 `json:"value"`
	Better Better  `json:"better"`
}

// Result is what one run has measured.
type Result struct {
	Scenario string   `json:"scenario"`
	Broker   string   `json:"broker"`
	Metrics  []Metric `json:"metrics"`
	Problems []string `json:"problems,omitempty"` // what should not have happened: loss, disorder, lost connections
	Partial  bool     `json:"partial,omitempty"`  // it was broken off
}

// Get returns a metric's value.
func (r *Result) Get(name string) (Metric, bool) {
	for _, m := range r.Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

func (r *Result) add(name, unit string, value float64, better Better) {
	r.Metrics = append(r.Metrics, Metric{name, unit, value, better})
}

func (r *Result) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// The names of metrics that several scenarios have.
const (
	MetricRate      = "deliveries"
	MetricAcked     = "acknowledged"
	MetricCPU       = "broker CPU per million"
	MetricP50       = "latency p50"
	MetricP99       = "latency p99"
	MetricP999      = "latency p99.9"
	MetricP9999     = "latency p99.99"
	MetricAckP99    = "ack p99"
	MetricRSS       = "memory"
	MetricFDs       = "descriptors"
	MetricOwnCPU    = "generator CPU per million"
	MetricConnects  = "connects"
	MetricConnCPU   = "broker CPU per thousand connects"
	MetricSubscribe = "subscribes"
	MetricPerConn   = "memory per connection"
	MetricPerSub    = "memory per subscription"
	MetricDrained   = "drained"
	MetricReplayed  = "replayed"
)

// milliseconds is how latencies are told.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *Result) addLatency(h *hist.Hist) {
	if h.Count() == 0 {
		return
	}
	for _, q := range []struct {
		name string
		q    float64
	}{{MetricP50, 0.5}, {MetricP99, 0.99}, {MetricP999, 0.999}, {MetricP9999, 0.9999}} {
		r.add(q.name, "ms", milliseconds(h.Quantile(q.q)), Lower)
	}
	r.add("latency max", "ms", milliseconds(h.Max()), Lower)
}
