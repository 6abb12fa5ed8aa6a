package conformance

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expectations of scripts with what came")

// TestScenarios plays every script in testdata against the broker.
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
