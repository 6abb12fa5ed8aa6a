package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/logs"
	"github.com/barid-mqtt/barid/internal/settings"
)

// sourceFlags adds the flags that say where the configuration comes from.
func sourceFlags(c *command, environ []string) (*flag.FlagSet, *config.Sources) {
	s := &config.Sources{Environ: environ}
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.StringVar(&s.File, "config", "", "read the configuration from `FILE`; without one, the built-in defaults")
	fs.Func("set", "set one key, over file and environment: `path.to.key=value`; may be repeated", func(set string) error {
		s.Sets = append(s.Sets, set)
		return nil
	})
	return fs, s
}

func checkConfig(e *env, c *command, args []string) int {
	fs, sources := sourceFlags(c, e.environ)
	if status, done := e.parse(c, fs, args); done {
		return status
	}
	set, warnings, err := settings.Load(*sources)
	for _, w := range warnings {
		fmt.Fprintf(e.stderr, "warning: %s\n", w)
	}
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		return exitFailed
	}
	cfg := set.Config()
	_, tlsErr := apiTLS(cfg)
	if err := errors.Join(broker.Check(cfg), tlsErr); err != nil {
		fmt.Fprintln(e.stderr, err)
		return exitFailed
	}
	text, err := cfg.YAML()
	if err != nil {
		return e.fail(c, err)
	}
	if _, err := e.stdout.Write(text); err != nil {
		return e.fail(c, err)
	}
	return exitOK
}

// newLogs makes the logs of a configuration.
func newLogs(w io.Writer, cfg *config.Logging) *logs.Logs {
	return logs.New(w, logOptions(cfg))
}

func logOptions(cfg *config.Logging) logs.Options {
	o := logs.Options{JSON: cfg.Format == "json", Level: levelOf(cfg.Level), Repeats: cfg.Repeats, Levels: map[string]slog.Level{}}
	for component, level := range cfg.Levels.ByComponent() {
		o.Levels[component] = levelOf(level)
	}
	return o
}

func levelOf(text string) (level slog.Level) {
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return slog.LevelInfo // the configuration is checked; a Config made by hand may leave it empty
	}
	return level
}
