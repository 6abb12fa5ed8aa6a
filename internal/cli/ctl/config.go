package ctl

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

var configColumns = []column{
	{title: "KEY", field: "key"}, {title: "VALUE", field: "value", show: settingCell},
	{title: "SOURCE", field: "source"}, {title: "LIVE", field: "changeable"},
}

var keepOptions = []option{{name: "persist", usage: "keep it over restarts, in data_dir/overrides.yaml", kind: yes}}

var configCommands = []command{
	{words: "config list", short: "the configuration in effect, and where each value comes from; LIVE: it can change while the broker runs", operands: []string{"[PREFIX]"},
		options: []option{{name: "changed", usage: "only what is not the built-in default", kind: yes}}, columns: configColumns, run: configList},
	{words: "config get", short: "the value of one key", operands: []string{"KEY"}, columns: configColumns, run: configGet},
	{words: "config set", short: "change keys while the broker runs, all or none, until its restart", operands: []string{"KEY=VALUE…"}, options: keepOptions, run: configSet},
	{words: "config reset", short: "take back what was set of keys, and what was kept", operands: []string{"KEY…"}, run: configReset},
}

// setting says a value as `config set` takes it.
func setting(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = fmt.Sprint(v[i])
		}
		return strings.Join(parts, ",")
	case bool:
		return strconv.FormatBool(v)
	}
	return format(v)
}

func settingCell(v any) string { return cmp.Or(setting(v), "-") }

// settings asks for the keys that begin with a prefix.
func (s *session) settings(prefix string) ([]any, error) {
	q := url.Values{}
	if prefix != "" {
		q.Set("prefix", prefix)
	}
	var answer struct{ Data []any }
	if err := s.get("/config", q, &answer); err != nil {
		return nil, err
	}
	return answer.Data, nil
}

func configList(s *session, c *call) error {
	all, err := s.settings(c.operand("PREFIX"))
	if err != nil {
		return err
	}
	rows := []any{}
	for _, one := range all {
		if c.options["changed"] != true || at(one, "source") != "default" {
			rows = append(rows, one)
		}
	}
	if s.json {
		return s.encode(map[string]any{"data": rows})
	}
	printTable(s.env.Stdout, rows, c.columns)
	return nil
}

// configGet prints a value alone, for people and scripts.
func configGet(s *session, c *call) error {
	key := c.operand("KEY")
	all, err := s.settings(key)
	if err != nil {
		return err
	}
	for _, one := range all {
		if at(one, "key") != key {
			continue
		}
		if s.json {
			return s.encode(one)
		}
		_, err := fmt.Fprintln(s.env.Stdout, clean(setting(at(one, "value"))))
		return err
	}
	text := fmt.Sprintf("there is no key %q: `barid ctl config list` shows all", key)
	if len(all) > 0 {
		text = fmt.Sprintf("%q is no key but the beginning of %d: `barid ctl config list %s` shows them", key, len(all), key)
	}
	return &problem{Status: http.StatusNotFound, Message: text}
}

func configSet(s *session, c *call) error {
	values, err := pairs("", c.operands["KEY=VALUE"])
	if err != nil {
		return err
	}
	body := make(map[string]any, len(values))
	for key, value := range values {
		body[key] = value
	}
	what := "changed until the restart; --persist keeps it"
	if c.options["persist"] == true {
		what = "changed for good"
	}
	return s.changeConfig(body, c.options["persist"] == true, what)
}

func configReset(s *session, c *call) error {
	body := map[string]any{}
	for _, key := range c.operands["KEY"] {
		body[key] = nil
	}
	return s.changeConfig(body, false, "as it was configured")
}

// changeConfig sends a change, and says what it has changed.
func (s *session) changeConfig(body map[string]any, persist bool, what string) error {
	q := url.Values{}
	if persist {
		q.Set("persist", "true")
	}
	data, err := s.call(http.MethodPut, "/config", q, body)
	if err != nil || s.json {
		return s.printJSONIf(data, err)
	}
	var answer struct{ Changed []string }
	if err := decode(data, &answer); err != nil {
		return err
	}
	for _, key := range answer.Changed {
		fmt.Fprintf(s.env.Stdout, "%s: %s\n", clean(key), what)
	}
	switch {
	case len(answer.Changed) > 0:
	case persist:
		fmt.Fprintln(s.env.Stdout, "kept; the values in effect are the same already")
	default:
		fmt.Fprintln(s.env.Stdout, "the values in effect are the same already")
	}
	return nil
}
