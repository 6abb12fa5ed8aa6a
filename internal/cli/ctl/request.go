package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// request makes the request that a command declares, and shows the answer.
func (s *session) request(c *call) error {
	var query url.Values
	var body any
	if c.method == http.MethodGet || c.method == http.MethodDelete {
		query = c.query()
	} else if fields := c.fields(); len(fields) > 0 || c.columns != nil {
		body = fields
	}
	data, err := s.call(c.method, c.fill(c.path, pathEscape), query, body)
	if err != nil {
		return err
	}
	return s.show(c, data)
}

// fill puts operands into a text.
func (c *call) fill(template string, escape func(string) string) string {
	for name, values := range c.operands {
		template = strings.ReplaceAll(template, "{"+name+"}", escape(values[0]))
	}
	return template
}

// query makes parameters of the options, and of operands that are not in the path.
func (c *call) query() url.Values {
	q := url.Values{}
	for _, o := range c.command.options {
		v, given := c.options[o.name]
		if !given || o.param == "" {
			continue
		}
		switch v := v.(type) {
		case []string:
			q[o.param] = append(q[o.param], v...)
		case bool:
			if o.value != "" && v {
				q.Set(o.param, o.value)
			} else if o.value == "" {
				q.Set(o.param, fmt.Sprint(v))
			}
		default:
			q.Set(o.param, fmt.Sprint(v))
		}
	}
	return q
}

// fields makes a body of the options.
func (c *call) fields() map[string]any {
	f := map[string]any{}
	for _, o := range c.command.options {
		v, given := c.options[o.name]
		if !given || o.param == "" {
			continue
		}
		if on, isBool := v.(bool); isBool && o.value != "" {
			if on {
				f[o.param] = o.value
			}
			continue
		}
		f[o.param] = v
	}
	return f
}

// show prints an answer: as it is, as a table, or as a sentence.
func (s *session) show(c *call, data []byte) error {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		if !s.json && c.done != "" {
			fmt.Fprintln(s.env.Stdout, clean(c.fill(c.done, func(v string) string { return v })))
		}
		return nil
	case s.json:
		return s.printJSON(data)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	object, _ := v.(map[string]any)
	rows, isList := v.([]any)
	if page, ok := object["data"].([]any); ok {
		rows, isList = page, true
	}
	if !isList {
		printObject(s.env.Stdout, object, c.columns)
		return nil
	}
	printTable(s.env.Stdout, rows, c.columns)
	s.sayMore(object, len(rows))
	return nil
}

// sayMore tells people that a page is not all.
func (s *session) sayMore(object map[string]any, shown int) {
	meta, _ := object["meta"].(map[string]any)
	if more, _ := meta["hasnext"].(bool); more {
		fmt.Fprintf(s.env.Stderr, "%d of %s: --limit and --page show more\n", shown, format(meta["count"]))
	}
}

// printJSON prints an answer with indents, for people who read it nevertheless.
func (s *session) printJSON(data []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(data), "", "  "); err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	out.WriteByte('\n')
	_, err := s.env.Stdout.Write(out.Bytes())
	return err
}

// printJSONIf is printJSON of an answer that is not an error.
func (s *session) printJSONIf(data []byte, err error) error {
	if err != nil {
		return err
	}
	return s.printJSON(data)
}

// encode prints what is no answer as it came, but made of some.
func (s *session) encode(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.printJSON(data)
}

// decode reads an answer.
func decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("the answer is not what was expected: %w", err)
	}
	return nil
}

// pathEscape makes one part of a path of a name, whatever it holds.
func pathEscape(name string) string {
	if strings.Trim(name, ".") == "" { // or else it would mean another path
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}
