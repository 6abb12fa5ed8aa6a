package ctl

import (
	"errors"
	"fmt"
	"net/http"
)

var clientColumns = []column{
	{title: "CLIENTID", field: "clientid"}, {title: "USERNAME", field: "username"}, {title: "CONNECTED", field: "connected"},
	{title: "ADDRESS", field: "ip_address"}, {title: "VERSION", field: "proto_ver", show: version}, {title: "SUBS", field: "subscriptions_cnt"},
	{title: "INFLIGHT", field: "inflight_cnt"}, {title: "QUEUED", field: "mqueue_len"}, {title: "EXPIRY", field: "expiry_interval", show: seconds},
	{title: "SINCE", field: "created_at"},
}

var subscriptionColumns = []column{
	{title: "CLIENTID", field: "clientid"}, {title: "FILTER", field: "topic"}, {title: "QOS", field: "qos"},
	{title: "NO LOCAL", field: "nl"}, {title: "RAP", field: "rap"}, {title: "RH", field: "rh"}, {title: "DURABLE", field: "durable"},
}

var clientCommands = []command{
	{words: "clients list", short: "sessions, connected or not", method: "GET", path: "/clients", columns: clientColumns, options: with(
		option{name: "like", usage: "whose client id holds `PART`", param: "like_clientid"},
		option{name: "username", usage: "of this user (`NAME`)", param: "username"},
		option{name: "ip", usage: "from this address (`IP`)", param: "ip_address"},
		option{name: "connected", usage: "only those with a connection", kind: yes, param: "conn_state", value: "connected"},
		option{name: "away", usage: "only those without one", kind: yes, param: "conn_state", value: "disconnected"})},
	{words: "clients show", short: "one session", operands: []string{"CLIENTID"}, method: "GET", path: "/clients/{CLIENTID}", columns: clientColumns},
	{words: "clients subscriptions", short: "what a client is subscribed to", operands: []string{"CLIENTID"}, method: "GET",
		path: "/clients/{CLIENTID}/subscriptions", columns: subscriptionColumns[1:]},
	{words: "clients kick", short: "end sessions and their connections; they may come again: ban them to keep them out", operands: []string{"CLIENTID…"}, run: kick},
}

func version(v any) string {
	switch v {
	case 3.0:
		return "3.1"
	case 4.0:
		return "3.1.1"
	case 5.0:
		return "5.0"
	}
	return format(v)
}

// kick ends sessions, and goes on where one is not there.
func kick(s *session, c *call) error {
	var missing error
	for _, id := range c.operands["CLIENTID"] {
		_, err := s.call(http.MethodDelete, "/clients/"+pathEscape(id), nil, nil)
		var p *problem
		switch {
		case errors.As(err, &p) && p.Status == http.StatusNotFound:
			missing = err
			fmt.Fprintln(s.env.Stderr, clean(p.Message))
		case err != nil:
			return err
		case !s.json:
			fmt.Fprintf(s.env.Stdout, "%s: its session is over\n", clean(id))
		}
	}
	return missing
}
