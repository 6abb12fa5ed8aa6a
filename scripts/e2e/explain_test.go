//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTheGuideToExplainWorksAsItIsWritten runs every command of docs/explain.md, in order, in one shell. Its dates are of
// their day, and the id of its message is the one that the publish before answered: both are put in.
func TestTheGuideToExplainWorksAsItIsWritten(t *testing.T) {
	text, err := os.ReadFile("../../docs/explain.md")
	check(t, "reading the guide", err)
	b, err := startBroker(t.TempDir())
	check(t, "starting", err)
	dir := filepath.Dir(b.dataDir)
	if filepath.Base(b.dataDir) != "data" {
		check(t, "the name that the guide has", os.Symlink(b.dataDir, filepath.Join(dir, "data")))
	}
	script := []string{"set -euo pipefail", "shopt -s expand_aliases", "jq() { cat; }"} // it only makes things readable
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		script = append(script, m[1])
	}
	if len(script) < 8 {
		t.Fatalf("the guide has %d blocks", len(script)-3)
	}
	commands := strings.NewReplacer(
		"2026-11-30T12:00:00Z", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339),
		"2026-11-30T18:00:00Z", time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		"curl -sS", "curl --fail-with-body -sS",
		`"qos":1}'     #`, `"qos":1}' | tee answer     #`,
		"messages/000652…", "messages/$(sed 's/.*\"id\":\"\\([^\"]*\\)\".*/\\1/' answer)",
	).Replace(strings.Join(script, "\n"))
	cmd := exec.CommandContext(soon(t), installed(t, "bash"), "-c", commands)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s\nby\n%s", err, out, commands)
	}
	for _, part := range []string{`"verdict":`, `"effect":"stops"`, `"no_subscriber"`, `"summary":`, `"name":"dash"`, `"status":"running"`} {
		if !strings.Contains(string(out), part) {
			t.Errorf("%s is not in:\n%s", part, out)
		}
	}
	if download, err := os.ReadFile(filepath.Join(dir, "dash.zip")); err != nil || !strings.HasPrefix(string(download), "PK") {
		t.Errorf("the download is no archive: %v", err)
	}
	check(t, "stopping", b.stop())
}
