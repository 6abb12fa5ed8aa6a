package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/barid-mqtt/barid/load_test/internal/report"
	"github.com/barid-mqtt/barid/load_test/internal/scenario"
)

// preface begins every report.
const preface = `# Results

Made by ` + "`go run ./load_test compare`" + `, which writes this file anew. What each scenario does, and how it is measured, is in
[load_test/README.md](README.md). The generator and the broker share the machine below: a broker that wants more than
one processor gets what the generator leaves, and figures from one machine say little about another. Compare columns,
not files. CPU is the broker's alone; a rate is what both got out of the machine together.

`

// facts says what was measured where.
func facts(c *comparison, args []string) [][2]string {
	all := [][2]string{
		{"machine", fmt.Sprintf("%s, %d processors, %s", processor(), runtime.NumCPU(), memory())},
		{"system", system() + ", " + runtime.Version()},
		{commandFact, "`go run ./load_test compare " + strings.Join(args, " ") + "`"},
		{"runs", fmt.Sprintf("%d of each, in turn, each against a freshly started broker", c.rounds)},
	}
	for _, b := range c.brokers {
		all = append(all, [2]string{brokerFact + b.Name, b.Version})
	}
	if c.note != "" {
		all = append(all, [2]string{"note", c.note})
	}
	return all
}

// field returns what a file of /proc says in a line that begins with name.
func field(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func processor() string { return field("/proc/cpuinfo", "model name") }

func memory() string {
	var kilobytes int64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kilobytes); err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%d GiB", (kilobytes+1<<19)>>20)
}

func system() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(b))
}

// saved is the form of results.json.
type saved struct {
	Facts   [][2]string  `json:"facts"`
	Brokers []string     `json:"brokers"`
	Runs    []report.Run `json:"runs"`
}

// The names of facts that add looks at.
const (
	commandFact = "command"
	brokerFact  = "version of " // and the broker's name
)

// add takes over what an earlier comparison has left in the folder, but for the scenarios that are run anew.
func (c *comparison) add() error {
	b, err := os.ReadFile(filepath.Join(c.out, "results.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var old saved
	if err == nil {
		err = json.Unmarshal(b, &old)
	}
	if err != nil {
		return fmt.Errorf("reading the results to add to: %w", err)
	}
	r := &c.report
	for _, broker := range old.Brokers {
		if !slices.Contains(r.Brokers, broker) {
			r.Brokers = append(r.Brokers, broker)
		}
	}
	var commands []string
	for _, f := range old.Facts {
		if f[0] == commandFact {
			commands = append(commands, f[1])
		}
		known := slices.ContainsFunc(r.Facts, func(g [2]string) bool { return g[0] == f[0] })
		if strings.HasPrefix(f[0], brokerFact) && !known {
			r.Facts = append(r.Facts, f)
		}
	}
	for i, f := range r.Facts {
		if f[0] == commandFact {
			r.Facts[i][1] = strings.Join(append(commands, f[1]), ", then ")
		}
	}
	anew := func(name string) bool {
		return slices.ContainsFunc(c.scenarios, func(s scenario.Scenario) bool { return s.Name == name })
	}
	for _, run := range old.Runs {
		if !anew(run.Scenario) {
			r.Runs = append(r.Runs, run)
		}
	}
	r.Scenarios = slices.DeleteFunc(scenario.All(), func(s scenario.Scenario) bool {
		return !slices.ContainsFunc(r.Runs, func(run report.Run) bool { return run.Scenario == s.Name })
	})
	return nil
}

// writeTables writes the text and the bare results, and prints where they are.
func (c *comparison) writeTables(stdout io.Writer, charts []string) error {
	text := filepath.Join(c.out, "RESULTS.md")
	if err := os.WriteFile(text, []byte(preface+c.report.Markdown(charts)), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	b, err := json.MarshalIndent(saved{c.report.Facts, c.report.Brokers, c.report.Runs}, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(c.out, "results.json"), b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	_, err = fmt.Fprintln(stdout, "wrote", text)
	return err
}
