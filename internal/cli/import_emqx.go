package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/barid-mqtt/barid/internal/admin"
	"github.com/barid-mqtt/barid/internal/logs"
	"github.com/barid-mqtt/barid/internal/migrate"
)

func importEMQX(e *env, c *command, args []string) int {
	fs := flag.NewFlagSet("import emqx", flag.ContinueOnError)
	var file, out, data string
	var check bool
	fs.BoolVar(&check, "check", false, "only say what would become of each line and record")
	fs.StringVar(&out, "out", ".", "write the configuration to `DIR`")
	fs.StringVar(&data, "data", "", "write users, rules, bans and retained messages to the data directory `DIR` (default: data in the directory of --out)")
	if status, done := e.parse(c, fs, args, &file); done {
		return status
	}
	if file == "" {
		return e.wrongUsage(c, errors.New("name the archive that emqx ctl data export wrote"))
	}
	if data == "" {
		data = filepath.Join(out, "data")
	}
	dir, err1 := filepath.Abs(out)
	data, err2 := filepath.Abs(data)
	if err := errors.Join(err1, err2); err != nil {
		return e.fail(c, err)
	}
	r, err := migrate.EMQX(file, dir, nil) // all of it is looked at before anything is written
	if err == nil && !check {
		err = loadEMQX(e, r, file, dir, data)
	}
	if err != nil {
		return e.fail(c, oneLine(err))
	}
	r.Config["data_dir"] = data
	return finishImport(e, c, r, dir, "Made by barid import emqx from "+file, check)
}

// loadEMQX writes the records of an export into a data directory.
func loadEMQX(e *env, r *migrate.Result, file, dir, data string) error {
	names := []string{importFile}
	for name := range r.Files {
		names = append(names, name)
	}
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: move it away, or write elsewhere with --out", filepath.Join(dir, name))
		}
	}
	ctx, stop := signal.NotifyContext(e.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	log := logs.New(e.stderr, logs.Options{Level: slog.LevelWarn}).Logger()
	return admin.Load(ctx, data, log, func(l *admin.Loader) error {
		_, err := migrate.EMQX(file, dir, l)
		return err
	})
}
