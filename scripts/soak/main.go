// Soak runs a small fleet of devices and services against a broker of its own for as long as it is told, kills and restarts
// the broker again and again, and reports what grows: memory, disk, descriptors, goroutines, latency. It fails if an
// acknowledged message does not arrive, or one of QoS 2 twice.
//
//	go run ./scripts/soak --for 1h --restart-every 10m --out soak.md
//
// Its load is small on purpose: what it looks for comes with time, not with speed.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	total, restart, sample time.Duration
	devices                int
	perSecond              float64 // messages of all devices
	out, dir               string
	seed                   uint64
}

func main() {
	o := options{}
	flag.DurationVar(&o.total, "for", time.Hour, "how long to run")
	flag.DurationVar(&o.restart, "restart-every", 10*time.Minute, "time between two restarts: kill -9 and a clean stop in turn")
	flag.DurationVar(&o.sample, "sample-every", time.Minute, "time between two samples")
	flag.IntVar(&o.devices, "devices", 200, "devices, each with a session of its own")
	flag.Float64Var(&o.perSecond, "rate", 200, "messages that the devices publish in a second, all together")
	flag.StringVar(&o.out, "out", "", "write the report to `FILE`, too")
	flag.StringVar(&o.dir, "dir", "", "data directory (default: a temporary one)")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64(), "seed of what is random")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run soaks until the time is over, or ctx ends; both end with a report.
func run(ctx context.Context, o options) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "barid-soak")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	b, err := newBroker(o.dir)
	if err != nil {
		return err
	}
	if err := b.start(ctx); err != nil {
		return err
	}
	defer b.kill()
	fmt.Printf("seed %d, broker %s, data in %s\n", o.seed, b.addr, o.dir)

	f, err := newFleet(ctx, o, b.addr)
	if err != nil {
		return err
	}
	s := &sampler{broker: b, fleet: f, every: o.sample, begun: time.Now()}
	end := time.After(o.total)
	samples, restarts := time.NewTicker(o.sample), time.NewTicker(o.restart)
	defer samples.Stop()
	defer restarts.Stop()
	for running, n := true, 0; running; {
		select {
		case <-samples.C:
			s.take()
		case <-restarts.C:
			n++
			if err := b.restart(ctx, n%2 == 1); err != nil {
				return err
			}
			s.restarts++
		case err := <-b.died:
			return fmt.Errorf("the broker ended by itself: %w\n%s", err, b.lastWords())
		case <-ctx.Done():
			running = false
		case <-end:
			running = false
		}
	}
	s.take() // while everybody is there
	problems := f.finish()
	report := s.report(o, problems)
	fmt.Print("\n" + report)
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(report), 0o644); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d promises were not kept, the first: %s", len(problems), problems[0])
	}
	return nil
}
