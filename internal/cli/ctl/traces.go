package ctl

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"
)

var traceColumns = []column{
	{title: "TRACE", field: "name"}, {title: "OF", field: "type"}, {title: "CLIENTID", field: "clientid"}, {title: "TOPIC", field: "topic"},
	{title: "ADDRESS", field: "ip_address"}, {title: "STATUS", field: "status"}, {title: "FROM", field: "start_at"}, {title: "UNTIL", field: "end_at"},
	{title: "BYTES", field: "log_size", show: total}, {title: "LOST", field: "lost"}, {title: "FULL", field: "full"},
}

var traceCommands = []command{
	{words: "traces list", short: "traces of clients, topics or addresses to a file", method: "GET", path: "/trace", columns: traceColumns},
	{words: "traces start", short: "trace one of --client, --topic and --ip, for ten minutes if --for does not say otherwise", operands: []string{"NAME"}, options: []option{
		{name: "client", usage: "this client (`CLIENTID`)", param: "clientid"},
		{name: "topic", usage: "what this `FILTER` matches", param: "topic"},
		{name: "ip", usage: "clients from this address (`IP`)", param: "ip_address"},
		{name: "for", usage: "how long, as 30m; a day at most (`TIME`)"},
		{name: "payload", usage: "`HOW` to log payloads: hidden, text or hex (hidden by default)", param: "payload_encode"},
		{name: "format", usage: "of the log's lines (`FORMAT`): text or json (text by default)", param: "formatter"},
	}, columns: traceColumns, run: traceStart},
	{words: "traces stop", short: "end a trace; its log stays", operands: []string{"NAME"}, path: "/trace/{NAME}/stop", done: "{NAME} has ended", run: traceStop},
	{words: "traces log", short: "print the log of a trace, as far as it is", operands: []string{"NAME"}, path: "/trace/{NAME}/log", run: traceLog},
	{words: "traces follow", short: "print the log of a trace, and what is added to it until it ends", operands: []string{"NAME"}, path: "/trace/{NAME}/log", run: traceFollow},
	{words: "traces download", short: "the log of a trace in a ZIP archive", operands: []string{"NAME"}, path: "/trace/{NAME}/download", options: []option{
		{name: "file", usage: "where to, a `FILE` that is not there yet, or - for standard output (NAME.zip by default)"},
	}, run: traceDownload},
	{words: "traces delete", short: "end a trace and remove its log", operands: []string{"NAME"}, method: "DELETE", path: "/trace/{NAME}", done: "{NAME} is no trace"},
}

// total adds up what each node has.
func total(v any) string {
	sum := 0.0
	nodes, _ := v.(map[string]any)
	for _, n := range nodes {
		n, _ := n.(float64)
		sum += n
	}
	return strconv.FormatFloat(sum, 'f', -1, 64)
}

func traceStart(s *session, c *call) error {
	body := c.fields()
	body["name"] = c.operand("NAME")
	kinds := 0
	for _, kind := range []string{"clientid", "topic", "ip_address"} {
		if _, given := body[kind]; given {
			body["type"] = kind
			kinds++
		}
	}
	if kinds != 1 {
		return &usageError{"give one of --client, --topic and --ip"}
	}
	if c.has("for") {
		d, err := time.ParseDuration(c.text("for"))
		if err != nil || d < time.Second {
			return &usageError{"--for takes a time such as 30m"}
		}
		body["end_at"] = time.Now().Add(d).UTC().Format(time.RFC3339)
	}
	data, err := s.call(http.MethodPost, "/trace", nil, body)
	if err != nil {
		return err
	}
	return s.show(c, data)
}

func traceStop(s *session, c *call) error {
	data, err := s.call(http.MethodPut, c.fill(c.path, pathEscape), nil, nil)
	if err != nil || s.json {
		return s.printJSONIf(data, err)
	}
	return s.show(c, nil)
}

// traceDownload writes the archive to a file, which it takes nobody's place for.
func traceDownload(s *session, c *call) error {
	name := c.text("file")
	if name == "" {
		name = c.operand("NAME") + ".zip"
	}
	data, err := s.call(http.MethodGet, c.fill(c.path, pathEscape), nil, nil)
	if err != nil {
		return err
	}
	if len(data) == maxAnswer {
		return errors.New("the archive is larger than 256 MiB: download it with curl")
	}
	if name == "-" {
		_, err := s.env.Stdout.Write(data)
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !s.json {
		fmt.Fprintf(s.env.Stdout, "%s: %d bytes\n", clean(name), len(data))
	}
	return nil
}
