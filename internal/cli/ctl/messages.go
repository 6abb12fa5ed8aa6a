package ctl

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// maxPayload bounds what is read to be published: the API takes bodies of 4 MiB.
const maxPayload = 3 << 20

var messageCommands = []command{
	{words: "publish", short: "publish a message; it is done when the message is stored for whom it matters", operands: []string{"TOPIC"}, options: []option{
		{name: "m", usage: "the payload (`TEXT`)"},
		{name: "f", usage: "a `FILE` with the payload; -: standard input"},
		{name: "qos", usage: "0, 1 or 2 (`N`; 0 by default)", kind: number, param: "qos"},
		{name: "retain", usage: "keep it as the topic's retained message", kind: yes, param: "retain"},
		{name: "clientid", usage: "who it is said to be from (`CLIENTID`)", param: "clientid"},
		{name: "expiry", usage: "seconds after which it is worth nothing (`N`)", kind: number},
		{name: "content-type", usage: "its content type (`TYPE`)"},
		{name: "response-topic", usage: "where answers go (`TOPIC`)"},
		{name: "user", usage: "a user property (`NAME=VALUE`); may be repeated", kind: list},
	}, run: publish},
}

func publish(s *session, c *call) error {
	payload, err := payloadOf(s, c)
	if err != nil {
		return err
	}
	body := c.fields()
	body["topic"] = c.operand("TOPIC")
	body["payload"], body["payload_encoding"] = base64.StdEncoding.EncodeToString(payload), "base64"
	properties := map[string]any{}
	for option, field := range map[string]string{"expiry": "message_expiry_interval", "content-type": "content_type", "response-topic": "response_topic"} {
		if c.has(option) {
			properties[field] = c.options[option]
		}
	}
	if c.has("user") {
		if properties["user_properties"], err = pairs("user", c.options["user"].([]string)); err != nil {
			return err
		}
	}
	if len(properties) > 0 {
		body["properties"] = properties
	}
	data, err := s.call(http.MethodPost, "/publish", nil, body)
	if err != nil || s.json {
		return s.printJSONIf(data, err)
	}
	var out struct{ ID, Message string }
	if err := decode(data, &out); err != nil {
		return err
	}
	if out.Message == "no_matching_subscribers" {
		fmt.Fprintln(s.env.Stdout, "published; nobody subscribes to that topic")
		return nil
	}
	fmt.Fprintln(s.env.Stdout, "published")
	return nil
}

func payloadOf(s *session, c *call) ([]byte, error) {
	switch file := c.text("f"); {
	case c.has("m") && c.has("f"):
		return nil, &usageError{"-m and -f exclude each other"}
	case file == "-":
		return readBounded(s.env.Stdin)
	case c.has("f"):
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readBounded(f)
	}
	return []byte(c.text("m")), nil
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPayload+1))
	if err == nil && len(data) > maxPayload {
		err = errors.New("the payload is larger than 3 MiB: publish it by MQTT")
	}
	return data, err
}

// pairs reads NAME=VALUE, each of a name of its own; option is where they were given, or empty for operands.
func pairs(option string, given []string) (map[string]string, error) {
	if option != "" {
		option = "--" + option + ": "
	}
	values := make(map[string]string, len(given))
	for _, p := range given {
		name, value, ok := strings.Cut(p, "=")
		if _, twice := values[name]; !ok || twice {
			return nil, &usageError{fmt.Sprintf("%s%q is no NAME=VALUE with a name of its own", option, p)}
		}
		values[name] = value
	}
	return values, nil
}
