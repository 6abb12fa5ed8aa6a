// Package migrate turns the configuration of other brokers into Barid's, and says of every line what became of it.
package migrate

import (
	"bytes"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Verdict is what became of a line.
type Verdict string

// The verdicts.
const (
	Taken       Verdict = "taken"         // means the same here
	Changed     Verdict = "changed"       // means nearly the same: the note says what is different
	NotNeeded   Verdict = "not needed"    // Barid does so anyway, or has no use for it
	Unsupported Verdict = "not supported" // Barid has nothing like it
)

// Line is one line of what was imported.
type Line struct {
	File    string
	Number  int // from 1
	Text    string
	Verdict Verdict
	Note    string
}

// Result is what an import makes.
type Result struct {
	Config map[string]any    // the configuration, as its YAML has it
	Files  map[string][]byte // what it names, by the name in it, where that had to be made
	Lines  []Line
	Notes  []string // what is different though no line says anything about it
}

// Count returns how many lines have a verdict.
func (r *Result) Count(v Verdict) (n int) {
	for _, l := range r.Lines {
		if l.Verdict == v {
			n++
		}
	}
	return n
}

// YAML returns the configuration as a file, with a comment before it.
func (r *Result) YAML(comment string) ([]byte, error) {
	var out bytes.Buffer
	for line := range strings.Lines(comment) {
		fmt.Fprintf(&out, "# %s\n", strings.TrimSpace(line))
	}
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(r.Config); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// set puts a value at a path of keys with dots between them.
func set(tree map[string]any, path string, value any) {
	for {
		first, rest, deeper := strings.Cut(path, ".")
		if !deeper {
			tree[first] = value
			return
		}
		below, ok := tree[first].(map[string]any)
		if !ok {
			below = map[string]any{}
			tree[first] = below
		}
		tree, path = below, rest
	}
}
