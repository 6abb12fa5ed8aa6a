// Package command is the command line of the load generator.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/barid-mqtt/barid/load_test/internal/relay"
	"github.com/barid-mqtt/barid/load_test/internal/scenario"
)

const usage = `A load generator for MQTT brokers.

  go run ./load_test list                 the scenarios
  go run ./load_test run SCENARIO         runs one against a broker that is running
  go run ./load_test compare              starts Barid and its peers, runs scenarios in turn, writes a report
  go run ./load_test relay ADDRESS        no broker, but the least that one has to do: QoS 0, to compare with

"run -h" and "compare -h" list the flags. Ctrl-C ends a run and keeps what it has measured.
`

// Main runs one command and returns the status to exit with.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	var err error
	switch args[0] {
	case "list":
		err = list(stdout)
	case "run":
		err = run(ctx, args[1:], stdout, stderr)
	case "compare":
		err = compare(ctx, args[1:], stdout, stderr)
	case "relay":
		if len(args) != 2 {
			err = errors.New("relay needs the address to listen on, such as 127.0.0.1:2883")
			break
		}
		err = relay.Run(ctx, args[1])
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
	default:
		fmt.Fprintf(stderr, "load_test: there is no command %q\n\n%s", args[0], usage)
		return 2
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "load_test:", err)
		return 1
	}
	return 0
}

// list prints the scenarios.
func list(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range scenario.All() {
		fmt.Fprintf(t, "%s\t%s\n", s.Name, s.About)
	}
	return t.Flush()
}

// isTerminal reports whether somebody watches w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
