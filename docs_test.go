package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheTestsThatTheDocumentsNameExist keeps documents from naming tests that were renamed or are gone.
func TestTheTestsThatTheDocumentsNameExist(t *testing.T) {
	exists := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			exists[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("docs/durability.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| **") {
			continue
		}
		rules++
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(line, -1)
		if len(named) == 0 {
			t.Errorf("no test shows %.40q", line)
		}
		for _, m := range named {
			if !exists[m[1]] {
				t.Errorf("docs/durability.md names %s, which does not exist", m[1])
			}
		}
	}
	if rules != 12 {
		t.Errorf("docs/durability.md has %d rules", rules)
	}
}
