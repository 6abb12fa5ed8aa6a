//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTheGuideToHTTPWorksAsItIsWritten runs every command of docs/http.md, in order, in one shell.
func TestTheGuideToHTTPWorksAsItIsWritten(t *testing.T) {
	text, err := os.ReadFile("../../docs/http.md")
	check(t, "reading the guide", err)
	dir := t.TempDir()
	b, err := startBroker(dir)
	check(t, "starting", err)
	script := []string{"set -euo pipefail"}
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		script = append(script, m[1])
	}
	if len(script) < 8 {
		t.Fatalf("the guide has %d blocks", len(script)-1)
	}
	cmd := exec.Command(installed(t, "bash"), "-c", strings.ReplaceAll(strings.Join(script, "\n"), "http://127.0.0.1:18083", strings.TrimSuffix(b.urls["API"].String(), "/")))
	cmd.Dir = filepath.Dir(b.dataDir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, part := range []string{`"topic":"orders/5","payload":"plums"`, `{"count":1,"unknown":[]}`, `"acknowledged":1`, `"payload":"figs"`, `"deliveries":2`,
		"event: start", `"payload":"grapes"`, `"payload":"dates"`, `"complete":true`} {
		if !strings.Contains(string(out), part) {
			t.Errorf("%s is not in:\n%s", part, out)
		}
	}
	check(t, "stopping", b.stop())
}

// TestAConsumerKeepsItsPromisesOverAKill kills the broker between answers: what was acknowledged never comes again, what was
// not does, with its deliveries counted.
func TestAConsumerKeepsItsPromisesOverAKill(t *testing.T) {
	dir := t.TempDir()
	b, err := startBroker(dir)
	check(t, "starting", err)
	admin := b.asAdmin(t)
	ask := func(method, path, body string) map[string]any {
		t.Helper()
		status, answer := b.call(t, method, "/api/v5"+path, admin, body)
		if status != http.StatusOK {
			t.Fatalf("%s %s answered %d %v", method, path, status, answer)
		}
		return answer
	}
	ask("PUT", "/consumers/c", `{"filters":["k/#"],"ack_wait_seconds":2}`)
	seen := map[string]int{}
	acked := map[string]bool{}
	published := 0
	for round := range 4 {
		var bulk []string
		for range 25 {
			bulk = append(bulk, fmt.Sprintf(`{"topic":"k/%d","payload":"%d","qos":1}`, published%3, published))
			published++
		}
		status, _ := b.call(t, "POST", "/api/v5/publish/bulk", admin, "["+strings.Join(bulk, ",")+"]")
		if status != http.StatusOK {
			t.Fatalf("publishing answered %d", status)
		}
		answer := ask("GET", "/consumers/c/messages?max=20&wait_seconds=10", "")
		var mine []string
		for i, v := range answer["data"].([]any) {
			m := v.(map[string]any)
			id := m["id"].(string)
			if acked[id] {
				t.Errorf("%s was acknowledged, and came again", id)
			}
			if n := int(m["deliveries"].(float64)); n != seen[id]+1 {
				t.Errorf("%s says %d deliveries after %d", id, n, seen[id])
			}
			seen[id]++
			if i%2 == round%2 {
				mine = append(mine, id)
			}
		}
		ids, _ := json.Marshal(mine)
		ask("POST", "/consumers/c/ack", `{"ids":`+string(ids)+`}`)
		for _, id := range mine {
			acked[id] = true
		}
		check(t, "killing", b.cmd.Process.Kill())
		_ = b.wait(patience)
		b, err = startBroker(dir)
		check(t, "starting again", err)
		admin = b.asAdmin(t)
	}
	var left []string
	for range 50 {
		answer := ask("GET", "/consumers/c/messages?max=100&wait_seconds=4", "")
		data := answer["data"].([]any)
		if len(data) == 0 {
			break
		}
		var mine []string
		for _, v := range data {
			m := v.(map[string]any)
			id := m["id"].(string)
			if acked[id] {
				t.Errorf("%s was acknowledged, and came again", id)
			}
			mine = append(mine, id)
			left = append(left, m["payload"].(string))
			acked[id] = true
		}
		ids, _ := json.Marshal(mine)
		ask("POST", "/consumers/c/ack", `{"ids":`+string(ids)+`}`)
	}
	if len(acked) != published {
		slices.Sort(left)
		t.Errorf("%d of %d messages came; at the end %q", len(acked), published, left)
	}
	http.DefaultClient.CloseIdleConnections()
	check(t, "stopping", b.stop())
}
