package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
)

// bad is one request that is wrong in one way.
type bad struct {
	what, query, body string
	field             string // that the message has to name; empty: none
}

// The test sends every operation of the contract what is wrong in every way that its schema shows. Nothing but 4xx with a code
// and a message comes back, no state changes, and where the same request without the fault is taken, the message names
// the field.
func TestBadInputOfEveryKindIsRefused(t *testing.T) {
	d := readContract(t)
	sent := 0
	for path, item := range d.at(d.root, "paths").(map[string]any) {
		for method, op := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			t.Run(strings.ToUpper(method)+" "+path, func(t *testing.T) {
				b := newBench(t).asAdmin()
				b.seed()
				sent += b.walk(t, strings.ToUpper(method), path, item, op)
			})
		}
	}
	if sent < 500 {
		t.Errorf("only %d requests: does the walk still see the contract?", sent)
	}
}

// seed makes things that a change would show in.
func (b *bench) seed() {
	b.do("POST", "/api_key", `{"name":"x","role":"viewer"}`)
	b.do("POST", "/users", `{"username":"x","password":"long enough"}`)
	b.do("POST", usersPath, `{"user_id":"x","password":"secret"}`)
	b.do("POST", "/banned", `{"as":"clientid","who":"x"}`)
	b.do("POST", "/publish", `{"topic":"x","payload":"x","retain":true}`)
	b.do("PUT", rulesBase+"/clients/x", `{"rules":[]}`)
}

// state is what requests could change.
func (b *bench) state() string {
	b.t.Helper()
	docs := b.opts.Documents.(*memory)
	docs.mu.Lock()
	kept := maps.Clone(docs.docs)
	docs.mu.Unlock()
	maps.DeleteFunc(kept, func(name string, _ []byte) bool { return strings.HasPrefix(name, auditKind) })
	bans, _ := b.broker.Bans().List(builtin.BanQuery{})
	users, _ := b.broker.Users().List(builtin.UserQuery{})
	rules, _ := b.broker.Rules().List(builtin.RuleQuery{})
	var running []bool
	for _, l := range b.broker.Listeners() {
		running = append(running, l.Running)
	}
	_, clients := b.broker.Clients(nil, 0, 0)
	return fmt.Sprintf("%q\n%v\n%v\n%v\n%v\n%d\n%d", kept, bans, users, rules, running, b.broker.RetainedCount(), clients)
}

// send sends a request that has to be answered soon.
func (b *bench) send(method, target, body string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, "/", strings.NewReader(body))
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = "", "", ""
	if u, err := r.URL.Parse(target); err == nil {
		r.URL = u
	} else {
		b.t.Fatal(err)
	}
	r.Host = "127.0.0.1:18083"
	r.Header.Set("Authorization", b.header)
	rec := httptest.NewRecorder()
	b.ServeHTTP(rec, r)
	if ctx.Err() != nil {
		b.t.Errorf("%s %s %s took too long", method, target, cut(body))
	}
	return rec
}

func cut(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}

// walk returns how many requests it sent.
func (b *bench) walk(t *testing.T, method, path string, item, op any) int {
	target := strings.NewReplacer("{as}", "clientid", "{id}", "x", "{", "", "}", "").Replace(path)
	good, faults := b.faults(item, op)
	before := b.state()
	messages := make([]string, len(faults))
	for i, f := range faults {
		rec := b.send(method, target+f.query, f.body)
		var p Problem
		err := json.Unmarshal(rec.Body.Bytes(), &p)
		if rec.Code < 400 || rec.Code >= 500 || err != nil || p.Code == "" || p.Message == "" {
			t.Errorf("%s (%s%s) answered %d %s", f.what, target+f.query, cut(f.body), rec.Code, cut(rec.Body.String()))
		}
		messages[i] = p.Message
	}
	if path != Base+"/logout" {
		if after := b.state(); after != before {
			t.Errorf("what was refused changed something: %s\n%s", before, after)
		}
	}
	if good == "" || b.send(method, target, good).Code >= 300 {
		return len(faults)
	}
	for i, f := range faults {
		if f.field != "" && !strings.Contains(messages[i], f.field) {
			t.Errorf("%s (%s%s): the message does not name %s: %s", f.what, f.query, cut(f.body), f.field, messages[i])
		}
	}
	return len(faults)
}

// faults makes bad requests of what the contract says of an operation, and a body that is good as far as it says.
func (b *bench) faults(item, op any) (good string, faults []bad) {
	d := b.contract
	parameters, _ := d.at(op, "parameters").([]any)
	for _, p := range parameters {
		name, schema := d.at(p, "name").(string), d.at(p, "schema")
		if d.at(p, "in") != "query" {
			continue
		}
		for _, v := range wrongParameters(d, schema) {
			faults = append(faults, bad{"parameter " + name, "?" + name + "=" + v, "", name})
		}
	}
	if len(parameters) > 0 && len(faults) > 0 {
		faults = append(faults, bad{"an unknown parameter", "?no_such_thing=1", "", ""})
	}
	schema := d.at(op, "requestBody", "content", "application/json", "schema")
	if schema == nil {
		return "", faults
	}
	text := func(v any) string {
		out, err := json.Marshal(v)
		if err != nil {
			b.t.Fatal(err)
		}
		return string(out)
	}
	example := d.example("", schema)
	for what, body := range map[string]string{
		"nothing": "", "null": "null", "half": `{"a":`, "two": text(example) + text(example), "deep": strings.Repeat("[", 20_000),
		"no UTF-8": "{\"a\":\"\xff\"}", "a number": "7", "text": `"x"`,
	} {
		faults = append(faults, bad{"body: " + what, "", body, ""})
	}
	list, isList := example.([]any)
	if isList {
		example = list[0]
		schema = d.at(schema, "items")
	}
	object, isObject := example.(map[string]any)
	if !isObject {
		faults = append(faults, bad{"an item of another type", "", `[{}]`, ""})
		return text(list), faults
	}
	wrap := func(v map[string]any) string {
		if isList {
			return text([]any{v})
		}
		return text(v)
	}
	faults = append(faults, bad{"the other of list and object", "", map[bool]string{true: "{}", false: "[]"}[isList], ""})
	change := func(name string, value any) string {
		c := maps.Clone(object)
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return wrap(c)
	}
	faults = append(faults, bad{"an unknown field", "", change("no_such_thing", 1), "no_such_thing"})
	required, _ := d.at(schema, "required").([]any)
	for _, r := range required {
		faults = append(faults, bad{"without " + r.(string), "", change(r.(string), nil), r.(string)})
	}
	properties, _ := d.at(schema, "properties").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		for _, v := range d.wrongValues(properties[name]) {
			faults = append(faults, bad{"field " + name, "", change(name, v), name})
		}
	}
	return wrap(object), faults
}

// wrongParameters are values that no parameter of a schema may have.
func wrongParameters(d document, schema any) (wrong []string) {
	wrong = []string{"%ff", "%00", "%zz"}
	switch kind := d.at(schema, "type"); {
	case kind == "integer":
		wrong = append(wrong, "x", "-1000", "99999999999999999999999", "1.5", "0x10")
	case kind == "boolean":
		wrong = append(wrong, "maybe", "2")
	case d.at(schema, "enum") != nil:
		wrong = append(wrong, "no_such_value")
	}
	return wrong
}

// wrongValues are values that a field of a schema may not have.
func (d document) wrongValues(schema any) (wrong []any) {
	s, _ := d.resolve(schema).(map[string]any)
	if s == nil || s["type"] == nil && s["enum"] == nil {
		return nil // anything goes
	}
	types, ok := s["type"].([]any)
	if !ok {
		types = []any{s["type"]}
	}
	for kind, v := range map[string]any{"string": "no such value", "integer": 7, "boolean": true, "array": []any{[]any{}}, "object": map[string]any{"x": map[string]any{}}} {
		if !slices.Contains(types, any(kind)) {
			wrong = append(wrong, v)
		}
	}
	if most, ok := s["maxLength"].(int); ok {
		wrong = append(wrong, strings.Repeat("x", most+1))
	}
	if least, ok := s["minLength"].(int); ok && least > 1 {
		wrong = append(wrong, strings.Repeat("x", least-1))
	}
	if s["enum"] != nil {
		wrong = append(wrong, "no such value", -1)
	}
	if slices.Contains(types, any("integer")) {
		wrong = append(wrong, 1.5, json.Number("99999999999999999999999"))
	}
	if slices.Contains(types, any("array")) {
		wrong = append(wrong, []any{map[string]any{"x": 1}, 7})
	}
	return wrong
}

// examples are values of fields that more is asked of than the contract can say.
var examples = map[string]any{
	"topic": "a/b", "until": "2099-01-01T00:00:00Z", "at": "2029-01-01T00:00:00Z", "expired_at": "2099-01-01T00:00:00Z", "as": "clientid",
	"password": "long enough", "old_pwd": "long enough", "new_pwd": "longer still", "filters": []any{"a/#"}, "payload": "x", "rules": []any{},
	"publish": []any{"a"}, "consume": []any{"a"}, "response_topic": "r", "role": "viewer", "clientid": "c",
}

// example makes a value that a schema allows, with what it requires and nothing else.
func (d document) example(name string, schema any) any {
	s, _ := d.resolve(schema).(map[string]any)
	if v, ok := s["example"]; ok {
		return v
	}
	if v, ok := examples[name]; ok {
		return v
	}
	if enum, ok := s["enum"].([]any); ok {
		return enum[0]
	}
	kind := s["type"]
	if types, ok := kind.([]any); ok {
		kind = types[0]
	}
	switch kind {
	case "string":
		return "new"
	case "integer":
		return 1
	case "boolean":
		return true
	case "array":
		return []any{d.example("", s["items"])}
	case "object":
		out := map[string]any{}
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, r := range required {
			out[r.(string)] = d.example(r.(string), properties[r.(string)])
		}
		return out
	}
	return nil
}

// A name in the path that is no UTF-8 is refused everywhere.
func TestANameInThePathIsUTF8(t *testing.T) {
	b := newBench(t).asAdmin()
	for _, r := range b.Routes() {
		if !strings.Contains(r.Path, "{") {
			continue
		}
		for _, name := range []string{"%ff", "%00", "%C0%AF"} {
			at := strings.Index(r.Path, "{")
			rec := b.send(r.Method, r.Path[:at]+name+strings.NewReplacer("{", "", "...}", "", "}", "").Replace(r.Path[at+strings.Index(r.Path[at:], "}")+1:]), "{}")
			if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "path") {
				t.Errorf("%s %s with %s answered %d %s", r.Method, r.Path, name, rec.Code, rec.Body)
			}
		}
	}
}
