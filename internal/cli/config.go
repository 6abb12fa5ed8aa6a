package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
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
	cfg, warnings, err := config.Load(*sources)
	for _, w := range warnings {
		fmt.Fprintf(e.stderr, "warning: %s\n", w)
	}
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		return exitFailed
	}
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

func newLogger(w io.Writer, cfg config.Logging) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // the configuration is checked; a Config made by hand may leave it empty
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
