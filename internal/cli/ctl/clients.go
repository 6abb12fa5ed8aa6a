package ctl

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
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

var pendingColumns = []column{
	{title: "TOPIC", field: "topic"}, {title: "QOS", field: "qos"}, {title: "FROM", field: "from_clientid"}, {title: "PUBLISHED", field: "publish_at", show: milliseconds},
	{title: "PAYLOAD", field: "payload"},
}

var pendingOptions = []option{
	{name: "limit", usage: "at most `N`, 100 by default", kind: number, param: "limit"},
	{name: "position", usage: "where an answer in --json ended (`POSITION`)", param: "position"},
	{name: "payload", usage: "`HOW` to show it: none, base64 or plain (base64 by default)", param: "payload"},
}

// milliseconds says a time in milliseconds since 1970.
func milliseconds(v any) string {
	n, _ := v.(float64)
	return time.UnixMilli(int64(n)).Format("2006-01-02 15:04:05")
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
	{words: "clients subscribe", short: "subscribe a connected client, under its own rules", operands: []string{"CLIENTID", "FILTER"}, options: []option{
		{name: "qos", usage: "0, 1 or 2 (`N`; 0 by default)", kind: number, param: "qos"},
	}, columns: subscriptionColumns, run: subscribe},
	{words: "clients unsubscribe", short: "end a subscription of a connected client", operands: []string{"CLIENTID", "FILTER"}, run: subscribe,
		done: "{CLIENTID} is not subscribed to {FILTER}"},
	{words: "clients queue", short: "what waits for a client", operands: []string{"CLIENTID"}, method: "GET", path: "/clients/{CLIENTID}/mqueue_messages",
		options: pendingOptions, columns: pendingColumns},
	{words: "clients inflight", short: "what was sent to a client and is not acknowledged", operands: []string{"CLIENTID"}, method: "GET",
		path: "/clients/{CLIENTID}/inflight_messages", options: pendingOptions, columns: append([]column{{title: "ID", field: "packet_id"}}, pendingColumns...)},
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

// subscribe sends the last word of the command to the client's path.
func subscribe(s *session, c *call) error {
	_, verb, _ := strings.Cut(c.words, " ")
	body := c.fields()
	body["topic"] = c.operand("FILTER")
	data, err := s.call(http.MethodPost, "/clients/"+pathEscape(c.operand("CLIENTID"))+"/"+verb, nil, body)
	if err != nil {
		return err
	}
	return s.show(c, data)
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
