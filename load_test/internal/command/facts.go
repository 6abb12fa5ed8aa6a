package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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
	var versions []string
	for _, b := range c.brokers {
		versions = append(versions, b.Name+" "+b.Version)
	}
	return [][2]string{
		{"machine", fmt.Sprintf("%s, %d processors, %s", processor(), runtime.NumCPU(), memory())},
		{"system", system() + ", " + runtime.Version()},
		{"brokers", strings.Join(versions, "; ")},
		{"command", "`go run ./load_test compare " + strings.Join(args, " ") + "`"},
		{"runs", fmt.Sprintf("%d of each, in turn, each against a freshly started broker", c.rounds)},
	}
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

// writeTables writes the text and the bare results, and prints where they are.
func (c *comparison) writeTables(stdout io.Writer, charts []string) error {
	text := filepath.Join(c.out, "RESULTS.md")
	if err := os.WriteFile(text, []byte(preface+c.report.Markdown(charts)), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	b, err := json.MarshalIndent(c.report.Runs, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(c.out, "results.json"), b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	_, err = fmt.Fprintln(stdout, "wrote", text)
	return err
}
