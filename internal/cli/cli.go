// Package cli holds the commands of the barid program.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// The exit statuses of every command.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitTimeout = 27 // sub -W ran out: the number that mosquitto_sub uses
)

// env is the world that a command sees.
type env struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
}

// command is one word of the command line.
type command struct {
	name  string
	args  string // as the usage shows them
	short string
	run   func(e *env, c *command, args []string) int
}

func commands() []command {
	return []command{
		{"serve", "[--config FILE] [--set path.to.key=value]…", "run the broker; what barid does without a command", serve},
		{"check-config", "[--config FILE] [--set path.to.key=value]…", "check a configuration and print what is in effect", checkConfig},
		{"passwd", "[-c] [-D] [--scram] FILE USER, or -b FILE USER PASSWORD, or -U FILE", "add, change or delete a user of a password file; the password comes from a prompt or standard input", passwd},
		{"pub", "-t TOPIC (-m TEXT | -f FILE | -l | -s | -n) [options]", "publish messages", pub},
		{"sub", "-t FILTER… [options]", "subscribe and print messages", sub},
		{"backup", "FILE [--config FILE] [--set path.to.key=value]…", "write the data directory to a file (-: standard output), while the broker runs or not", backup},
		{"restore", "FILE [--config FILE] [--set path.to.key=value]…", "make a data directory, missing or empty before, from a backup (-: standard input)", restore},
		{"import", "mosquitto FILE [--check] [--out DIR], or emqx FILE [--check] [--out DIR] [--data DIR], or retained URL [--to URL]", "turn the configuration and data of another broker into Barid's, or copy its retained messages", importOther},
		{"ctl", "[flags] COMMAND", "administer a running broker: clients, topics, bans, users, rules, listeners, keys and more", administer},
		{"certs", "[DIR] [--host NAME]… [--client NAME]", "make an authority, a server's and a client's certificate for development", makeCerts},
		{"version", "", "print the version", printVersion},
		{"help", "[COMMAND | man]", "explain a command, or print the manual page barid(1)", help},
	}
}

// Main runs the command that args (without the program's name) ask for and returns the exit status. Canceling ctx stops
// it, as an interrupt does.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	e := &env{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, environ: environ}
	name := "serve"
	switch {
	case len(args) == 0:
	case args[0] == "-h" || args[0] == "-help" || args[0] == "--help":
		name, args = "help", args[1:]
	case args[0] == "--version" || args[0] == "-version":
		name, args = "version", args[1:]
	case !strings.HasPrefix(args[0], "-"):
		name, args = args[0], args[1:]
	}
	c := lookup(name)
	if c == nil {
		fmt.Fprintf(stderr, "barid: there is no command %q\n\n", name)
		usage(stderr)
		return exitUsage
	}
	return c.run(e, c, args)
}

func lookup(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return &c
		}
	}
	return nil
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Barid is an MQTT broker.\n\nUsage: barid [COMMAND]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-13s %s\n", c.name, c.short)
	}
	fmt.Fprint(w, "\n`barid help COMMAND` shows its options.\n")
}

func help(e *env, c *command, args []string) int {
	switch {
	case len(args) == 0:
		usage(e.stdout)
		return exitOK
	case len(args) == 1 && args[0] == "man":
		writeManual(e.stdout, e)
		return exitOK
	case lookup(args[0]) == nil || len(args) > 1:
		return e.wrongUsage(c, fmt.Errorf("there is no command %q", strings.Join(args, " ")))
	}
	if args[0] == "help" {
		fmt.Fprintln(e.stdout, c.usage())
		return exitOK
	}
	return Main(e.ctx, []string{args[0], "--help"}, e.stdin, e.stdout, e.stderr, e.environ)
}

func (c *command) usage() string {
	return strings.TrimSpace(fmt.Sprintf("Usage: barid %s %s", c.name, c.args))
}

// parse reads the flags of c, and before, between or after them a FILE for each of operands; one that has a value already
// may be left out. It returns done if the command is over with that: after --help or wrong usage.
func (e *env) parse(c *command, fs *flag.FlagSet, args []string, operands ...*string) (status int, done bool) {
	fs.SetOutput(io.Discard) // errors are printed below, in one line
	fs.Usage = func() {}
	err := fs.Parse(args)
	for err == nil && fs.NArg() > 0 && len(operands) > 0 {
		*operands[0], operands = fs.Arg(0), operands[1:]
		err = fs.Parse(fs.Args()[1:])
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err == nil && len(operands) > 0 && *operands[0] == "" {
		err = errors.New("FILE is missing")
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(e.stdout, "%s\n\n%s\n\n", c.usage(), c.short)
		fs.SetOutput(e.stdout)
		fs.PrintDefaults()
		return exitOK, true
	case err != nil:
		return e.wrongUsage(c, err), true
	}
	return exitOK, false
}

func (e *env) wrongUsage(c *command, err error) int {
	fmt.Fprintf(e.stderr, "barid %s: %v; see: barid help %[1]s\n", c.name, err)
	return exitUsage
}

func (e *env) fail(c *command, err error) int {
	fmt.Fprintf(e.stderr, "barid %s: %v\n", c.name, err)
	return exitFailed
}
