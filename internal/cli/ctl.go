package cli

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/barid-mqtt/barid/internal/admin"
	"github.com/barid-mqtt/barid/internal/cli/ctl"
	"github.com/barid-mqtt/barid/internal/config"
)

// administer is `barid ctl`.
func administer(e *env, _ *command, args []string) int {
	if len(args) > 0 && args[0] == "backup" { // the same by another name
		return backup(e, lookup("backup"), args[1:])
	}
	ctx, stop := signal.NotifyContext(e.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	return ctl.Run(ctl.Env{
		Ctx: ctx, Stdin: e.stdin, Stdout: e.stdout, Stderr: e.stderr,
		Socket: func(file string, sets []string) (string, error) {
			cfg, _, err := config.Load(config.Sources{File: file, Sets: sets, Environ: e.environ})
			if err != nil {
				return "", oneLine(err)
			}
			return filepath.Join(cfg.DataDir, admin.SocketName), nil
		},
		Password: func(user string) (string, error) {
			password, err := e.readPassword(user)
			return string(password), err
		},
	}, args)
}
