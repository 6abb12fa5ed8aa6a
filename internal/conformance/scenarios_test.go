package conformance

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var rewrite = flag.Bool("rewrite", false, "rewrite the expectations of scripts with what came")

// TestScenarios plays every script in testdata against the broker. Beside each of them a watch looks at all that the
// broker sends for what it must never send, whatever the script is about.
//
// Statements: [MQTT-3.1.2-24] [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.1.2-28] [MQTT-3.1.2-29] [MQTT-3.2.0-1] [MQTT-3.2.0-2]
// Statements: [MQTT-3.2.2-6] [MQTT-3.2.2-8] [MQTT-3.3.2-8] [MQTT-3.3.2-11] [MQTT-3.3.4-7] [MQTT-3.4.2-1] [MQTT-3.5.2-1]
// Statements: [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2] [MQTT-3.14.0-1] [MQTT-3.14.2-1] [MQTT-3.14.2-2]
// Statements: [MQTT-3.14.4-1] [MQTT-2.2.1-4] [MQTT-4.4.0-1] [MQTT-4.12.0-5] [MQTT-4.12.0-6] [MQTT-3.1.1/3.2.0-1]
// Statements: [MQTT-3.1.1/3.2.2-4] [MQTT-3.1.1/3.9.3-2] [MQTT-3.1.1/2.3.1-4] [MQTT-3.1/3.9-1]
func TestScenarios(t *testing.T) {
	scenarios, err := ParseDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	edits := map[string]map[int][]string{}
	for _, s := range scenarios {
		versions := s.Versions
		if len(versions) == 0 {
			versions = []string{""}
		}
		for _, version := range versions {
			t.Run(strings.TrimSuffix(s.ID()+"/"+version, "/"), func(t *testing.T) {
				if *rewrite && version == "" && edits[s.File] == nil {
					edits[s.File] = map[int][]string{}
				}
				playOne(t, s, version, edits[s.File])
			})
		}
	}
	for file, lines := range edits {
		if err := rewriteFile(file, lines); err != nil {
			t.Error(err)
		}
	}
}

func playOne(t *testing.T, s Scenario, version string, edits map[int][]string) {
	synctest.Test(t, func(t *testing.T) {
		srv := startBroker(t, s, version)
		p := newPlayer(s, version, srv)
		if version == "" {
			p.edits = edits
		}
		if err := p.play(); err != nil {
			t.Error(err)
		}
		p.leave()
		srv.Stop()
	})
}

// rewriteFile puts new lines in the place of others, by line number, and after those with a negative number.
func rewriteFile(file string, edits map[int][]string) error {
	if len(edits) == 0 {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var out []string
	for i, line := range strings.Split(string(text), "\n") {
		if replaced, ok := edits[i+1]; ok {
			out = append(out, replaced...)
		} else {
			out = append(out, line)
		}
		out = append(out, slices.Clone(edits[-i-1])...)
	}
	return os.WriteFile(file, []byte(strings.Join(out, "\n")), 0o644)
}
