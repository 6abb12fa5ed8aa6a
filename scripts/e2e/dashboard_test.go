//go:build e2e && browser

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDashboard has Chromium use every page of the dashboard of a running broker, with clients that are connected and away.
// With BARID_SCREENSHOTS, a directory, it keeps pictures there.
func TestDashboard(t *testing.T) {
	modules := filepath.Join(cacheDir(t), "node_modules")
	for _, module := range []string{"axe-core", "ws"} {
		if _, err := os.Stat(filepath.Join(modules, module)); err != nil {
			t.Fatalf("%s is not installed; run: bash scripts/e2e/install.sh --browser", module)
		}
	}
	installed(t, "chromium")
	b, err := startBroker(t.TempDir(), "streams.measured.filters=measured/#", "auth.built_in.users=true", "auth.built_in.rules=true",
		"auth.no_match=allow", "auth.allow_anonymous=true")
	check(t, "starting", err)
	t.Cleanup(func() { check(t, "stopping", b.stop()) })
	populate(t, b)

	secret, err := os.ReadFile(filepath.Join(b.dataDir, "admin-password"))
	check(t, "reading the password", err)
	cmd := exec.Command(installed(t, "node"), "dashboard/visit.mjs", b.urls["API"].String(), strings.TrimSpace(string(secret)), os.Getenv("BARID_SCREENSHOTS"))
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	p, err := startProcess(cmd)
	check(t, "starting the visit", err)
	err = p.wait(4 * time.Minute)
	if err != nil || strings.Count(p.output(), "ok ") < 30 {
		t.Errorf("the visit ended with %v and printed:\n%s", err, p.output())
	}
}

// populate gives the broker something to show: names that are long, too.
func populate(t *testing.T, b *broker) {
	t.Helper()
	port := b.port("tcp")
	long := strings.Repeat("a-gateway-in-a-hall-of-a-factory-", 6)
	for id, filters := range map[string][]string{
		"desk-1": {"measured/#", "cmd/desk-1/+"}, "desk-2": {"measured/+"}, "worker-1": {"$share/workers/jobs/#"}, "worker-2": {"$share/workers/jobs/#"},
		long: {"factory/berlin/hall-7/line-3/cell-12/robot-4/axis-6/temperature/celsius/raw/unfiltered"},
	} {
		args := []string{"-V", "5", "-p", port, "-i", id, "-q", "1", "-c", "-x", "3600"}
		for _, f := range filters {
			args = append(args, "-t", f)
		}
		background(t, "mosquitto_sub", args...)
	}
	run(t, "mosquitto_sub", "-V", "5", "-p", port, "-i", "away", "-q", "1", "-c", "-x", "3600", "-t", "night/#", "-E")
	publish := func(topic, payload string, more ...string) {
		run(t, "mosquitto_pub", append([]string{"-p", port, "-q", "1", "-t", topic, "-m", payload}, more...)...)
	}
	for _, topic := range []string{"kept/1", "kept/2", "factory/berlin/hall-7/line-3/cell-12/robot-4/axis-6/temperature/celsius/raw/unfiltered"} {
		publish(topic, `{"kept": true, "long": "`+long+`"}`, "-r")
	}
	publish("measured/1", "21.5")
	publish("measured/1", "\x01\x02\x80")
	publish("night/1", "wait")
	admin := b.asAdmin(t)
	for request, body := range map[string]string{
		"POST /api/v5/banned": `{"as": "clientid", "who": "` + long + `2", "reason": "` + long + `"}`,
		"POST /api/v5/authentication/password_based:built_in_database/users": `{"user_id": "` + long + `", "password": "long enough", "roles": ["reader"]}`,
		"POST /api/v5/authorization/sources/built_in_database/rules/users":   `[{"username": "alice", "rules": [{"permission": "deny", "action": "all", "topics": ["` + long + `/#", "a"]}]}]`,
		"POST /api/v5/authorization/sources/built_in_database/rules/all":     `{"rules": [{"permission": "allow", "action": "subscribe", "topic": "eq #"}]}`,
		"POST /api/v5/api_key":         `{"name": "` + long + `", "role": "client", "topics": {"publish": ["a/%n/#"]}}`,
		"POST /api/v5/trace":           `{"name": "watched", "type": "clientid", "clientid": "desk-1"}`,
		"PUT /api/v5/consumers/reader": `{"filters": ["measured/#", "` + long + `/#"]}`,
	} {
		method, path, _ := strings.Cut(request, " ")
		if status, answer := b.call(t, method, path, admin, body); status/100 != 2 {
			t.Fatalf("%s answered %d %v", request, status, answer)
		}
	}
}
