package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

const rulesPath = "/authorization/sources/built_in_database/rules"

// ruleFields are what a subject is called in JSON, by the kind of subjects.
var ruleFields = map[string]string{"clients": "clientid", "users": "username", "roles": "role", "all": ""}

var ruleCommands = []command{
	{words: "rules list", short: "whose rules there are, of KIND clients, users or roles (in effect with auth.built_in.rules)", operands: []string{"KIND"},
		options: with(option{name: "like", usage: "whose name holds `PART`"}), run: rulesList},
	{words: "rules show", short: "the rules of one of KIND clients, users or roles, or with KIND all of everybody", operands: []string{"KIND", "[NAME]"}, run: rulesShow},
	{words: "rules set", short: "replace rules by a list in JSON, from --file or standard input; they hold at once", operands: []string{"KIND", "[NAME]"},
		options: []option{{name: "file", usage: "`FILE` with the list"}}, done: "the rules are in effect", run: rulesSet},
	{words: "rules delete", short: "remove rules", operands: []string{"KIND", "[NAME]"}, done: "there are no such rules now", run: rulesDelete},
}

// rulesOf returns the path of what KIND and NAME mean.
func rulesOf(c *call, one bool) (path, field string, err error) {
	kind, name := c.operand("KIND"), c.operand("NAME")
	field, known := ruleFields[kind]
	switch {
	case !known || kind == "all" && !one:
		return "", "", &usageError{fmt.Sprintf("%q is none of clients, users, roles", kind)}
	case kind == "all" && name != "":
		return "", "", &usageError{"the rules for all have no NAME"}
	case kind == "all" || !one:
		return rulesPath + "/" + kind, field, nil
	case name == "":
		return "", "", &usageError{"NAME is missing"}
	}
	return rulesPath + "/" + kind + "/" + pathEscape(name), field, nil
}

func rulesList(s *session, c *call) error {
	path, field, err := rulesOf(c, false)
	if err != nil {
		return err
	}
	q := c.query()
	if c.has("like") {
		q.Set("like_"+field, c.text("like"))
	}
	data, err := s.call(http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	listed := *c.command
	listed.columns = []column{{title: "NAME", field: field}, {title: "RULES", field: "rules", show: count}}
	return s.show(&call{command: &listed}, data)
}

func rulesShow(s *session, c *call) error {
	path, _, err := rulesOf(c, true)
	if err != nil {
		return err
	}
	data, err := s.call(http.MethodGet, path, nil, nil)
	if err != nil || s.json {
		return s.printJSONIf(data, err)
	}
	var v struct{ Rules []any }
	if err := decode(data, &v); err != nil {
		return err
	}
	printTable(s.env.Stdout, v.Rules, []column{{title: "PERMISSION", field: "permission"}, {title: "ACTION", field: "action"},
		{title: "TOPIC", field: "topic"}, {title: "TOPICS", field: "topics"}, {title: "QOS", field: "qos"}, {title: "RETAIN", field: "retain"}})
	return nil
}

func rulesSet(s *session, c *call) error {
	path, _, err := rulesOf(c, true)
	if err != nil {
		return err
	}
	in := s.env.Stdin
	if file := c.text("file"); file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 4<<20))
	if err != nil {
		return err
	}
	if !json.Valid(text) {
		return errors.New(`that is no JSON: a list goes there, as [{"permission":"allow","action":"publish","topic":"a/#"}]`)
	}
	method := http.MethodPut
	if c.operand("KIND") == "all" {
		method = http.MethodPost
	}
	data, err := s.call(method, path, nil, map[string]any{"rules": json.RawMessage(text)})
	if err != nil {
		return err
	}
	s.warnUnused("/authorization/sources", "built_in_database", "rules", "auth.built_in.rules")
	return s.show(c, data)
}

func rulesDelete(s *session, c *call) error {
	path, _, err := rulesOf(c, true)
	if err != nil {
		return err
	}
	data, err := s.call(http.MethodDelete, path, nil, nil)
	if err != nil {
		return err
	}
	return s.show(c, data)
}
