package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Sources are where a configuration comes from; each overrides those before it. All may be empty.
type Sources struct {
	File      string            // path of a YAML file
	Overrides string            // path of a YAML file over it, which need not be there; only keys that change live
	Environ   []string          // as os.Environ returns it; only names that begin with BARID_ count
	Sets      []string          // path.to.key=value, as given to --set
	Live      map[string]string // what was changed since the start
}

// Warning is something odd that does not keep the broker from starting.
type Warning struct {
	Where string // the file and line, or the environment variable
	Text  string
}

// String returns the warning as one line.
func (w Warning) String() string { return w.Where + ": " + w.Text }

// Load reads the configuration: the built-in defaults, then the file, the overrides, the environment, --set and what was
// changed live. It returns all problems at once, joined; each is an [*Error].
func Load(s Sources) (*Config, []Warning, error) {
	l, err := LoadAll(s)
	return l.Config, l.Warnings, err
}

// Loaded is a configuration and where its values come from.
type Loaded struct {
	Config   *Config // nil if something is wrong
	Warnings []Warning
	origin   map[string]place
}

// LoadAll is Load that remembers where values come from.
func LoadAll(s Sources) (*Loaded, error) {
	l := &loader{cfg: Default(), origin: map[string]place{}}
	if s.File != "" {
		text, err := os.ReadFile(s.File)
		if err != nil {
			return &Loaded{}, fmt.Errorf("reading the configuration: %w", err)
		}
		l.file(s.File, text)
	}
	if s.Overrides != "" {
		if err := l.overrides(s.Overrides); err != nil {
			return &Loaded{}, err
		}
	}
	l.environ(s.Environ)
	l.sets(s.Sets)
	l.changes(s.Live)
	l.complete()
	l.secrets()
	if len(l.errs) == 0 {
		l.check() // rules between keys: only about values that are good by themselves
	}
	if len(l.errs) > 0 {
		return &Loaded{Warnings: l.warnings}, errors.Join(l.errs...)
	}
	return &Loaded{Config: l.cfg, Warnings: l.warnings, origin: l.origin}, nil
}

// loader gathers the configuration from its sources, and what is wrong with them.
type loader struct {
	cfg      *Config
	origin   map[string]place // where each key that any source names was last set
	warnings []Warning
	errs     []error
}

// place is where a value was set.
type place struct {
	file string
	line int    // of file, from 1; 0: no line
	name string // the environment variable or --set; empty for a file
}

func (p place) String() string {
	switch {
	case p.name != "":
		return p.name
	case p.line > 0:
		return fmt.Sprintf("%s:%d", p.file, p.line)
	}
	return p.file
}

// fail notes a problem with key, at p.
func (l *loader) fail(p place, key, format string, args ...any) {
	l.errs = append(l.errs, &Error{File: p.file, Line: p.line, Source: p.name, Key: key, Problem: fmt.Sprintf(format, args...)})
}

// failKey notes a problem with the value that key has, wherever it was set: the key itself, or the nearest section
// around it that any source names.
func (l *loader) failKey(key, format string, args ...any) {
	around := key
	for {
		if at, ok := l.origin[around]; ok {
			l.fail(at, key, format, args...)
			return
		}
		dot := strings.LastIndexByte(around, '.')
		if dot < 0 {
			l.fail(place{}, key, format, args...)
			return
		}
		around = around[:dot]
	}
}

// Error is one thing that is wrong with a configuration.
type Error struct {
	File    string // empty if no file is to blame
	Line    int    // 0 if no line is
	Source  string // the environment variable or the --set to blame, without its value
	Key     string // path of the key, levels separated by dots
	Problem string // what is wrong and what would be right
}

// Error returns the problem as file:line: key: what is wrong.
func (e *Error) Error() string {
	text := e.Problem
	if e.Key != "" && e.Source != setPrefix+e.Key {
		text = e.Key + ": " + text
	}
	if where := (place{file: e.File, line: e.Line, name: e.Source}).String(); where != "" {
		text = where + ": " + text
	}
	return text
}
