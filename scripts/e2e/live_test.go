//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The configuration changes while the broker runs: by HTTP until the restart, or for good, and by its file at SIGHUP. What
// takes a restart is named.
func TestTheConfigurationChangesWhileTheBrokerRuns(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "barid.yaml")
	write := func(more string) {
		text := fmt.Sprintf("data_dir: %s\nlisteners: {tcp: {bind: \"127.0.0.1:0\"}}\napi: {bind: \"127.0.0.1:0\", admin: {password: secret}}\n%s", filepath.Join(dir, "data"), more)
		check(t, "writing the configuration", os.WriteFile(file, []byte(text), 0o600))
	}
	write("")
	b := startWithFile(t, file)
	admin := b.loginAs(t, "secret")
	change := func(path, body string, want int) map[string]any {
		t.Helper()
		status, answer := b.call(t, "PUT", "/api/v5/config"+path, admin, body)
		if status != want {
			t.Errorf("PUT %s %s answered %d %v", path, body, status, answer)
		}
		return answer
	}
	tryPublish := func() error {
		cmd := exec.Command(program, "pub", "-p", b.port("tcp"), "-t", "x", "-m", "y", "-i", "someone")
		return cmd.Run()
	}
	check(t, "publishing", tryPublish())
	change("", `{"limits.connects_per_second":1000,"logging.levels.client":"debug"}`, http.StatusOK)
	check(t, "publishing", tryPublish())
	check(t, "logging a client", b.waitFor(`msg="client disconnected" component=client client=someone`))
	if answer := change("", `{"limits.max_sessions":1,"data_dir":"/x"}`, http.StatusBadRequest); !strings.Contains(fmt.Sprint(answer["message"]), "data_dir: cannot change while the broker runs") {
		t.Errorf("answered %v", answer)
	}
	change("?persist=true", `{"mqtt.max_topic_levels":3}`, http.StatusOK)

	write("limits: {max_sessions: 77}\nmqtt: {receive_maximum: 9}\n")
	check(t, "SIGHUP", b.cmd.Process.Signal(syscall.SIGHUP))
	check(t, "reloading", b.waitFor("msg=reloaded"))
	for _, text := range []string{`msg="configuration changed" keys=limits.max_sessions`, `msg="what changed in these keys takes a restart" keys=mqtt.receive_maximum`} {
		if !strings.Contains(b.output(), text) {
			t.Errorf("the log has no %s", text)
		}
	}
	values := func() (found []string) {
		_, answer := b.call(t, "GET", "/api/v5/config", admin, "")
		for _, one := range answer["data"].([]any) {
			s := one.(map[string]any)
			switch s["key"] {
			case "limits.max_sessions", "limits.connects_per_second", "mqtt.max_topic_levels", "mqtt.receive_maximum", "api.admin.password":
				source := strings.ReplaceAll(fmt.Sprint(s["source"]), dir+"/", "")
				found = append(found, fmt.Sprintf("%v=%v of %v", s["key"], s["value"], source))
			}
		}
		return found
	}
	want := []string{"api.admin.password=******** of barid.yaml:3", "mqtt.receive_maximum=1024 of barid.yaml:5", "mqtt.max_topic_levels=3 of data/overrides.yaml:3",
		"limits.connects_per_second=1000 of live", "limits.max_sessions=77 of barid.yaml:4"}
	if got := values(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	write("limits: {max_sessions: many}\n")
	check(t, "SIGHUP", b.cmd.Process.Signal(syscall.SIGHUP))
	check(t, "refusing a wrong file", b.waitFor(`barid.yaml:4: limits.max_sessions: \"many\" is not a whole number`))
	write("mqtt: {receive_maximum: 9}\n")
	check(t, "stopping", b.stop())
	b = startWithFile(t, file)
	admin = b.loginAs(t, "secret")
	want = []string{"api.admin.password=******** of barid.yaml:3", "mqtt.receive_maximum=9 of barid.yaml:4", "mqtt.max_topic_levels=3 of data/overrides.yaml:3",
		"limits.connects_per_second=0 of default", "limits.max_sessions=0 of default"}
	if got := values(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after a restart\ngot  %q\nwant %q", got, want)
	}
	check(t, "stopping", b.stop())
}

// startWithFile starts a broker whose configuration is a file, with a TCP listener and the API.
func startWithFile(t *testing.T, file string) *broker {
	t.Helper()
	p, err := startProcess(exec.Command(program, "serve", "--config", file))
	check(t, "starting", err)
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("it printed:\n%s", p.output())
		}
	})
	b := &broker{process: p}
	check(t, "starting", b.waitFor("durability"))
	check(t, "reading the banner", b.readURLs())
	return b
}
