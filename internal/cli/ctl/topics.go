package ctl

import (
	"encoding/base64"
	"fmt"
	"net/http"
)

var retainedColumns = []column{
	{title: "TOPIC", field: "topic"}, {title: "QOS", field: "qos"}, {title: "BYTES", field: "payload_size"},
	{title: "PUBLISHED", field: "publish_at"}, {title: "FROM", field: "from_clientid"}, {title: "USERNAME", field: "from_username"},
}

var topicCommands = []command{
	{words: "subscriptions", short: "the subscriptions of all clients", method: "GET", path: "/subscriptions", columns: subscriptionColumns, options: with(
		option{name: "client", usage: "of this client (`CLIENTID`)", param: "clientid"},
		option{name: "filter", usage: "with exactly this `FILTER`", param: "topic"},
		option{name: "match", usage: "whose filters match a `TOPIC`", param: "match_topic"},
		option{name: "group", usage: "of this shared group (`NAME`)", param: "share_group"},
		option{name: "qos", usage: "with this QoS (`N`)", kind: number, param: "qos"})},
	{words: "topics", short: "the filters that are subscribed to, each once", method: "GET", path: "/topics", options: paging,
		columns: []column{{title: "FILTER", field: "topic"}}},
	{words: "retained list", short: "retained messages", operands: []string{"[FILTER]"}, method: "GET", path: "/mqtt/retainer/messages", options: paging,
		columns: retainedColumns, run: retained},
	{words: "retained get", short: "the payload of a retained message, as it is", operands: []string{"TOPIC"}, run: retainedGet},
	{words: "retained delete", short: "forget the retained message of a topic; subscribers are not told", operands: []string{"TOPIC"}, method: "DELETE",
		path: "/mqtt/retainer/message/{TOPIC}", done: "{TOPIC}: nothing is retained there now"},
	{words: "retained clear", short: "forget every retained message", options: []option{{name: "yes", usage: "do it", kind: yes}}, run: retainedClear},
}

func retained(s *session, c *call) error {
	q := c.query()
	if f := c.operand("FILTER"); f != "" {
		q.Set("topic", f)
	}
	data, err := s.call(http.MethodGet, c.path, q, nil)
	if err != nil {
		return err
	}
	return s.show(c, data)
}

func retainedGet(s *session, c *call) error {
	data, err := s.call(http.MethodGet, "/mqtt/retainer/message/"+pathEscape(c.operand("TOPIC")), nil, nil)
	if err != nil || s.json {
		return s.printJSONIf(data, err)
	}
	var m struct{ Payload string }
	if err := decode(data, &m); err != nil {
		return err
	}
	payload, err := base64.StdEncoding.DecodeString(m.Payload)
	if err != nil {
		return fmt.Errorf("the payload is no base64: %w", err)
	}
	_, err = s.env.Stdout.Write(payload)
	return err
}

func retainedClear(s *session, c *call) error {
	if !c.has("yes") {
		return &usageError{"this forgets every retained message: say so with --yes"}
	}
	_, err := s.call(http.MethodDelete, "/mqtt/retainer/messages", nil, nil)
	if err == nil && !s.json {
		fmt.Fprintln(s.env.Stdout, "nothing is retained now")
	}
	return err
}
