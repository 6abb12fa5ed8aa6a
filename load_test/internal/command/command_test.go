package command

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/load_test/internal/report"
	"github.com/barid-mqtt/barid/load_test/internal/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every scenario of a size that fits runs for a moment against a Barid that is built from this tree: loads are made
// small, and nothing may be lost, doubled or out of order.
func TestCompareRunsEveryScenario(t *testing.T) {
	var names []string
	for _, s := range scenario.All() {
		if s.Load.Descriptors() <= maxClientsHere && !strings.HasPrefix(s.Name, "conn-tcp") {
			names = append(names, s.Name)
		}
	}
	small := map[string][]string{}
	for _, name := range names {
		s, _ := scenario.Find(name)
		small[kind(&s.Load)] = append(small[kind(&s.Load)], name)
	}
	flags := map[string][]string{
		"clients": {"--clients", "20"},
		"shared":  {"--publishers", "20", "--rate", "200"},
		"many":    {"--publishers", "20", "--subscribers", "20", "--groups", "20"},
		"wide":    {"--subscribers", "20"},
		"few":     {"--publishers", "20", "--messages", "2000"},
		"pair":    nil,
		"slow":    {"--subscribers", "20", "--rate", "100"},
	}
	for kind, names := range small {
		t.Run(kind, func(t *testing.T) {
			for _, run := range compareTiny(t, append(flags[kind], "--scenarios", strings.Join(names, ","))) {
				if run.Error != "" || len(run.Problems) > 0 || len(run.Metrics) < 3 {
					t.Errorf("%s: %s %q %v", run.Scenario, run.Error, run.Problems, run.Metrics)
				}
			}
		})
	}
}

// kind says by which flags a load is made small.
func kind(l *scenario.Load) string {
	switch {
	case l.Clients > 0:
		return "clients"
	case l.Share:
		return "shared"
	case l.Rate == 1:
		return "slow"
	case l.Publishers == l.Subscribers && l.Publishers > 1:
		return "many"
	case l.Subscribers >= 100:
		return "wide"
	case l.Publishers == 1:
		return "pair"
	}
	return "few"
}

// compareTiny compares Barid with nobody and returns the runs.
func compareTiny(t *testing.T, args []string) []report.Run {
	t.Helper()
	out := t.TempDir()
	args = append(args, "--root", "../../..", "--peers", "", "--runs", "1", "--warmup", "50ms", "--duration", "250ms", "--out", out)
	var stdout, stderr bytes.Buffer
	if status := Main(t.Context(), append([]string{"compare"}, args...), &stdout, &stderr); status != 0 {
		t.Fatalf("exit status %d\n%s", status, stderr.String())
	}
	for _, file := range []string{"RESULTS.md", "charts/memory.svg"} {
		if info, err := os.Stat(filepath.Join(out, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var results saved
	if err := json.Unmarshal(b, &results); err != nil {
		t.Fatal(err)
	}
	return results.Runs
}

func TestAddKeepsOtherScenarios(t *testing.T) {
	c := &comparison{out: t.TempDir()}
	fill := func(names ...string) {
		c.report = report.Report{Facts: [][2]string{{commandFact, names[0]}, {brokerFact + names[0], "1"}}, Brokers: []string{"barid"}}
		c.scenarios = nil
		for _, name := range names {
			s, ok := scenario.Find(name)
			if !ok {
				t.Fatal(name)
			}
			c.scenarios = append(c.scenarios, s)
			c.report.Runs = append(c.report.Runs, report.Run{Result: scenario.Result{Scenario: name, Broker: "barid"}, Error: names[0]})
		}
		if err := c.add(); err != nil {
			t.Fatal(err)
		}
		if err := c.write(new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
	}
	fill("idle", "fan-in", "fan-out")
	fill("fan-in", "devices")
	var got []string
	for _, run := range c.report.Runs {
		got = append(got, run.Scenario+" of "+run.Error)
	}
	want := []string{"fan-in of fan-in", "devices of fan-in", "fan-out of idle", "idle of idle"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if text := c.report.Facts[0][1]; text != "idle, then fan-in" {
		t.Errorf("commands %q", text)
	}
	if !slices.Contains(c.report.Facts, [2]string{brokerFact + "idle", "1"}) {
		t.Errorf("a version is missing: %q", c.report.Facts)
	}
}

func TestCtrlCKeepsWhatThereIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := t.TempDir()
	var stdout bytes.Buffer
	stderr := &trigger{word: "measuring", fire: cancel}
	args := []string{"compare", "--root", "../../..", "--peers", "", "--scenarios", "devices,fan-in", "--publishers", "10", "--duration", "1h", "--warmup", "0s", "--out", out}
	if status := Main(ctx, args, &stdout, stderr); status != 0 {
		t.Fatalf("exit status %d\n%s", status, stderr.String())
	}
	b, err := os.ReadFile(filepath.Join(out, "RESULTS.md"))
	if err != nil || !strings.Contains(string(b), "devices, barid, run 1: broken off") {
		t.Errorf("%v\n%s", err, b)
	}
}

// trigger calls fire when a word is written.
type trigger struct {
	bytes.Buffer
	word string
	fire func()
}

func (w *trigger) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.word)) {
		w.fire()
	}
	return w.Buffer.Write(b)
}

func TestWrongUseIsExplained(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "go run ./load_test list"},
		{[]string{"fly"}, `there is no command "fly"`},
		{[]string{"run"}, "which scenario?"},
		{[]string{"run", "nothing"}, `there is no scenario "nothing"`},
		{[]string{"run", "fan-in", "fan-out"}, "one scenario at a time"},
		{[]string{"run", "fan-in", "--payload", "3"}, "at least 16 bytes"},
		{[]string{"run", "fan-in", "--topics", "x"}, "--topics is"},
		{[]string{"run", "fan-in", "--qos", "7"}, "QoS is 0, 1 or 2"},
		{[]string{"run", "fan-in", "--subscribers", "7"}, "cannot be dealt evenly"},
		{[]string{"run", "fan-in", "--addr", "ftp://x"}, "a broker's address is"},
		{[]string{"run", "fan-in", "--addr", "127.0.0.1:1"}, "refused"},
		{[]string{"compare", "--peer", "x"}, "a peer is NAME,ADDRESS"},
		{[]string{"compare", "--scenarios", "x"}, `there is no scenario "x"`},
	} {
		var stdout, stderr bytes.Buffer
		if status := Main(t.Context(), c.args, &stdout, &stderr); status == 0 {
			t.Errorf("%q: exit status 0", c.args)
		}
		if !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q: %q, want %q", c.args, stderr.String(), c.want)
		}
	}
}

func TestListNamesTheSuite(t *testing.T) {
	var stdout bytes.Buffer
	if status := Main(t.Context(), []string{"list"}, &stdout, &stdout); status != 0 {
		t.Fatal(stdout.String())
	}
	for _, name := range []string{
		"p2p-1K-1K-1K-1K", "fanout-1-1K-1-1K", "sharedsub-1K-5-1K-1K", "conn-tcp-10K-100",
		"p2p-50K-50K-50K-50K", "fanout-5-1000-5-250K", "sharedsub-50K-500-50K-50K", "conn-tcp-1M-5K",
	} {
		if !strings.Contains(stdout.String(), name) {
			t.Errorf("%s is missing", name)
		}
	}
}
