package ctl

import (
	"fmt"
	"net/http"
)

var storyColumns = []column{
	{title: "PUBLISHED", field: "publish_at"}, {title: "ID", field: "id"}, {title: "TOPIC", field: "topic"}, {title: "FROM", field: "from_clientid"},
	{title: "QOS", field: "qos"}, {title: "BYTES", field: "payload_bytes"}, {title: "WHAT HAPPENED", field: "summary"},
}

var eventColumns = []column{
	{title: "AT", field: "at"}, {title: "EVENT", field: "event"}, {title: "CLIENTID", field: "clientid"}, {title: "REASON", field: "reason"},
	{title: "TOPIC", field: "topic"}, {title: "MESSAGE", field: "id"}, {title: "COUNT", field: "count"}, {title: "WHY", field: "why"},
}

var explainCommands = []command{
	{words: "explain", short: "would a client get a message on a topic now, and why", operands: []string{"CLIENTID", "TOPIC"},
		options: []option{
			{name: "qos", usage: "of the message (`N`, 1 by default)", kind: number, param: "qos"},
			{name: "retain", usage: "the message is retained", kind: yes, param: "retain"},
			{name: "username", usage: "as whom the client connects, where it is away (`NAME`)", param: "username"},
			{name: "from", usage: "client id of the publisher (`CLIENTID`)", param: "from_clientid"},
			{name: "from-username", usage: "as whom the publisher connects, where it is away (`NAME`)", param: "from_username"},
		}, run: explain},
	{words: "explain messages", short: "messages that something happened to lately, such as a drop", method: "GET", path: "/explain/messages", columns: storyColumns,
		options: with(
			option{name: "client", usage: "who published it, or was to get it (`CLIENTID`)", param: "clientid"},
			option{name: "topic", usage: "that match this `FILTER`", param: "topic"},
			option{name: "since", usage: "from a `TIME` on", param: "since"},
		)},
	{words: "explain message", short: "what happened to one message, in order", operands: []string{"ID"}, path: "/explain/messages/{ID}", run: explainMessage},
	{words: "explain events", short: "drops, refusals and ends of connections, newest first", method: "GET", path: "/explain/events", columns: eventColumns,
		options: with(
			option{name: "client", usage: "whom it is about, or who published (`CLIENTID`)", param: "clientid"},
			option{name: "topic", usage: "that match this `FILTER`", param: "topic"},
			option{name: "reason", usage: "`REASON` of a drop, such as queue_full, or kind of the event", param: "reason"},
			option{name: "since", usage: "from a `TIME` on", param: "since"},
		)},
}

// explain shows the verdict first, and then what was asked in order.
func explain(s *session, c *call) error {
	q := c.query()
	q.Set("clientid", c.operand("CLIENTID"))
	q.Set("topic", c.operand("TOPIC"))
	data, err := s.call(http.MethodGet, "/explain", q, nil)
	if err != nil || s.json {
		return s.printJSONIf(data, err)
	}
	var e struct {
		Verdict string
		Steps   []any
	}
	if err := decode(data, &e); err != nil {
		return err
	}
	fmt.Fprintf(s.env.Stdout, "%s\n\n", clean(e.Verdict))
	printTable(s.env.Stdout, e.Steps, []column{{title: "STEP", field: "step"}, {title: "OK", field: "ok"}, {title: "EFFECT", field: "effect"},
		{title: "WHAT", field: "what"}, {title: "WHY", field: "why"}})
	return nil
}

// explainMessage shows in a sentence what happened to a message, and then each event.
func explainMessage(s *session, c *call) error {
	data, err := s.call(http.MethodGet, c.fill(c.path, pathEscape), nil, nil)
	if err != nil || s.json {
		return s.printJSONIf(data, err)
	}
	var story struct {
		Topic, Summary string
		Events         []any
	}
	if err := decode(data, &story); err != nil {
		return err
	}
	fmt.Fprintf(s.env.Stdout, "%s: %s\n\n", clean(story.Topic), clean(story.Summary))
	printTable(s.env.Stdout, story.Events, eventColumns)
	return nil
}
