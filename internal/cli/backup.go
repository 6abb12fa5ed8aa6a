package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/barid-mqtt/barid/internal/admin"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/logs"
)

func backup(e *env, c *command, args []string) int {
	return onDataDirectory(e, c, args, func(ctx context.Context, dir, file string, log *slog.Logger) error {
		if file == "-" {
			return admin.Backup(ctx, dir, e.stdout, log)
		}
		size, err := writeWhole(file, func(w io.Writer) error { return admin.Backup(ctx, dir, w, log) })
		if err == nil {
			fmt.Fprintf(e.stdout, "%s: a backup of %s, %d bytes\n", file, dir, size)
		}
		return err
	})
}

func restore(e *env, c *command, args []string) int {
	return onDataDirectory(e, c, args, func(ctx context.Context, dir, file string, log *slog.Logger) error {
		in := e.stdin
		if file != "-" {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		if err := admin.Restore(ctx, dir, in, log); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s: restored from %s\n", dir, file)
		return nil
	})
}

// onDataDirectory runs a command that takes a file and the configuration's data directory. The first signal cancels its
// context, a second one ends the program.
func onDataDirectory(e *env, c *command, args []string, run func(ctx context.Context, dir, file string, log *slog.Logger) error) int {
	var file string
	fs, sources := sourceFlags(c, e.environ)
	if status, done := e.parse(c, fs, args, &file); done {
		return status
	}
	cfg, warnings, err := config.Load(*sources)
	if err != nil {
		return e.fail(c, oneLine(err))
	}
	for _, w := range warnings {
		fmt.Fprintf(e.stderr, "warning: %s\n", w)
	}
	if cfg.Durability == config.DurabilityMemory {
		return e.fail(c, errors.New("durability is memory in this configuration: such a broker uses no data directory"))
	}
	ctx, stop := signal.NotifyContext(e.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	log := logs.New(e.stderr, logs.Options{Level: slog.LevelWarn}).Logger()
	if err := run(ctx, cfg.DataDir, file, log); err != nil {
		return e.fail(c, oneLine(err))
	}
	return exitOK
}

// oneLine puts joined errors on one line.
func oneLine(err error) error {
	if !strings.Contains(err.Error(), "\n") {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// writeWhole has write make a file, which gets its name only when it is whole and on disk, and replaces what had it. Only
// this user may read it.
func writeWhole(name string, write func(io.Writer) error) (size int64, err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is there and is not a file", name)
	}
	temporary := name + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) { // its mode may be another
		return 0, err
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	info, err := os.Stat(temporary)
	if err != nil {
		return 0, err
	}
	if err := os.Rename(temporary, name); err != nil {
		return 0, err
	}
	syncDir(filepath.Dir(name))
	return info.Size(), nil
}

// syncDir makes a new name durable, where the system can.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
