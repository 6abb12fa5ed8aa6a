package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/settings"
)

// stopTimeout is how long a graceful stop may take: less than the ten seconds after which supervisors kill.
const stopTimeout = 9 * time.Second

// server is what serve needs of a broker that New has made.
type server interface {
	Start() error
	Listeners() []broker.ListenerInfo
	Reload() error
	Stop(ctx context.Context) error
}

// serve runs the broker until a signal ends it.
func serve(e *env, c *command, args []string) int {
	fs, sources := sourceFlags(c, e.environ)
	if status, done := e.parse(c, fs, args); done {
		return status
	}
	signals := make(chan os.Signal, 4) // Notify drops what does not fit
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer signal.Stop(signals)

	set, warnings, err := settings.Load(*sources)
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		return exitFailed
	}
	cfg := set.Config()
	written := newLogs(e.stderr, &cfg.Logging)
	set.Follow(func(cfg *config.Config) { written.Set(logOptions(&cfg.Logging)) })
	log := written.Logger()
	for _, w := range warnings {
		log.Warn(w.Text, "source", w.Where)
	}
	broker.TuneMemory()
	b, err := broker.New(cfg, log, broker.WithVersion(Version()))
	if err != nil {
		return e.fail(c, err)
	}
	set.Follow(b.Apply)
	a, err := newAPI(e, set, b, log)
	if err != nil {
		return e.fail(c, errors.Join(err, b.Stop(e.ctx)))
	}
	both := served{b, a, set, log}
	if err := b.Start(); err != nil {
		return e.fail(c, errors.Join(err, both.Stop(e.ctx)))
	}
	if err := a.open(cfg); err != nil {
		return e.fail(c, errors.Join(err, both.Stop(e.ctx)))
	}
	printBanner(e.stdout, cfg, b.Listeners(), a, args)
	tell := func(state string) { notify(e.environ, state) }
	tell("READY=1")
	if err := untilStopped(e.ctx, both, signals, log, tell); err != nil {
		return e.fail(c, err)
	}
	return exitOK
}

// untilStopped serves until the first signal to stop, or the end of ctx, and then stops the broker. A second signal
// abandons that. A supervisor is told of the stop.
func untilStopped(ctx context.Context, b server, signals <-chan os.Signal, log *slog.Logger, tell func(state string)) error {
	for running := true; running; {
		select {
		case s := <-signals:
			if running = s == syscall.SIGHUP; running {
				reload(b, log)
			}
		case <-ctx.Done():
			running = false
		}
	}
	log.Info("stopping")
	tell("STOPPING=1")
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- b.Stop(stopCtx) }()
	for {
		select {
		case err := <-stopped:
			if err != nil {
				return fmt.Errorf("stopping: %w", err)
			}
			return nil
		case s := <-signals:
			if s != syscall.SIGHUP {
				return fmt.Errorf("stopped at once by a second signal: %v", s)
			}
		}
	}
}

func reload(b server, log *slog.Logger) {
	if err := b.Reload(); err != nil {
		log.Error("reload failed; what was loaded before stays in effect", "error", err)
		return
	}
	log.Info("reloaded")
}
