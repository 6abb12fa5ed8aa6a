// Barid is an MQTT broker. Its commands are in internal/cli, and `barid help` lists them.
package main

import (
	"context"
	"os"

	"github.com/barid-mqtt/barid/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
