package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The commands work against a broker as it is, by the socket in its data directory and with a key over the network.
func TestAdministeringARunningBroker(t *testing.T) {
	dir, api := t.TempDir(), ""
	data := "data_dir=" + filepath.Join(dir, "data")
	ctx, cancel := context.WithCancel(t.Context())
	out := &notifying{wrote: make(chan struct{}, 100)}
	status := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		status <- Main(ctx, []string{"--set", "listeners.tcp.bind=127.0.0.1:0", "--set", "listeners.ws=", "--set", "api.bind=127.0.0.1:0", "--set", data}, nil, out, &errs, nil)
	}()
	select {
	case <-out.wrote:
	case got := <-status:
		t.Fatalf("ended with %d: %s", got, errs.String())
	}
	defer func() {
		cancel()
		if got := <-status; got != 0 {
			t.Errorf("ended with %d: %s", got, errs.String())
		}
	}()
	run := func(stdin, args string) (int, string, string) {
		t.Helper()
		return barid(t, stdin, append([]string{"ctl", "--set", data}, strings.Fields(args)...)...)
	}
	for _, c := range []struct{ stdin, args, want string }{
		{"", "status", "state              ready\n"},
		{"", "publish r/1 -m kept --retain", "published"},
		{"", "retained get r/1", "kept"},
		{"", "retained delete r/1", "nothing is retained"},
		{"secret\n", "users add alice --role op", "user       alice\n"},
		{"", "users list", "alice"},
		{`[{"permission":"allow","action":"all","topic":"a/#"}]`, "rules set users alice", "in effect"},
		{"", "rules show users alice", "a/#"},
		{"", "ban peerhost_net 10.0.0.0/8 --for 1h --reason test", "10.0.0.0/8"},
		{"", "bans", "test"},
		{"", "unban peerhost_net 10.0.0.0/8", "not banned"},
		{"", "listeners stop tcp", "tcp is closed"},
		{"", "listeners list", "no"},
		{"", "listeners start tcp", "tcp is open"},
		{"", "audit", "/listeners/tcp:tcp/start"},
		{"", "streams list", "STREAM"},
		{"", "explain nobody t", "nobody"},
		{"", "clients list", "CLIENTID"},
		{"", "groups", "GROUP"},
		{"", "alarms list", "ALARM"},
	} {
		if got, stdout, stderr := run(c.stdin, c.args); got != 0 || !strings.Contains(stdout, c.want) || stderr != "" && !strings.HasPrefix(stderr, "note: ") {
			t.Errorf("%s: status %d, printed\n%s\nand %s, not %q", c.args, got, stdout, stderr, c.want)
		}
	}
	if got, _, stderr := run("", "clients show nobody"); got != 4 || !strings.Contains(stderr, "nobody") {
		t.Errorf("a client that is not there: status %d, printed %s", got, stderr)
	}
	_, key, _ := run("", "keys create script --role administrator --for 1h")
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.text()) {
		if at := strings.Index(line, "http://"); at >= 0 {
			api, _, _ = strings.Cut(line[at:], " ")
		}
	}
	got, stdout, stderr := barid(t, "", "ctl", "--url", api, "--key-file", file, "keys", "list", "--json")
	if got != 0 || !strings.Contains(stdout, `"name": "script"`) || strings.Contains(stdout, "secret") {
		t.Errorf("over the network: status %d, printed %s and %s", got, stdout, stderr)
	}
	backup := filepath.Join(dir, "backup")
	if got, _, stderr := barid(t, "", "ctl", "backup", backup, "--set", data); got != 0 {
		t.Errorf("backup: status %d, printed %s", got, stderr)
	}
}
