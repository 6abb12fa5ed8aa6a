package ctl

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// globals are the flags of all commands.
type globals struct {
	url, key, keyFile, caFile, config string
	sets                              []string
	json                              bool
}

// flagSet is a flag.FlagSet that prints nothing by itself.
type flagSet struct{ *flag.FlagSet }

func (f flagSet) printTo(w io.Writer) {
	f.SetOutput(w)
	f.PrintDefaults()
}

func (g *globals) flags(name string) flagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.StringVar(&g.url, "url", g.url, "a broker elsewhere: `URL` of its HTTP API; without it, the one whose data directory is here")
	fs.StringVar(&g.keyFile, "key-file", g.keyFile, "with --url: `FILE` that holds key:secret of an API key")
	fs.StringVar(&g.key, "key", g.key, "with --url: `KEY:SECRET` of an API key; others may see it in the list of processes")
	fs.StringVar(&g.caFile, "cafile", g.caFile, "with --url: `FILE` with the authorities that its certificate is verified by")
	fs.StringVar(&g.config, "config", g.config, "configuration `FILE` of the broker here, for its data_dir")
	fs.Func("set", "one key of its configuration, as `path.to.key=value`; may be repeated", func(s string) error {
		g.sets = append(g.sets, s)
		return nil
	})
	fs.BoolVar(&g.json, "json", g.json, "print the API's answer instead of a table")
	return flagSet{fs}
}

// parse reads the options and operands of c, in any order.
func (g *globals) parse(c *command, args []string) (*call, error) {
	out := &call{command: c, operands: map[string][]string{}, options: map[string]any{}}
	fs := g.flags(c.words)
	c.define(fs.FlagSet, out)
	var given []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		rest := fs.Args()
		if len(rest) == 0 {
			break
		}
		if len(args) > len(rest) && args[len(args)-len(rest)-1] == "--" { // all that follows is meant as it is
			given = append(given, rest...)
			break
		}
		given, args = append(given, rest[0]), rest[1:]
	}
	return out, out.take(given)
}

// define adds the command's options to a set of flags.
func (c *command) define(fs *flag.FlagSet, out *call) {
	for _, o := range c.options {
		switch o.kind {
		case text:
			fs.Func(o.name, o.usage, func(v string) error {
				out.options[o.name] = v
				return nil
			})
		case number:
			fs.Func(o.name, o.usage, func(v string) error {
				n, err := strconv.ParseInt(v, 10, 64)
				if err != nil {
					return errors.New("a whole number goes there")
				}
				out.options[o.name] = n
				return nil
			})
		case yes:
			fs.BoolFunc(o.name, o.usage, func(v string) error {
				b, err := strconv.ParseBool(v)
				out.options[o.name] = b
				return err
			})
		case list:
			fs.Func(o.name, o.usage, func(v string) error {
				before, _ := out.options[o.name].([]string)
				out.options[o.name] = append(before, v)
				return nil
			})
		}
	}
}

// take gives the operands their names.
func (c *call) take(given []string) error {
	for _, name := range c.command.operands {
		plain := strings.Trim(name, "[]…")
		optional := strings.HasPrefix(name, "[")
		switch {
		case len(given) == 0 && !optional:
			return fmt.Errorf("%s is missing", plain)
		case len(given) == 0:
		case strings.HasSuffix(strings.Trim(name, "[]"), "…"):
			c.operands[plain], given = given, nil
		default:
			c.operands[plain], given = given[:1], given[1:]
		}
	}
	if len(given) > 0 {
		return fmt.Errorf("unexpected argument %q", given[0])
	}
	return nil
}
