package ctl

import (
	"net/http"
	"strings"
)

var listenerColumns = []column{
	{title: "LISTENER", field: "id"}, {title: "ADDRESS", field: "bind"}, {title: "RUNNING", field: "status.running"},
	{title: "CONNECTIONS", field: "status.current_connections"}, {title: "MOST", field: "status.max_connections"},
}

var groupCommands = []command{
	{words: "groups", short: "the groups of shared subscriptions, with members and lag", method: "GET", path: "/groups", options: with(
		option{name: "name", usage: "of this `NAME`", param: "name"},
		option{name: "filter", usage: "with this `FILTER`", param: "filter"}), columns: []column{
		{title: "GROUP", field: "name"}, {title: "FILTER", field: "filter"}, {title: "STRATEGY", field: "strategy"}, {title: "DURABLE", field: "durable"},
		{title: "LAG", field: "lag"}, {title: "MEMBERS (IN FLIGHT)", field: "members", show: members}}},
}

func members(v any) string {
	var parts []string
	list, _ := v.([]any)
	for _, m := range list {
		text := format(at(m, "clientid")) + " (" + format(at(m, "inflight")) + ")"
		if at(m, "connected") == false {
			text += " away"
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

var listenerCommands = []command{
	{words: "listeners list", short: "where clients connect", method: "GET", path: "/listeners", columns: listenerColumns},
	{words: "listeners show", short: "one listener; its name will do", operands: []string{"LISTENER"}, method: "GET", columns: listenerColumns, run: onListener},
	{words: "listeners start", short: "open a listener that was stopped", operands: []string{"LISTENER"}, method: "POST", path: "/start",
		done: "{LISTENER} is open", run: onListener},
	{words: "listeners stop", short: "close a listener and its connections, until it or the broker is started; sessions stay", operands: []string{"LISTENER"},
		method: "POST", path: "/stop", done: "{LISTENER} is closed", run: onListener},
	{words: "listeners restart", short: "open a listener's socket anew; connections go on", operands: []string{"LISTENER"}, method: "POST", path: "/restart",
		done: "{LISTENER} is open", run: onListener},
}

// onListener sends a request about a listener, whose type is found where only its name is given.
func onListener(s *session, c *call) error {
	id := c.operand("LISTENER")
	if !strings.Contains(id, ":") {
		var all []struct{ ID, Name string }
		if err := s.get("/listeners", nil, &all); err != nil {
			return err
		}
		for _, l := range all {
			if l.Name == id {
				id = l.ID
			}
		}
	}
	data, err := s.call(c.method, "/listeners/"+pathEscape(id)+c.path, nil, nil)
	if err != nil {
		return err
	}
	if c.method == http.MethodPost { // EMQX's answer is an empty 200
		data = nil
	}
	return s.show(c, data)
}
