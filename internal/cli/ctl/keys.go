package ctl

import (
	"fmt"
	"net/http"
	"time"
)

var keyColumns = []column{
	{title: "NAME", field: "name"}, {title: "KEY", field: "api_key"}, {title: "ROLE", field: "role"}, {title: "ENABLED", field: "enable"},
	{title: "EXPIRES", field: "expired_at"}, {title: "CREATED", field: "created_at"}, {title: "DESCRIPTION", field: "desc"},
}

var keyCommands = []command{
	{words: "keys list", short: "API keys, for programs", method: "GET", path: "/api_key", columns: keyColumns},
	{words: "keys create", short: "make an API key, and print key:secret, which is shown this once", operands: []string{"NAME"}, options: []option{
		{name: "role", usage: "`ROLE`: administrator, viewer, publisher or client (viewer by default)", param: "role"},
		{name: "desc", usage: "what it is for (`TEXT`)", param: "desc"},
		{name: "for", usage: "how long it is good, as 720h (`TIME`); for good by default"},
		{name: "publish", usage: "role client: a `FILTER` that it may publish to; may be repeated", kind: list},
		{name: "consume", usage: "role client: a `FILTER` that it may consume; may be repeated", kind: list},
	}, run: keyCreate},
	{words: "keys disable", short: "refuse a key for now", operands: []string{"NAME"}, run: keyEnable(false), columns: keyColumns, path: "/api_key/{NAME}"},
	{words: "keys enable", short: "take a key again", operands: []string{"NAME"}, run: keyEnable(true), columns: keyColumns, path: "/api_key/{NAME}"},
	{words: "keys delete", short: "remove a key", operands: []string{"NAME"}, method: "DELETE", path: "/api_key/{NAME}", done: "{NAME} is no key"},
}

func keyCreate(s *session, c *call) error {
	body := c.fields()
	body["name"] = c.operand("NAME")
	if !c.has("role") {
		body["role"] = "viewer"
	}
	if c.has("for") {
		d, err := time.ParseDuration(c.text("for"))
		if err != nil || d < time.Second {
			return &usageError{"--for takes a time such as 720h"}
		}
		body["expired_at"] = time.Now().Add(d).UTC().Format(time.RFC3339)
	}
	topics := map[string]any{}
	for _, name := range []string{"publish", "consume"} {
		if c.has(name) {
			topics[name] = c.options[name]
		}
	}
	if len(topics) > 0 {
		body["topics"] = topics
	}
	data, err := s.call(http.MethodPost, "/api_key", nil, body)
	if err != nil || s.json {
		return s.printJSONIf(data, err)
	}
	var k struct {
		Key    string `json:"api_key"`
		Secret string `json:"api_secret"`
	}
	if err := decode(data, &k); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.env.Stdout, "%s:%s\n", k.Key, k.Secret)
	return err
}

func keyEnable(on bool) func(*session, *call) error {
	return func(s *session, c *call) error {
		data, err := s.call(http.MethodPut, c.fill(c.path, pathEscape), nil, map[string]any{"enable": on})
		if err != nil {
			return err
		}
		return s.show(c, data)
	}
}
