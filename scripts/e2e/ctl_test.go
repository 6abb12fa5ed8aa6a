//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The examples of docs/api.md, run as they stand by a shell with curl: none may be answered by an error.
func TestTheExamplesOfTheAPIsPage(t *testing.T) {
	b, err := startBroker(t.TempDir())
	check(t, "starting", err)
	page, err := os.ReadFile("../../docs/api.md")
	check(t, "reading the page", err)
	_, examples, ok := strings.Cut(string(page), "## Examples")
	if !ok {
		t.Fatal("the page has no examples")
	}
	_, examples, _ = strings.Cut(examples, "```\n")
	examples, _, _ = strings.Cut(examples, "```")
	if strings.Count(examples, "curl") < 15 {
		t.Fatalf("only these examples:\n%s", examples)
	}
	key := filepath.Join(t.TempDir(), "ops.key")
	out, err := b.ctl("keys", "create", "ops", "--role", "administrator", "--for", "720h")
	check(t, "making a key: "+out, err)
	check(t, "keeping it", os.WriteFile(key, []byte(out), 0o600))
	publisher, err := exec.Command("curl", "--version").CombinedOutput()
	check(t, string(publisher), err)
	_, _ = b.ctl("publish", "site/1", "-m", "x", "--retain")
	script := `set -eu
cd ` + filepath.Dir(key) + `
auth='--fail-with-body -sS -u '"$(cat ops.key)"
api=` + b.urls["API"].String() + `/api/v5
` + strings.Replace(examples, "curl $auth -X DELETE $api/clients/dev-1 ", "true ", 1) // there is no such client
	cmd := exec.CommandContext(soon(t), "bash", "-c", script)
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, text)
	}
	for _, part := range []string{`"hasnext":false`, `"as":"clientid_re"`, `"user_id":"dev-1"`, `"id":"tcp:tcp"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("nothing answered %s:\n%s", part, text)
		}
	}
	check(t, "stopping", b.stop())
}

// An exporter made for EMQX's API v5 asks for these, with these fields.
func TestWhatExportersForEMQXAsk(t *testing.T) {
	b, err := startBroker(t.TempDir())
	check(t, "starting", err)
	for path, fields := range map[string][]string{
		"nodes":           {"version", "uptime", "node_status", "node", "max_fds", "connections", "edition", "load1", "load5", "load15"},
		"monitor_current": {"sent_msg_rate", "received_msg_rate"},
		"rules":           {"data"},
		"bridges":         nil,
		"authentication":  {"id", "backend", "enable"},
		"authentication/password_based:built_in_database/status": {"status", "node_metrics"},
		"authorization/sources":                                  {"sources", "type", "enable"},
		"authorization/sources/built_in_database/status":         {"status", "node_metrics"},
		"stats":   {"connections.count", "sessions.count", "subscriptions.count", "topics.count", "retained.count"},
		"metrics": {"messages.received", "messages.sent", "bytes.received", "packets.connect.received"},
		"alarms":  {"data", "meta"},
		"clients": {"data", "meta", "count", "hasnext"},
	} {
		out, err := exec.CommandContext(soon(t), "curl", "-sS", "--fail-with-body", "--unix-socket", filepath.Join(b.dataDir, "barid.sock"), "http://localhost/api/v5/"+path).CombinedOutput()
		check(t, path+": "+string(out), err)
		for _, f := range fields {
			if !strings.Contains(string(out), `"`+f+`"`) {
				t.Errorf("%s has no %s: %s", path, f, out)
			}
		}
	}
	check(t, "stopping", b.stop())
}

// ctl runs barid ctl for the broker, and returns what it printed.
func (b *broker) ctl(args ...string) (string, error) {
	cmd := exec.Command(b.cmd.Path, append([]string{"ctl", "--set", "data_dir=" + b.dataDir}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
