package ctl

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

var statusCommands = []command{
	{words: "status", short: "whether the broker is ready, and how much there is of everything", run: status},
	{words: "audit", short: "who changed what, newest first", method: "GET", path: "/audit", options: paging, columns: []column{
		{title: "AT", field: "created_at"}, {title: "WHO", field: "source"}, {title: "FROM", field: "source_ip"},
		{title: "DID", field: "http_method"}, {title: "WHAT", field: "http_path"}, {title: "RESULT", field: "operation_result"}, {title: "WHY", field: "failure"}}},
	{words: "alarms list", short: "what is wrong with the broker now", method: "GET", path: "/alarms", options: with(
		option{name: "past", usage: "what was wrong and is over", kind: yes, param: "activated", value: "false"}), columns: []column{
		{title: "ALARM", field: "name"}, {title: "SINCE", field: "activate_at"}, {title: "UNTIL", field: "deactivate_at"}, {title: "MESSAGE", field: "message"}}},
	{words: "alarms forget", short: "forget the alarms that are over", method: "DELETE", path: "/alarms", done: "the alarms that were over are forgotten"},
}

// counted are the lists whose lengths the status shows.
var counted = []struct {
	name, path string
	query      url.Values
}{
	{"sessions", "/clients", nil},
	{"connected", "/clients", url.Values{"conn_state": {"connected"}}},
	{"subscriptions", "/subscriptions", nil},
	{"shared groups", "/groups", nil},
	{"retained messages", "/mqtt/retainer/messages", nil},
	{"bans", "/banned", nil},
	{"alarms", "/alarms", url.Values{"activated": {"true"}}},
}

func status(s *session, _ *call) error {
	state := "ready"
	_, err := s.call(http.MethodGet, "//readyz", nil, nil)
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusServiceUnavailable {
		state = "not ready"
	} else if err != nil {
		return err
	}
	out := map[string]any{"state": state}
	columns := []column{{title: "state", field: "state"}}
	for _, c := range counted {
		q := url.Values{"limit": {"1"}}
		for k, v := range c.query {
			q[k] = v
		}
		var page struct{ Meta struct{ Count float64 } }
		if err := s.get(c.path, q, &page); err != nil {
			return err
		}
		name := strings.ReplaceAll(c.name, " ", "_")
		out[name] = page.Meta.Count
		columns = append(columns, column{title: c.name, field: name})
	}
	var listeners []any
	if err := s.get("/listeners", nil, &listeners); err != nil {
		return err
	}
	out["listeners"] = listeners
	columns = append(columns, column{title: "listeners", field: "listeners", show: listenersShort})
	if s.json {
		return s.encode(out)
	}
	printObject(s.env.Stdout, out, columns)
	return nil
}

func listenersShort(v any) string {
	var parts []string
	list, _ := v.([]any)
	for _, l := range list {
		text := fmt.Sprintf("%s %s", format(at(l, "id")), format(at(l, "bind")))
		if at(l, "status.running") == false {
			text += " (stopped)"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}
