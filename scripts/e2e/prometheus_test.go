//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The rules for alerts are well formed, and fire when they should and only then.
func TestPromtoolAcceptsTheAlertRules(t *testing.T) {
	dir := filepath.Join("..", "..", "deploy", "prometheus")
	run(t, "promtool", "check", "rules", filepath.Join(dir, "barid.rules.yaml"))
	run(t, "promtool", "test", "rules", filepath.Join(dir, "barid.rules.test.yaml"))
}

// prometheus runs Debian's prometheus, which scrapes a broker with an API key every second and evaluates the alert rules.
// It returns its URL.
func prometheus(t *testing.T, target *url.URL, key, secret string) string {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs("../../deploy/prometheus/barid.rules.yaml")
	check(t, "finding the rules", err)
	config := fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: barid
    basic_auth: {username: %s, password: %s}
    static_configs: [{targets: ["%s"]}]
  - job_name: emqx
    metrics_path: /api/v5/prometheus/stats
    basic_auth: {username: %s, password: %s}
    static_configs: [{targets: ["%s"]}]
`, rules, key, secret, target.Host, key, secret, target.Host)
	file := filepath.Join(dir, "prometheus.yml")
	check(t, "writing its configuration", os.WriteFile(file, []byte(config), 0o600))
	run(t, "promtool", "check", "config", file)
	address := freeAddress(t)
	cmd := exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	p, err := startProcess(cmd)
	check(t, "starting prometheus", err)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.wait(patience)
	})
	return "http://" + address
}

// freeAddress is one that nobody listens on right now.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, "finding a port", err)
	defer ln.Close()
	return ln.Addr().String()
}

// query asks prometheus, and returns how many series it found and the value of the first; -1: it did not answer.
func query(base, expr string) (series int, value string) {
	answer, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return -1, ""
	}
	defer answer.Body.Close()
	var v struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	text, _ := io.ReadAll(answer.Body)
	if json.Unmarshal(text, &v) != nil {
		return -1, string(text)
	}
	if len(v.Data.Result) == 0 {
		return 0, ""
	}
	return len(v.Data.Result), fmt.Sprint(v.Data.Result[0].Value[1])
}

// Debian's prometheus scrapes a broker, both paths, and finds what the dashboard and the rules ask for.
func TestPrometheusScrapesTheBroker(t *testing.T) {
	b, err := startBroker(t.TempDir(), "streams.s.filters=s/#")
	check(t, "starting", err)
	defer func() { check(t, "stopping", b.stop()) }()
	defer http.DefaultClient.CloseIdleConnections()
	status, key := b.call(t, "POST", "/api/v5/api_key", b.asAdmin(t), `{"name":"prometheus","role":"viewer"}`)
	if status != http.StatusOK {
		t.Fatalf("making a key answered %d %v", status, key)
	}
	for _, path := range []string{"/metrics", "/api/v5/prometheus/stats"} {
		if status, _ := b.call(t, "GET", path, "", ""); status != http.StatusUnauthorized {
			t.Errorf("%s answered a stranger %d", path, status)
		}
	}
	run(t, "mosquitto_sub", "-p", b.port("tcp"), "-i", "durable", "-c", "-q", "1", "-t", "t", "-E")
	for range 5 {
		run(t, "mosquitto_pub", "-p", b.port("tcp"), "-q", "1", "-t", "t", "-m", "x")
		run(t, "mosquitto_pub", "-p", b.port("tcp"), "-q", "0", "-t", "nobody", "-m", "x")
	}
	base := prometheus(t, b.urls["API"], key["api_key"].(string), key["api_secret"].(string))
	for expr, want := range map[string]string{
		`up{job="barid"}`: "1", `up{job="emqx"}`: "1",
		`barid_messages_received_total{job="barid",qos="1"}`: "5", `barid_messages_logged_total{job="barid"}`: "5",
		`barid_dropped_total{job="barid",reason="no_subscriber"}`: "5", `barid_publish_ack_seconds_count{job="barid"}`: "5",
		`barid_sessions_durable_away{job="barid"}`: "1", `barid_storage_healthy{job="barid"}`: "1", `barid_streams{job="barid"}`: "1",
		`emqx_messages_qos1_received{job="emqx"}`: "5", `emqx_messages_dropped_no_subscribers{job="emqx"}`: "5", `emqx_sessions_count{job="emqx"}`: "1",
		`count(barid_commit_stage_seconds_bucket{job="barid",le="+Inf"})`:                   "3",
		`histogram_quantile(0.99, barid_publish_ack_seconds_bucket{job="barid"}) < bool 10`: "1",
	} {
		eventually(t, expr, func() (bool, string) {
			_, got := query(base, expr)
			return got == want, got
		})
	}
	// The rules are loaded and evaluated, and nothing fires.
	eventually(t, "rules", func() (bool, string) {
		answer, err := http.Get(base + "/api/v1/rules")
		if err != nil {
			return false, err.Error()
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		s := string(text)
		return strings.Contains(s, "BaridDown") && strings.Contains(s, `"health":"ok"`) && !strings.Contains(s, `"health":"err"`) && !strings.Contains(s, `"health":"unknown"`), s
	})
	if n, _ := query(base, `ALERTS{alertstate="firing"}`); n != 0 {
		t.Errorf("%d alerts fire", n)
	}
	run(t, "mosquitto_pub", "-p", b.port("tcp"), "-q", "1", "-t", "t", "-m", "x")
	eventually(t, "rates", func() (bool, string) { // need two scrapes
		_, got := query(base, `rate(barid_messages_received_total{job="barid",qos="1"}[1m]) > bool 0`)
		return got == "1", got
	})
	dashboardHasData(t, base)
}

// dashboardHasData asks for every panel of the dashboard: prometheus understands all, and most have data.
func dashboardHasData(t *testing.T, base string) {
	text, err := os.ReadFile("../../deploy/grafana/barid.json")
	check(t, "reading the dashboard", err)
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	check(t, "decoding the dashboard", json.Unmarshal(text, &d))
	empty, all := 0, 0
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all++
			expr := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(target.Expr)
			n, got := query(base, expr)
			if n < 0 {
				t.Errorf("panel %s: %s: %s", p.Title, expr, got)
			}
			if n <= 0 {
				empty++
				t.Logf("panel %s has no data yet: %s", p.Title, expr)
			}
		}
	}
	if empty > all/3 {
		t.Errorf("%d of %d series of the dashboard are empty", empty, all)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		good, got := ok()
		if good {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: %s", what, got)
			return
		}
		<-time.After(200 * time.Millisecond)
	}
}
