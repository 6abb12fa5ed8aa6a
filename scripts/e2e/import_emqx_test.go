//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/migrate/exporttest"
)

// A data export of EMQX becomes a Barid whose users have their passwords, who may do what they might there, in which those
// who are banned stay out, and retained messages are kept.
func TestEMQXIsImported(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "emqx-export.tar.gz")
	check(t, "writing", os.WriteFile(archive, emqxExport(), 0o600))
	text, err := exec.Command(program, "import", "emqx", archive, "--check").CombinedOutput()
	said := string(text)
	if err == nil {
		t.Error("--check exits with 0 though API keys are not supported")
	}
	for _, want := range []string{"not needed     mqtt.retry_interval", "taken          3 users", "1 API keys"} {
		if !strings.Contains(said, want) {
			t.Errorf("--check does not say %q:\n%s", want, said)
		}
	}
	out, data := filepath.Join(dir, "barid"), filepath.Join(dir, "data")
	if _, err := os.Stat(out); err == nil {
		t.Error("--check wrote something")
	}
	run(t, "barid", "import", "emqx", archive, "--out", out, "--data", data)

	port := unusedPort(t)
	b, err := startProcess(exec.Command(program, "serve", "--config", filepath.Join(out, "barid.yaml"),
		"--set", "listeners.tcp.bind=127.0.0.1:"+port, "--set", "listeners.ws=", "--set", "api.bind=127.0.0.1:0"))
	check(t, "starting", err)
	defer func() { b.cmd.Process.Kill(); <-b.done }()
	waitForPort(t, port, b)

	as := func(user, password string, more ...string) []string {
		args := []string{"-h", "127.0.0.1", "-p", port, "-V", "5"}
		if user != "" {
			args = append(args, "-u", user, "-P", password)
		}
		return append(args, more...)
	}
	for _, c := range []struct {
		what   string
		args   []string
		passes bool
	}{
		{"her topic", as("alice", "wonderland", "-t", "up/alice/1", "-m", "x"), true},
		{"another's topic", as("alice", "wonderland", "-t", "up/bob/1", "-m", "x"), false},
		{"a wrong password", as("alice", "Wonderland", "-t", "up/alice/1", "-m", "x"), false},
		{"a bcrypt password", as("bob", "U*U", "-t", "up/bob/1", "-m", "x"), true},
		{"what is denied to all", as("bob", "U*U", "-t", "secret/1", "-m", "x"), false},
		{"the superuser", as("root", "toor", "-t", "secret/1", "-m", "x"), true},
		{"nobody", as("", "", "-t", "up/alice/1", "-m", "x"), false},
		{"an unknown user", as("eve", "x", "-t", "up/alice/1", "-m", "x"), false},
		{"a banned client", as("alice", "wonderland", "-i", "c-banned", "-t", "up/alice/1", "-m", "x"), false},
		{"one by expression", as("alice", "wonderland", "-i", "bot-17", "-t", "up/alice/1", "-m", "x"), false},
		{"a ban that is over", as("alice", "wonderland", "-i", "c-over", "-t", "up/alice/1", "-m", "x"), true},
	} {
		said, err := exec.Command(installed(t, "mosquitto_pub"), append(c.args, "-q", "1")...).CombinedOutput()
		if passed := err == nil && !strings.Contains(string(said), "ailed") && !strings.Contains(string(said), "ot authorized"); passed != c.passes {
			t.Errorf("%s: passed %v: %v %s", c.what, passed, err, said)
		}
	}
	kept := run(t, "mosquitto_sub", as("root", "toor", "-t", "site/#", "-q", "1", "-C", "2", "-W", "10", "-F", "%t %p %q %C %P")...)
	if kept != "site/1 one 1  \nsite/2 two 0 text/plain k:v\n" && kept != "site/2 two 0 text/plain k:v\nsite/1 one 1  \n" {
		t.Errorf("retained: %q", kept)
	}

	// While a broker has the data, nothing is imported into it, and nothing that is there is written over.
	again := exec.Command(program, "import", "emqx", archive, "--out", filepath.Join(dir, "again"), "--data", data)
	if text, err := again.CombinedOutput(); err == nil || !strings.Contains(string(text), "a broker runs on it") {
		t.Errorf("into a running broker's data: %v %s", err, text)
	}
	again = exec.Command(program, "import", "emqx", archive, "--out", out, "--data", filepath.Join(dir, "other"))
	if text, err := again.CombinedOutput(); err == nil || !strings.Contains(string(text), "barid.yaml is there already") {
		t.Errorf("over a configuration: %v %s", err, text)
	}
}

func emqxExport() []byte {
	type (
		atom  = exporttest.Atom
		tuple = exporttest.Tuple
		list  = exporttest.List
	)
	table := func(name string, records ...tuple) exporttest.File {
		return exporttest.File{Name: "mnesia/" + name, Body: exporttest.Table(name, records...)}
	}
	user := func(name, password string, super bool) tuple {
		sum, salt := sha256.Sum256([]byte(password+"00ff")), "00ff"
		return tuple{tuple{atom("mqtt:global"), name}, hex.EncodeToString(sum[:]), salt, super}
	}
	bcrypted := tuple{tuple{atom("mqtt:global"), "bob"}, "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.", false}
	rule := func(permission, action, topic string) tuple {
		return tuple{atom(permission), atom("all"), atom(action), topic}
	}
	ban := func(as, who string, until any) tuple {
		return tuple{tuple{atom(as), who}, "ops", "floods", time.Now().Unix(), until}
	}
	message := func(topic, payload string, qos int, properties exporttest.Map) tuple {
		return tuple{list{topic}, tuple{atom("message"), "0123456789abcdef", qos, "dev", exporttest.Map{}, exporttest.Map{atom("properties"), properties},
			topic, payload, time.Now().UnixMilli(), exporttest.Map{}}, 0}
	}
	return exporttest.Archive(
		table("emqx_authn_mnesia", user("alice", "wonderland", false), bcrypted, user("root", "toor", true)),
		table("emqx_acl", tuple{0, list{rule("deny", "all", "secret/#")}},
			tuple{tuple{1, "alice"}, list{rule("allow", "all", "up/${username}/#")}}, tuple{tuple{1, "bob"}, list{rule("allow", "publish", "up/bob/#")}}),
		table("emqx_banned", ban("clientid", "c-banned", atom("infinity")), ban("clientid", "c-over", time.Now().Unix()-1)),
		table("emqx_banned_rules", ban("clientid_re", "^bot-", time.Now().Unix()+3600)),
		table("emqx_retainer_message", message("site/1", "one", 1, nil),
			message("site/2", "two", 0, exporttest.Map{atom("Content-Type"), "text/plain", atom("User-Property"), list{tuple{"k", "v"}}})),
		table("emqx_app", tuple{"ops", "key", "hash", true, exporttest.Map{}, atom("infinity"), 0}),
		exporttest.File{Name: "cluster.hocon", Body: []byte(`
authentication = [
  {backend = built_in_database, mechanism = password_based, user_id_type = username
   password_hash_algorithm {name = sha256, salt_position = suffix}}
]
authorization { no_match = deny, sources = [{type = built_in_database, enable = true}] }
mqtt { max_packet_size = 2MB, retry_interval = 30s }
`)})
}
