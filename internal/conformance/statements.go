package conformance

import (
	"embed"
	"fmt"
	"strings"
)

// Statement is one normative statement of a standard.
type Statement struct {
	Number string // "MQTT-3.3.1-5"
	Level  string // must, must not, should, may
	Binds  string // server, client, both
	Words  string // what it says, in a few words of ours
	Reason string // why no test can show it; "" where one can
}

// Standard is a standard with its statements.
type Standard struct {
	Title      string
	Statements []Statement
}

//go:embed mqtt5.tsv mqtt311.tsv mqtt31.tsv
var tables embed.FS

// Standards returns the statements of all standards.
func Standards() ([]Standard, error) {
	all := []Standard{{Title: "MQTT 5"}, {Title: "MQTT 3.1.1"}, {Title: "MQTT 3.1"}}
	for i, file := range []string{"mqtt5.tsv", "mqtt311.tsv", "mqtt31.tsv"} {
		text, err := tables.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if all[i].Statements, err = parseStatements(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return all, nil
}

func parseStatements(text string) ([]Statement, error) {
	var all []Statement
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := append(strings.Split(line, "\t"), "")
		if len(f) < 5 || len(f) > 6 {
			return nil, fmt.Errorf("line %d has %d fields", i+1, len(f)-1)
		}
		s := Statement{Number: f[0], Level: f[1], Binds: f[2], Words: f[3], Reason: f[4]}
		if s.Reason == "" && s.Binds == "client" {
			s.Reason = bindsClient
		}
		all = append(all, s)
	}
	return all, nil
}

// bindsClient is the reason for a statement about clients. Some can be shown all the same, by what the server answers.
const bindsClient = "binds the client"
