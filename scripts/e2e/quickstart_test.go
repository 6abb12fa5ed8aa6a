//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a block of commands of a document; long if what it starts goes on running.
var block = regexp.MustCompile("(?s)(<!-- broker -->\n)?```sh\n(.*?)```")

// refusals are commands that must fail.
var refusals = regexp.MustCompile(`(?m)^! (.*)$`)

// The quick start works as it is written: in a copy of the source, with the default ports, which are free in a network of
// its own. A block that starts a broker runs beside those after it, until the next such block.
func TestTheQuickStartWorksAsWritten(t *testing.T) {
	text, err := os.ReadFile("../../docs/quickstart.md")
	check(t, "reading the quick start", err)
	dir := filepath.Join(t.TempDir(), "src")
	run(t, "git", "clone", "-q", "../..", dir) // as committed
	check(t, "copying the page", os.WriteFile(filepath.Join(dir, "docs/quickstart.md"), text, 0o644))

	var script strings.Builder
	script.WriteString("set -eu\nip link set lo up\nbroker=\nstop() { [ -z \"$broker\" ] || { kill -INT $broker 2>/dev/null || true; wait $broker || true; }; }\ntrap stop EXIT\n")
	blocks := 0
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		blocks++
		commands := strings.TrimSpace(m[2])
		fmt.Fprintf(&script, "echo %s\n", quoted("--- "+commands))
		if m[1] == "" {
			fmt.Fprintf(&script, "%s\n", refusals.ReplaceAllString(commands, "if $1; then echo that should have failed; exit 1; fi"))
			continue
		}
		// As a person would, wait until it has said that it runs, and stop what ran before.
		fmt.Fprintf(&script, "stop\nexec 3< <(exec %s 2>&1)\nbroker=$!\nwhile read -r line <&3; do echo \"$line\"; case $line in durability*) break ;; esac; done\ncat <&3 &\n", commands)
	}
	if blocks < 8 {
		t.Fatalf("the quick start has only %d blocks", blocks)
	}
	cmd := exec.Command("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", script.String())
	cmd.Dir = dir
	p, err := startProcess(cmd)
	check(t, "starting the shell", err)
	if err := p.wait(10 * patience); err != nil {
		t.Fatalf("the quick start: %v\n%s", err, p.output())
	}
	for _, want := range []string{"hello/world first message", "meters/meter/power 42", `"topic":"meters/meter/power","payload":"45"`, "not authorized (0x87)"} {
		if !strings.Contains(p.output(), want) {
			t.Errorf("it did not print %q:\n%s", want, p.output())
		}
	}
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
