package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Scenario is one dialogue with a fresh broker.
type Scenario struct {
	File       string
	Line       int
	Name       string
	Statements []string          // without brackets
	Versions   []string          // play it once for each; empty: once
	Settings   []string          // key=value
	Users      map[string]string // who may connect, and their passwords; nil: everybody
	Denied     []Denial
	Steps      []Step
}

// Denial is something that clients may not do.
type Denial struct{ Action, Filter string } // "publish", "closed/#"

// Step is one line of a scenario's dialogue.
type Step struct {
	Line   int
	Only   []string // versions; empty: all
	Client string   // "" for what concerns all
	Verb   Verb
	Arg    string
	Block  []Step // of AnyOrder: its expectations
	looped bool   // it stands in a for, so it cannot be rewritten
}

// Verb is what a step does.
type Verb string

// The verbs.
const (
	Open       Verb = "open"        // a connection, and nothing on it
	Connect    Verb = "connect"     // a connection and CONNECT
	Connected  Verb = "connected"   // the same, and an accepting CONNACK
	Subscribed Verb = "subscribed"  // SUBSCRIBE, and a granting SUBACK
	Send       Verb = ">"           // a packet, or raw bytes
	Expect     Verb = "<"           // a packet, "nothing" or "closed"
	AnyOrder   Verb = "any-order"   // a block of expectations
	Drop       Verb = "drop"        // cut the connection
	IgnoreRest Verb = "ignore-rest" // do not look at what is left
	Advance    Verb = "advance"     // let time pass
	Stop       Verb = "stop"        // stop the broker
	Restart    Verb = "restart"     // stop the broker, and start it again with what it had stored
)

// ParseDir reads all scripts below dir.
func ParseDir(dir string) ([]Scenario, error) {
	var all []Scenario
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.txt"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		scenarios, err := Parse(filepath.ToSlash(file), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, scenarios...)
	}
	return all, nil
}

// scriptReader is the state of reading one script.
type scriptReader struct {
	file      string
	lines     []string
	next      int // index of the line to be read
	scenarios []Scenario
}

// Parse reads one script. Its errors name file and line.
func Parse(file, text string) ([]Scenario, error) {
	p := scriptReader{file: file, lines: strings.Split(text, "\n")}
	for p.next < len(p.lines) {
		line := p.take()
		if line == "" {
			continue
		}
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, p.next, err)
		}
	}
	return p.scenarios, nil
}

// take returns the next line without its comment and the space around it. The name of a scenario may hold a '#'.
func (p *scriptReader) take() string {
	line := p.lines[p.next]
	p.next++
	if strings.HasPrefix(line, "== ") {
		return line
	}
	return stripComment(line)
}

var (
	bracketed     = regexp.MustCompile(`\[(MQTT-[0-9A-Z./-]+)\]`)
	dialogue      = regexp.MustCompile(`^([A-Z][A-Za-z0-9]*)(:| ?[<>]| )\s*(.*)$`)
	guard         = regexp.MustCompile(`^((?:v5|v3\.1\.1|v3\.1)(?:,(?:v5|v3\.1\.1|v3\.1))*)\|\s*(.*)$`)
	statementLine = regexp.MustCompile(`^(\[MQTT-[0-9A-Z./-]+\]\s*)+$`)
)

func (p *scriptReader) line(line string) error {
	if name, ok := strings.CutPrefix(line, "== "); ok {
		s := Scenario{File: p.file, Line: p.next, Name: strings.TrimSpace(bracketed.ReplaceAllString(name, ""))}
		p.scenarios = append(p.scenarios, s)
	}
	if len(p.scenarios) == 0 {
		return fmt.Errorf("a scenario begins with \"== name\"")
	}
	s := &p.scenarios[len(p.scenarios)-1]
	if strings.HasPrefix(line, "== ") || statementLine.MatchString(line) {
		for _, m := range bracketed.FindAllStringSubmatch(line, -1) {
			s.Statements = append(s.Statements, m[1])
		}
		return nil
	}
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "versions":
		s.Versions = strings.Fields(rest)
	case "set":
		s.Settings = append(s.Settings, strings.TrimSpace(rest))
	case "user":
		name, password, _ := strings.Cut(rest, " ")
		if s.Users == nil {
			s.Users = map[string]string{}
		}
		s.Users[name] = password
	case "deny":
		action, filter, _ := strings.Cut(rest, " ")
		s.Denied = append(s.Denied, Denial{action, filter})
	default:
		steps, err := p.steps(line)
		s.Steps = append(s.Steps, steps...)
		return err
	}
	return nil
}

// untilEnd takes the lines up to a line "end".
func (p *scriptReader) untilEnd() []string {
	start := p.next
	for p.next < len(p.lines) && strings.TrimSpace(p.lines[p.next]) != "end" {
		p.next++
	}
	block := p.lines[start:p.next]
	p.next++
	return block
}

// steps parses a line of the dialogue, with what belongs to it on the lines below.
func (p *scriptReader) steps(line string) ([]Step, error) {
	var from, to int
	if n, _ := fmt.Sscanf(line, "for i in %d..%d", &from, &to); n == 2 {
		return p.loop(from, to)
	}
	step, err := parseStep(line)
	step.Line = p.next
	if err != nil || step.Verb != Expect || step.Arg != "any-order {" {
		return []Step{step}, err
	}
	step.Verb = AnyOrder
	for p.next < len(p.lines) && strings.TrimSpace(p.lines[p.next]) != "}" {
		inner := p.take()
		if inner == "" {
			continue
		}
		only, inner := cutGuard(inner)
		step.Block = append(step.Block, Step{Line: p.next, Only: only, Client: step.Client, Verb: Expect, Arg: inner})
	}
	p.next++
	return []Step{step}, nil
}

func (p *scriptReader) loop(from, to int) ([]Step, error) {
	first := p.next
	body := slices.Clone(p.untilEnd())
	var steps []Step
	for i := from; i <= to; i++ {
		for at, line := range body {
			line = stripComment(replaceVariable(line, "i", fmt.Sprint(i)))
			if line == "" {
				continue
			}
			step, err := parseStep(line)
			if err != nil {
				return nil, err
			}
			step.Line, step.looped = first+at+1, true
			steps = append(steps, step)
		}
	}
	return steps, nil
}

func cutGuard(line string) (only []string, rest string) {
	if m := guard.FindStringSubmatch(line); m != nil {
		return strings.Split(m[1], ","), m[2]
	}
	return nil, line
}

func parseStep(line string) (Step, error) {
	only, line := cutGuard(line)
	word, arg, _ := strings.Cut(line, " ")
	if word == string(Advance) || line == string(Stop) || line == string(Restart) {
		return Step{Only: only, Verb: Verb(word), Arg: arg}, nil
	}
	m := dialogue.FindStringSubmatch(line)
	if m == nil {
		return Step{}, fmt.Errorf("cannot read %q", line)
	}
	step := Step{Only: only, Client: m[1], Verb: Verb(strings.TrimSpace(m[2])), Arg: m[3]}
	switch step.Verb {
	case Send, Expect:
		return step, nil
	}
	verb, arg, _ := strings.Cut(step.Arg, " ")
	step.Verb, step.Arg = Verb(verb), arg
	switch step.Verb {
	case Open, Connect, Connected, Subscribed, Drop, IgnoreRest:
		return step, nil
	}
	return Step{}, fmt.Errorf("%s does what? %q", step.Client, line)
}

// Plays reports whether the step belongs to a scenario played in a version.
func (s Step) Plays(version string) bool {
	return len(s.Only) == 0 || slices.Contains(s.Only, version)
}

// replaceVariable puts value in the place of $name.
func replaceVariable(line, name, value string) string {
	return regexp.MustCompile(`\$`+name+`\b`).ReplaceAllLiteralString(line, value)
}

// ID is what names the scenario in reports: its file below testdata, and its name.
func (s Scenario) ID() string {
	_, file, _ := strings.Cut(s.File, "testdata/")
	return file + ": " + s.Name
}
