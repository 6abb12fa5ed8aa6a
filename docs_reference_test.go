package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// The reference is made of what reads the configuration: go test . -run TestTheReference -update
func TestTheReferenceOfTheConfigurationIsComplete(t *testing.T) {
	const file = "docs/configuration.md"
	want := reference()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the keys are now (%v): run go test . -run TestTheReference -update", file, err)
	}
}

// reference lists all keys by section.
func reference() string {
	var b strings.Builder
	b.WriteString(`# Configuration

All keys, made from the source that reads them. [config.yaml](../config.yaml) is the same as a file, with more words.

Each key is set, later ones winning, by its built-in default, the file of ` + "`--config`" + `, the environment
(` + "`BARID_`" + ` and the path in capitals, ` + "`__`" + ` between levels: ` + "`BARID_MQTT__MAX_QOS=1`" + `) and ` + "`--set path.to.key=value`" + `. Lists
are separated by commas there. A key whose value is a secret also takes its name with ` + "`_file`" + `: a file that holds it.

Keys marked **live** can change while the broker runs: at SIGHUP, or by ` + "`PUT /api/v5/config`" + `. The others take a restart.
`)
	section := ""
	for _, k := range config.Keys() {
		if s, _, deeper := strings.Cut(k.Path, "."); s != section {
			section = s
			if deeper || s == "data_dir" {
				title := s
				if s == "data_dir" {
					title = "data_dir, durability"
				}
				if s != "durability" {
					fmt.Fprintf(&b, "\n## %s\n\n| key | default | meaning |\n|---|---|---|\n", title)
				}
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.Path, code(k.Default), meaning(k))
	}
	return b.String()
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// meaning is a key's sentence, with the values that it may have.
func meaning(k config.Key) string {
	text := strings.ReplaceAll(k.Doc, "|", `\|`)
	switch {
	case len(k.Enum) > 0:
		values := make([]string, 0, len(k.Enum))
		for _, v := range k.Enum {
			if v != "" {
				values = append(values, "`"+v+"`")
			}
		}
		text += "; one of " + strings.Join(values, ", ")
	case k.Type == "number" && k.Max < 1<<62:
		text += fmt.Sprintf("; %d to %d", k.Min, k.Max)
	case k.Type == "list":
		text += "; a list"
	case k.Type == "boolean":
		text += "; true or false"
	}
	if k.Secret {
		text += "; a secret"
	}
	if k.Live {
		text += " — **live**"
	}
	return text
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fence   = regexp.MustCompile("(?s)```.*?```")
	notSlug = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// Every link between the project's documents leads somewhere, to its heading too.
func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "load_test/*.md", "deploy/*.md", "deploy/*/*.md", "scripts/*/*.md"} {
		found, _ := filepath.Glob(pattern)
		files = append(files, found...)
	}
	links := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			links++
			target := file
			if to != "" {
				target = filepath.Join(filepath.Dir(file), to)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
			} else if anchor != "" && !hasHeading(t, target, anchor) {
				t.Errorf("%s links to %s, which has no such heading", file, m[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}

// hasHeading reports whether a document has a heading with an anchor, made as GitHub makes it.
func hasHeading(t *testing.T, file, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		title := strings.ToLower(strings.ReplaceAll(m[1], "`", ""))
		if strings.ReplaceAll(notSlug.ReplaceAllString(title, ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}
