//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const rulesToImport = `topic read public/#
user admin
topic #
topic $x/#
user alice
topic deny a/secret
topic readwrite a/#
topic write b/+
user bob
topic read #
pattern write %u/in
pattern read %c/out
`

// A mosquitto.conf with users and rules becomes a Barid that gives the same answers as the Mosquitto that it was for, and its
// retained messages come over.
func TestMosquittoIsImported(t *testing.T) {
	dir := t.TempDir()
	passwords, acl, included := filepath.Join(dir, "passwords"), filepath.Join(dir, "acl"), filepath.Join(dir, "conf.d")
	for i, user := range []string{"alice", "bob", "admin"} {
		args := []string{"-b", passwords, user, "pw-" + user}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		run(t, "mosquitto_passwd", args...)
	}
	check(t, "writing", os.WriteFile(acl, []byte(rulesToImport), 0o644))
	check(t, "writing", os.Mkdir(included, 0o755))
	check(t, "writing", os.WriteFile(filepath.Join(included, "auth.conf"), fmt.Appendf(nil, "allow_anonymous true\npassword_file %s\nacl_file %s\n", passwords, acl), 0o644))
	compareImport(t, dir, "include_dir "+included+"\n", []who{{"c1", ""}, {"c1", "alice"}, {"b", "bob"}, {"alice", ""}}, "#", "+/in")
}

// The plugin refuses a subscription that is wider than what is granted. Barid grants it, and delivers what is granted of it.
func TestDynamicSecurityIsImported(t *testing.T) {
	dir := t.TempDir()
	plugin, err := filepath.Glob("/usr/lib/*/mosquitto_dynamic_security.so")
	if err != nil || len(plugin) == 0 {
		t.Fatal("mosquitto_dynamic_security.so is not installed; run: bash scripts/e2e/install.sh")
	}
	file := filepath.Join(dir, "dynamic-security.json")
	check(t, "writing", os.WriteFile(file, dynamicSecurityOf(t, dir, "admin", "alice", "bob"), 0o600))
	compareImport(t, dir, "plugin "+plugin[0]+"\nplugin_opt_config_file "+file+"\n", []who{{"c1", "alice"}, {"b", "bob"}})
}

// dynamicSecurityOf makes a file of the plugin, with the hashes that mosquitto_passwd makes.
func dynamicSecurityOf(t *testing.T, dir string, users ...string) []byte {
	t.Helper()
	type list = []map[string]any
	acl := func(kind, topic string, allow bool) map[string]any {
		return map[string]any{"acltype": kind, "topic": topic, "priority": 0, "allow": allow}
	}
	clients := list{}
	for _, user := range users {
		file := filepath.Join(dir, "one")
		run(t, "mosquitto_passwd", "-c", "-b", file, user, "pw-"+user)
		text, err := os.ReadFile(file)
		check(t, "reading", err)
		parts := strings.Split(strings.TrimSpace(string(text)), "$") // user: 7 iterations salt hash
		var iterations int
		_, err = fmt.Sscan(parts[2], &iterations)
		check(t, "reading the hash", err)
		clients = append(clients, map[string]any{
			"username": user, "password": parts[4], "salt": parts[3], "iterations": iterations, "roles": list{{"rolename": user}},
		})
	}
	text, err := json.Marshal(map[string]any{
		"defaultACLAccess": map[string]bool{"publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
		"clients":          clients, "groups": list{{"groupname": "all", "roles": list{{"rolename": "watch"}}, "clients": list{{"username": "alice"}, {"username": "bob"}}}},
		"roles": list{
			{"rolename": "admin", "acls": list{acl("publishClientSend", "#", true), acl("publishClientSend", "$x/#", true), acl("subscribePattern", "#", true), acl("subscribePattern", "$x/#", true)}},
			{"rolename": "alice", "acls": list{acl("publishClientSend", "a/#", true), acl("subscribePattern", "b/#", true)}},
			{"rolename": "bob", "acls": list{acl("publishClientSend", "bob/in", true), acl("subscribePattern", "a/#", true), acl("subscribePattern", "c1/+", true)}},
			{"rolename": "watch", "acls": list{acl("subscribePattern", "alice/#", true)}},
		},
	})
	check(t, "encoding", err)
	return text
}

// compareImport starts a Mosquitto with a configuration, and a Barid with what that becomes.
func compareImport(t *testing.T, dir, text string, clients []who, wide ...string) {
	t.Helper()
	port := unusedPort(t)
	conf := filepath.Join(dir, "mosquitto.conf")
	check(t, "writing", os.WriteFile(conf, []byte("user root\nlistener "+port+" 127.0.0.1\n"+text), 0o644))
	mosquitto, err := startProcess(exec.Command("/usr/sbin/mosquitto", "-c", conf))
	check(t, "starting Mosquitto", err)
	defer func() { mosquitto.cmd.Process.Kill(); <-mosquitto.done }()
	waitForPort(t, port, mosquitto)

	out := filepath.Join(dir, "barid")
	if said := run(t, "barid", "import", "mosquitto", conf, "--out", out); strings.Contains(said, "not supported  ") {
		t.Errorf("the import says\n%s", said)
	}
	own := unusedPort(t)
	barid, err := startProcess(exec.Command(program, "serve", "--config", filepath.Join(out, "barid.yaml"), "--set", "listeners.tcp.bind=127.0.0.1:"+own,
		"--set", "api.bind=127.0.0.1:0", "--set", "data_dir="+filepath.Join(dir, "data")))
	check(t, "starting Barid", err)
	defer func() { barid.cmd.Process.Kill(); <-barid.done }()
	waitForPort(t, own, barid)

	filters := []string{"a/#", "public/#", "b/+", "alice/out", "a/secret", "c1/out", "alice/#"}
	filters = append(filters, wide...)
	topics := []string{"a/b", "a/secret", "public/x", "b/c", "b/c/d", "alice/in", "bob/in", "c1/out", "alice/out", "x"}
	through := 0
	for _, c := range clients {
		theirs, ours := ask(t, port, c, filters, topics), ask(t, own, c, filters, topics)
		slices.Sort(theirs)
		slices.Sort(ours)
		if through += len(ours); !slices.Equal(theirs, ours) {
			t.Errorf("client %+v: through Mosquitto come\n%q, through Barid\n%q", c, theirs, ours)
		}
	}
	if through == 0 {
		t.Error("nothing was let through")
	}

	as := []string{"-h", "127.0.0.1", "-u", "admin", "-P", "pw-admin"}
	for _, topic := range topics {
		run(t, "mosquitto_pub", slices.Concat(as, []string{"-p", port, "-t", topic, "-m", "kept " + topic, "-r", "-q", "1"})...)
	}
	said := run(t, "barid", "import", "retained", "mqtt://admin:pw-admin@127.0.0.1:"+port, "--to", "mqtt://admin:pw-admin@127.0.0.1:"+own, "--quiet-seconds", "1")
	if !strings.Contains(said, fmt.Sprintf("%d retained messages copied", len(topics))) {
		t.Errorf("the import of retained messages says %s", said)
	}
	got := subscribedTo(t, as, own, len(topics)).lines()
	slices.Sort(got)
	want := make([]string, len(topics))
	for i, topic := range topics {
		want[i] = "kept " + topic
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("retained here: %q", got)
	}
}

func subscribedTo(t *testing.T, as []string, port string, n int) *process {
	t.Helper()
	p := background(t, "mosquitto_sub", slices.Concat(as, []string{"-p", port, "-t", "#", "-C", fmt.Sprint(n), "-W", "10"})...)
	check(t, "receiving retained messages", p.wait(patience))
	return p
}

func unusedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, "finding a port", err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	check(t, "freeing the port", l.Close())
	return port
}

func waitForPort(t *testing.T, port string, p *process) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		nc, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = nc.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens: %v\n%s", err, p.output())
		}
		select {
		case <-p.done:
			t.Fatalf("it ended: %v\n%s", p.err, p.output())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
