// Command load_test loads MQTT brokers and measures them. See README.md here.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/barid-mqtt/barid/load_test/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	status := command.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
