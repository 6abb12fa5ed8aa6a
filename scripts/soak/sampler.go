package main

import (
	"fmt"
	"strings"
	"time"
)

// sampler takes a sample a minute, or as often as it is told, and makes a report of them.
type sampler struct {
	broker   *broker
	fleet    *fleet
	every    time.Duration
	begun    time.Time
	last     time.Time
	restarts int
	samples  []sample
}

// sample is one line of the report.
type sample struct {
	at       time.Duration
	restarts int
	use      use
	counts
	seconds  float64
	p50, p99 time.Duration
}

func (s *sampler) take() {
	now := time.Now()
	if s.last.IsZero() {
		s.last = s.begun
	}
	x := sample{at: now.Sub(s.begun).Round(time.Second), restarts: s.restarts, use: s.broker.measure(), counts: s.fleet.ledger.take(), seconds: now.Sub(s.last).Seconds()}
	s.last = now
	if n := len(x.latencies); n > 0 {
		x.p50, x.p99 = x.latencies[n/2], x.latencies[min(n-1, n*99/100)]
	}
	x.latencies = nil
	s.samples = append(s.samples, x)
	fmt.Println(x.line())
}

const head = "| time | restarts | acknowledged/s | arrived/s | repeated | p50 | p99 | memory | disk | descriptors | goroutines |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"

func (x *sample) line() string {
	return fmt.Sprintf("| %v | %d | %.0f | %.0f | %d | %s | %s | %.1f MiB | %.1f MiB | %d | %d |", x.at, x.restarts,
		float64(x.acknowledged)/x.seconds, float64(x.arrived)/x.seconds, x.repeated, millis(x.p50), millis(x.p99),
		mib(x.use.rssBytes), mib(x.use.diskBytes), x.use.descriptors, x.use.goroutines)
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
func mib(n int64) float64 { return float64(n) / (1 << 20) }

// report is the whole run in Markdown: samples, at most forty of them, and what grows in an hour.
func (s *sampler) report(o options, problems []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d devices, %.0f messages/s of QoS 0, 1 and 2 in all, %d services with all of it, a shared group of %d; a restart every %v, kill -9 and a clean stop in turn; seed %d.\n\n",
		o.devices, o.perSecond, consumers, workers, o.restart, o.seed)
	b.WriteString(head)
	step := max(1, len(s.samples)/40)
	for i := 0; i < len(s.samples); i += step {
		b.WriteString(s.samples[i].line() + "\n")
	}
	fmt.Fprintf(&b, "\nGrowth in an hour, by a line through the samples of the second half: memory %+.1f MiB, disk %+.1f MiB, descriptors %+.0f, goroutines %+.0f, p99 %+.1f ms.\n",
		s.growth(func(x *sample) float64 { return mib(x.use.rssBytes) }), s.growth(func(x *sample) float64 { return mib(x.use.diskBytes) }),
		s.growth(func(x *sample) float64 { return float64(x.use.descriptors) }), s.growth(func(x *sample) float64 { return float64(x.use.goroutines) }),
		s.growth(func(x *sample) float64 { return float64(x.p99) / float64(time.Millisecond) }))
	if len(problems) == 0 {
		b.WriteString("Every message that was acknowledged arrived at every service and at the shared group; none of QoS 2 came twice.\n")
	}
	for _, p := range problems {
		fmt.Fprintf(&b, "- **%s**\n", p)
	}
	return b.String()
}

// growth is the slope of the least squares line through the second half of the samples, in units an hour.
func (s *sampler) growth(of func(*sample) float64) float64 {
	half := s.samples[len(s.samples)/2:]
	var n, sx, sy, sxx, sxy float64
	for i := range half {
		x, y := half[i].at.Hours(), of(&half[i])
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if d := n*sxx - sx*sx; d > 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}
