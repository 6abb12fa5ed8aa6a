package scenario

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/load_test/internal/proc"
)

// Env is what a run works with.
type Env struct {
	Load   Load
	Target *loop.Target
	Broker string // its name, for the result
	PID    int    // of the broker's process; 0: unknown, and its use is not measured
	// Progress is told a few times a second how a run goes; nil: nobody listens.
	Progress func(phase string, done time.Duration, of time.Duration, rate float64)
}

func (e *Env) progress(phase string, done, of time.Duration, rate float64) {
	if e.Progress != nil {
		e.Progress(phase, done, of, rate)
	}
}

// sample is what both ends have used at a moment.
type sample struct {
	at     time.Time
	broker proc.Usage
	own    proc.Usage
	known  bool // broker's
}

func (e *Env) sample() sample {
	s := sample{at: time.Now()}
	if e.PID != 0 {
		var err error
		s.broker, err = proc.Read(e.PID)
		s.known = err == nil
	}
	s.own, _ = proc.Read(os.Getpid()) // zero where there is no /proc: told as no use, in a column for information
	return s
}

// addUse adds what was used between two samples for count things; name says for how many.
func (r *Result) addUse(a, b sample, count float64, per float64) {
	if a.known && b.known {
		if count > 0 {
			r.add(MetricCPU, "s", (b.broker.CPU-a.broker.CPU).Seconds()/count*per, Lower)
		}
		r.add("broker CPU", "cores", (b.broker.CPU-a.broker.CPU).Seconds()/b.at.Sub(a.at).Seconds(), Neither)
		r.add(MetricRSS, "MB", float64(b.broker.RSSBytes)/1e6, Lower)
		if b.broker.FDs >= 0 {
			r.add(MetricFDs, "", float64(b.broker.FDs), Neither)
		}
	}
	if count > 0 {
		r.add(MetricOwnCPU, "s", (b.own.CPU-a.own.CPU).Seconds()/count*per, Neither)
	}
}

// pollEvery is how often a run looks at how it goes.
const pollEvery = 50 * time.Millisecond

// wait waits for d, or less if ctx ends or until returns true, which is asked now and then. It reports whether ctx
// ended.
func wait(ctx context.Context, d time.Duration, until func(done time.Duration) bool) (ended bool) {
	begin := time.Now()
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return true
		case <-end.C:
			return false
		case <-t.C:
			if until != nil && until(time.Since(begin)) {
				return false
			}
		}
	}
}

// count says a number of things; forms are the words for one and for many.
func count(n int64, forms string) string {
	one, many, _ := strings.Cut(forms, "|")
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
