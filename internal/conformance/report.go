package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Check compares statements and evidence: it lists statements with neither evidence nor a reason, reasons that evidence
// makes wrong, and evidence for statements that do not exist.
func Check(standards []Standard, e Evidence) []string {
	var problems []string
	known := map[string]bool{}
	for _, standard := range standards {
		for _, s := range standard.Statements {
			shown := len(e[s.Number]) > 0
			switch {
			case known[s.Number]:
				problems = append(problems, s.Number+" is there twice")
			case !shown && s.Reason == "":
				problems = append(problems, fmt.Sprintf("[%s] (%s) is shown by no test and has no reason", s.Number, s.Words))
			case shown && s.Reason != "" && s.Reason != bindsClient:
				problems = append(problems, fmt.Sprintf("[%s] has a reason why no test can show it, and the test %s", s.Number, e[s.Number][0]))
			}
			known[s.Number] = true
		}
	}
	for number, tests := range e {
		if !known[number] {
			problems = append(problems, fmt.Sprintf("there is no statement [%s], named by %s", number, tests[0]))
		}
	}
	slices.Sort(problems)
	return problems
}

// Report writes the table of statements and what shows them, in Markdown.
func Report(standards []Standard, e Evidence) string {
	var b strings.Builder
	b.WriteString(reportHead)
	b.WriteString("\n| standard | statements | bind a server | shown by a test | with a reason |\n|---|---|---|---|---|\n")
	for _, standard := range standards {
		server, shown, reason := 0, 0, 0
		for _, s := range standard.Statements {
			if s.Binds != "client" {
				server++
			}
			if len(e[s.Number]) > 0 {
				shown++
			} else if s.Reason != "" {
				reason++
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", standard.Title, len(standard.Statements), server, shown, reason)
	}
	for _, standard := range standards {
		fmt.Fprintf(&b, "\n## %s\n\n| statement | what it says | shown by |\n|---|---|---|\n", standard.Title)
		for _, s := range standard.Statements {
			by := "*" + s.Reason + "*"
			if tests := e[s.Number]; len(tests) > 0 {
				by = strings.Join(tests, "<br>")
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", s.Number, cell(s.Words), cell(by))
		}
	}
	return b.String()
}

// cell makes text fit for a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

const reportHead = `# Conformance

Every normative statement of MQTT 5, 3.1.1 and 3.1, and the tests that show that the broker keeps it, or the reason why
none can. This file is written by ` + "`go test ./internal/conformance -update`" + `; do not edit it.

- ` + "`area/file.txt: name`" + ` is a scenario, a dialogue as text, in ` + "`internal/conformance/testdata`" + `.
- ` + "`vectors/file.txt`" + ` holds packets in bytes, in ` + "`mqtt/testdata`" + `.
- ` + "`package: TestName`" + ` is a Go test.

Statements of MQTT 5 are named by their number, ` + "`[MQTT-3.3.1-5]`" + `, those of 3.1.1 with the standard before it,
` + "`[MQTT-3.1.1/3.3.1-5]`" + `. MQTT 3.1 has no numbers: ` + "`[MQTT-3.1/3.3-2]`" + ` is the second of ours in its section 3.3.
`
