package conformance

import (
	"flag"
	"os"
	"testing"
)

const (
	projectRoot = "../.."
	reportFile  = projectRoot + "/docs/conformance.md"
)

var update = flag.Bool("update", false, "write docs/conformance.md")

// TestEveryStatementIsShown is the gate: every statement has a test or a reason, and the report says so.
func TestEveryStatementIsShown(t *testing.T) {
	standards, err := Standards()
	if err != nil {
		t.Fatal(err)
	}
	evidence, err := Collect(projectRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range Check(standards, evidence) {
		t.Error(problem)
	}
	report := Report(standards, evidence)
	if *update {
		if err := os.WriteFile(reportFile, []byte(report), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(reportFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != report {
		t.Error("docs/conformance.md is not up to date: go test ./internal/conformance -update")
	}
}

func TestCheckFindsProblems(t *testing.T) {
	standards := []Standard{{Statements: []Statement{
		{Number: "MQTT-1-1"}, {Number: "MQTT-1-2", Reason: "none"}, {Number: "MQTT-1-3"}, {Number: "MQTT-1-4", Reason: "none"},
	}}}
	problems := Check(standards, Evidence{"MQTT-1-3": {"a"}, "MQTT-1-4": {"b"}, "MQTT-1-5": {"c"}})
	want := []string{
		"[MQTT-1-1] () is shown by no test and has no reason",
		"[MQTT-1-4] has a reason why no test can show it, and the test b",
		"there is no statement [MQTT-1-5], named by c",
	}
	if len(problems) != len(want) {
		t.Fatalf("got %q", problems)
	}
	for i := range want {
		if problems[i] != want[i] {
			t.Errorf("got  %s\nwant %s", problems[i], want[i])
		}
	}
}
