package ctl

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// pollTimeout is how long an answer may take that waits for messages, a minute at most.
const pollTimeout = answerTimeout + time.Minute

var consumerColumns = []column{
	{title: "CONSUMER", field: "name"}, {title: "FILTERS", field: "filters"}, {title: "LAG", field: "lag"}, {title: "IN FLIGHT", field: "in_flight"},
	{title: "LEASED", field: "leased"}, {title: "WAITING", field: "waiting"}, {title: "DELIVERED", field: "delivered"}, {title: "AGAIN", field: "redelivered"},
	{title: "DEAD", field: "dead_lettered"}, {title: "PUSHES TO", field: "push.url"}, {title: "OWNER", field: "owner"},
}

// oneConsumer is shown with all that there is of its pushes: a secret that was made up is in it this once.
var oneConsumer = []column{{title: "CONSUMER", field: "name"}, {title: "FILTERS", field: "filters"}, {title: "LAG", field: "lag"}, {title: "IN FLIGHT", field: "in_flight"}}

var consumerOptions = []option{
	{name: "filter", usage: "what waits for it (`FILTER`); may be repeated", kind: list, param: "filters"},
	{name: "start", usage: "where a new one begins: new, earliest, a time or a position (`START`; new by default)", param: "start"},
	{name: "ack-wait-seconds", usage: "after which a message comes again (`N`; 30 by default)", kind: number, param: "ack_wait_seconds"},
	{name: "max-deliver", usage: "how often a message is given out (`N`; 0: until it is acknowledged)", kind: number, param: "max_deliver"},
	{name: "dead-letter", usage: "where it goes then (`TOPIC`)", param: "dead_letter_topic"},
	{name: "idle-expiry-seconds", usage: "it ends when nobody has used it for so long (`N`; 0: never)", kind: number, param: "idle_expiry_seconds"},
	{name: "push-url", usage: "send the messages there, instead of waiting to be asked (`URL`)"},
	{name: "push-header", usage: "sent with each push (`NAME=VALUE`); may be repeated", kind: list},
	{name: "push-secret-file", usage: "`FILE` with what pushes are signed with; without it one is made up and shown once"},
	{name: "push-concurrency", usage: "pushes at a time (`N`; 1, in order, by default)", kind: number},
	{name: "push-timeout-seconds", usage: "how long a push may take (`N`; 10 by default)", kind: number},
}

var consumerCommands = []command{
	{words: "consumers list", short: "durable places in the log that are consumed over HTTP", method: "GET", path: "/consumers", columns: consumerColumns, options: paging},
	{words: "consumers show", short: "one consumer: where it stands, what is in flight", operands: []string{"NAME"}, method: "GET", path: "/consumers/{NAME}", columns: oneConsumer},
	{words: "consumers put", short: "make a consumer, or change what one is told: what is left out is as if new, its place stays", operands: []string{"NAME"},
		path: "/consumers/{NAME}", options: consumerOptions, columns: oneConsumer, run: consumerPut},
	{words: "consumers messages", short: "take messages of a consumer, and wait for the first; until they are acknowledged they come again", operands: []string{"NAME"},
		path: "/consumers/{NAME}/messages", options: []option{
			{name: "max", usage: "at most `N`, 100 by default", kind: number, param: "max"},
			{name: "wait", usage: "for so many seconds (`N`; 30 by default, 60 at most)", kind: number, param: "wait_seconds"},
			{name: "payload", usage: "`HOW` to show it: text, base64 or json (text, or else base64, by default)", param: "payload_encoding"},
		}, columns: []column{{title: "ID", field: "id"}, {title: "DELIVERIES", field: "deliveries"}, {title: "AT", field: "publish_at"}, {title: "TOPIC", field: "topic"},
			{title: "QOS", field: "qos"}, {title: "FROM", field: "from_clientid"}, {title: "PAYLOAD", field: "payload"}}, run: poll},
	{words: "consumers ack", short: "acknowledge messages: they never come again", operands: []string{"NAME", "ID…"}, path: "/consumers/{NAME}/ack",
		columns: []column{{title: "ACKNOWLEDGED", field: "count"}, {title: "UNKNOWN", field: "unknown"}}, run: answerFor},
	{words: "consumers nack", short: "give messages back: they come again", operands: []string{"NAME", "ID…"}, path: "/consumers/{NAME}/nack", options: []option{
		{name: "delay-seconds", usage: "not before so many (`N`; 0 by default)", kind: number, param: "delay_seconds"},
	}, columns: []column{{title: "GIVEN BACK", field: "count"}, {title: "UNKNOWN", field: "unknown"}}, run: answerFor},
	{words: "consumers delete", short: "end a consumer, with all that waits for it", operands: []string{"NAME"}, method: "DELETE", path: "/consumers/{NAME}",
		done: "{NAME} is no consumer"},
}

func consumerPut(s *session, c *call) error {
	body := c.fields()
	push, err := pushOf(c)
	if err != nil {
		return err
	}
	if push != nil {
		body["push"] = push
	}
	data, err := s.call(http.MethodPut, c.fill(c.path, pathEscape), nil, body)
	if err != nil {
		return err
	}
	return s.show(c, data)
}

// pushOf makes what the API is told about pushes; nil: there are to be none.
func pushOf(c *call) (map[string]any, error) {
	push := map[string]any{}
	for option, field := range map[string]string{"push-url": "url", "push-concurrency": "concurrency", "push-timeout-seconds": "timeout_seconds"} {
		if c.has(option) {
			push[field] = c.options[option]
		}
	}
	if given, ok := c.options["push-header"].([]string); ok {
		headers, err := pairs("push-header", given)
		if err != nil {
			return nil, err
		}
		push["headers"] = headers
	}
	if c.has("push-secret-file") {
		secret, err := os.ReadFile(c.text("push-secret-file"))
		if err != nil {
			return nil, fmt.Errorf("--push-secret-file: %w", err)
		}
		push["secret"] = strings.TrimRight(string(secret), "\r\n")
	}
	switch {
	case len(push) == 0:
		return nil, nil
	case !c.has("push-url"):
		return nil, &usageError{"the options of pushes go with --push-url"}
	}
	return push, nil
}

// poll is a request whose answer waits.
func poll(s *session, c *call) error {
	data, err := s.callWithin(pollTimeout, http.MethodGet, c.fill(c.path, pathEscape), c.query(), nil)
	if err != nil {
		return err
	}
	return s.show(c, data)
}

// answerFor says what became of messages.
func answerFor(s *session, c *call) error {
	body := c.fields()
	body["ids"] = c.operands["ID"]
	data, err := s.call(http.MethodPost, c.fill(c.path, pathEscape), nil, body)
	if err != nil {
		return err
	}
	return s.show(c, data)
}
