// Package ctl is `barid ctl`: administration of a broker through its HTTP API, for people (tables) and scripts (JSON).
//
// A command is an entry in a table: its words, operands and options, the request that they make, and the columns in
// which the answer is shown. What is more than one request is a function.
package ctl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// The exit statuses.
const (
	ExitOK          = 0
	ExitFailed      = 1 // the broker refused, or something went wrong
	ExitUsage       = 2
	ExitUnreachable = 3 // no broker answers
	ExitNotFound    = 4
)

// Env is the world that a command sees.
type Env struct {
	Ctx            context.Context
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Socket finds the socket of the local broker, by what --config and --set say.
	Socket func(configFile string, sets []string) (path string, err error)
	// Password asks for a user's without showing it, or reads a line of Stdin.
	Password func(user string) (string, error)
}

// command is what one or two words ask for.
type command struct {
	words    string   // "clients list"
	operands []string // in their order: NAME, NAME… for one or more, [NAME] for one that may be left out
	short    string
	options  []option

	// The request. In its path, {NAME} is an operand. Of a GET the options are parameters, otherwise fields of the body.
	method, path string
	columns      []column // how a list, or one object, is shown; none: there is nothing to show
	done         string   // what is said after a request without an answer; {NAME} is an operand

	run func(s *session, c *call) error // instead of that request
}

// option is a flag of a command.
type option struct {
	name  string
	usage string // a `WORD` in it is what the value is called
	kind  kind
	param string // the parameter or field; empty: run looks at it
	value string // of a flag without a value; empty: true
}

type kind uint8

const (
	text   kind = iota
	number      // a whole number
	yes         // a flag without a value
	list        // may be repeated
)

// call is a command with what was given to it.
type call struct {
	*command
	operands map[string][]string
	options  map[string]any // those that were given: string, int64, bool or []string
}

func (c *call) operand(name string) string {
	if v := c.operands[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c *call) text(name string) string {
	s, _ := c.options[name].(string)
	return s
}

func (c *call) has(name string) bool {
	_, ok := c.options[name]
	return ok
}

// Run runs `barid ctl` with its arguments and returns the exit status.
func Run(e Env, args []string) int {
	g := &globals{}
	if len(args) == 0 {
		Usage(e.Stderr)
		return ExitUsage
	}
	c, rest, err := find(g, args)
	if err != nil {
		return e.wrongUsage(nil, err)
	}
	if c == nil {
		Usage(e.Stdout)
		return ExitOK
	}
	parsed, err := g.parse(c, rest)
	switch {
	case errors.Is(err, flag.ErrHelp):
		c.usage(e.Stdout)
		return ExitOK
	case err != nil:
		return e.wrongUsage(c, err)
	}
	s, err := g.connect(&e)
	if err == nil {
		defer s.close()
		err = s.do(parsed)
	}
	return e.finish(c, err)
}

// do runs a call.
func (s *session) do(c *call) error {
	if c.run != nil {
		return c.run(s, c)
	}
	return s.request(c)
}

// finish says what went wrong, in one line, and what to do about it.
func (e *Env) finish(c *command, err error) int {
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(e.Stderr, "barid ctl %s: %s\n", c.words, clean(err.Error()))
	var p *problem
	var u *usageError
	switch {
	case errors.As(err, &u):
		return ExitUsage
	case errors.Is(err, errUnreachable):
		return ExitUnreachable
	case errors.As(err, &p) && p.Status == 404:
		return ExitNotFound
	}
	return ExitFailed
}

// usageError is what is wrong with the arguments and was seen late.
type usageError struct{ text string }

// Error implements error.
func (u *usageError) Error() string { return u.text }

func (e *Env) wrongUsage(c *command, err error) int {
	words := ""
	if c != nil {
		words = " " + c.words
	}
	fmt.Fprintf(e.Stderr, "barid ctl%s: %s; see: barid ctl%s --help\n", words, clean(err.Error()), words)
	return ExitUsage
}

// find returns the command that the first words of args name, and what comes after them; nil: help is wanted. Flags for
// all commands may stand before it.
func find(g *globals, args []string) (*command, []string, error) {
	fs := g.flags("ctl")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	args = fs.Args()
	if len(args) == 0 {
		return nil, nil, errors.New("a command is missing")
	}
	if args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	for n := min(2, len(args)); n > 0; n-- {
		words := strings.Join(args[:n], " ")
		for i := range commands {
			if commands[i].words == words {
				return &commands[i], args[n:], nil
			}
		}
	}
	if args[0] == "--help" {
		return nil, nil, nil
	}
	if known := beginning(args[0]); len(known) > 0 {
		if len(args) > 1 && args[1] == "--help" {
			return nil, nil, nil
		}
		return nil, nil, fmt.Errorf("%s what? %s", args[0], strings.Join(known, ", "))
	}
	return nil, nil, fmt.Errorf("there is no command %q%s", args[0], nearest(args[0]))
}

// beginning lists the commands that begin with a word.
func beginning(word string) (words []string) {
	for i := range commands {
		if first, _, two := strings.Cut(commands[i].words, " "); two && first == word {
			words = append(words, commands[i].words)
		}
	}
	return words
}

// nearest proposes the command that a word may have been meant to be.
func nearest(word string) string {
	for i := range commands {
		first, _, _ := strings.Cut(commands[i].words, " ")
		if len(word) > 2 && (strings.HasPrefix(first, word) || strings.HasPrefix(word, first) || strings.TrimSuffix(first, "s") == word) {
			return "; did you mean " + first + "?"
		}
	}
	return ""
}

// Usage lists the commands.
func Usage(w io.Writer) {
	fmt.Fprint(w, "Administer a running broker.\n\nUsage: barid ctl [flags] COMMAND\n\n")
	for i := range commands {
		fmt.Fprintf(w, "  %-24s %s\n", commands[i].words, commands[i].short)
	}
	fmt.Fprint(w, "\n`barid ctl COMMAND --help` shows its options. Flags of all commands:\n\n")
	(&globals{}).flags("ctl").printTo(w)
	fmt.Fprint(w, "\nExit status: 0 done, 1 failed or refused, 2 wrong usage, 3 no broker answers, 4 not found.\n")
}

func (c *command) usage(w io.Writer) {
	fmt.Fprintf(w, "Usage: barid ctl %s", c.words)
	for _, o := range c.operands {
		fmt.Fprintf(w, " %s", o)
	}
	if len(c.options) > 0 {
		fmt.Fprint(w, " [options]")
	}
	fmt.Fprintf(w, "\n\n%s\n\n", c.short)
	g := &globals{}
	fs := g.flags(c.words)
	c.define(fs.FlagSet, &call{options: map[string]any{}})
	fs.printTo(w)
}
