package ctl

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

var observeCommands = []command{
	{words: "metrics", short: "what was counted since the start; of --prefix, if that is given", path: "/metrics", options: prefixed, run: values},
	{words: "stats", short: "what there is now, and the most there was; of --prefix, if that is given", path: "/stats", options: prefixed, run: values},
	{words: "node", short: "the broker and its machine", method: "GET", path: "/nodes", columns: []column{
		{title: "node", field: "node"}, {title: "version", field: "version"}, {title: "status", field: "node_status"}, {title: "uptime", field: "uptime"},
		{title: "connections", field: "live_connections"}, {title: "memory used", field: "memory_used"}, {title: "memory total", field: "memory_total"},
		{title: "load1", field: "load1"}, {title: "load5", field: "load5"}, {title: "load15", field: "load15"}}},
}

var prefixed = []option{{name: "prefix", usage: "of the names to show (`TEXT`), such as messages."}}

// values shows numbers by their names.
func values(s *session, c *call) error {
	data, err := s.call(http.MethodGet, c.path, url.Values{"aggregate": {"true"}}, nil)
	if err != nil {
		return err
	}
	var all map[string]any
	if err := decode(data, &all); err != nil {
		return err
	}
	maps.DeleteFunc(all, func(name string, _ any) bool { return !strings.HasPrefix(name, c.text("prefix")) })
	if s.json {
		return s.encode(all)
	}
	var rows []any
	for _, name := range slices.Sorted(maps.Keys(all)) {
		rows = append(rows, map[string]any{"name": name, "value": all[name]})
	}
	printTable(s.env.Stdout, rows, []column{{title: "NAME", field: "name"}, {title: "VALUE", field: "value"}})
	if len(rows) == 0 {
		return fmt.Errorf("no name begins with %q", c.text("prefix"))
	}
	return nil
}
