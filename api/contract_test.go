package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// document is openapi.yaml.
type document struct{ root map[string]any }

func readContract(t *testing.T) document {
	t.Helper()
	var d document
	if err := yaml.Unmarshal(contract, &d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

// at walks a path of keys; nil: there is nothing.
func (d document) at(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := d.resolve(v).(map[string]any)
		v = m[k]
	}
	return d.resolve(v)
}

// resolve follows references.
func (d document) resolve(v any) any {
	for {
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		ref, ok := m["$ref"].(string)
		if !ok {
			return v
		}
		v = d.at(any(d.root), strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
}

// operations lists "METHOD path" of what the contract has.
func (d document) operations() (ops []string) {
	for path, item := range d.at(d.root, "paths").(map[string]any) {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				ops = append(ops, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(ops)
	return ops
}

// check reports what is wrong with a JSON value by its schema.
func (d document) check(where string, schema, value any) error {
	s, _ := d.resolve(schema).(map[string]any)
	if s == nil {
		return nil
	}
	for _, of := range []string{"oneOf", "anyOf"} {
		if choices, ok := s[of].([]any); ok {
			return d.checkAny(where, choices, value)
		}
	}
	if all, ok := s["allOf"].([]any); ok {
		for _, one := range all {
			if err := d.check(where, one, value); err != nil {
				return err
			}
		}
	}
	if err := d.checkType(where, s["type"], value); err != nil {
		return err
	}
	if enum, ok := s["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(value) }) {
		return fmt.Errorf("%s: %v is none of %v", where, value, enum)
	}
	switch v := value.(type) {
	case []any:
		for i, item := range v {
			if err := d.check(fmt.Sprintf("%s[%d]", where, i), s["items"], item); err != nil {
				return err
			}
		}
	case map[string]any:
		return d.checkObject(where, s, v)
	}
	return nil
}

func (d document) checkAny(where string, choices []any, value any) (err error) {
	for _, c := range choices {
		if err = d.check(where, c, value); err == nil {
			return nil
		}
	}
	return err
}

func (d document) checkType(where string, want, value any) error {
	var got []string
	switch v := value.(type) {
	case nil:
		got = []string{"null"}
	case string:
		got = []string{"string"}
	case bool:
		got = []string{"boolean"}
	case float64:
		got = []string{"number"}
		if v == float64(int64(v)) {
			got = append(got, "integer")
		}
	case []any:
		got = []string{"array"}
	case map[string]any:
		got = []string{"object"}
	}
	types, ok := want.([]any)
	if !ok && want != nil {
		types = []any{want}
	}
	if types != nil && !slices.ContainsFunc(types, func(t any) bool { return slices.Contains(got, t.(string)) }) {
		return fmt.Errorf("%s: %v is no %v", where, value, want)
	}
	return nil
}

func (d document) checkObject(where string, s map[string]any, v map[string]any) error {
	required, _ := s["required"].([]any)
	for _, r := range required {
		if _, ok := v[r.(string)]; !ok {
			return fmt.Errorf("%s: %v is missing", where, r)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, item := range v {
		p, known := properties[name]
		if !known && (s["additionalProperties"] == false || len(properties) > 0 && s["additionalProperties"] == nil) {
			return fmt.Errorf("%s: the contract does not know %s", where, name)
		}
		if !known {
			p = s["additionalProperties"]
		}
		if err := d.check(where+"."+name, p, item); err != nil {
			return err
		}
	}
	return nil
}

// contractPath is how the contract writes a pattern whose last part may have slashes.
func contractPath(pattern string) string { return strings.Replace(pattern, "...}", "}", 1) }

// checkAnswer holds an answer against the contract.
func (d document) checkAnswer(t *testing.T, route Route, rec *httptest.ResponseRecorder) {
	t.Helper()
	responses := d.at(d.root, "paths", contractPath(route.Path), strings.ToLower(route.Method), "responses")
	answer := d.at(responses, fmt.Sprint(rec.Code))
	if answer == nil {
		t.Errorf("%s %s answered %d, which the contract does not have: %s", route.Method, route.Path, rec.Code, rec.Body)
		return
	}
	content, _ := d.at(answer, "content").(map[string]any)
	if len(content) == 0 {
		if rec.Body.Len() > 0 {
			t.Errorf("%s %s answered %d with a body: %s", route.Method, route.Path, rec.Code, rec.Body)
		}
		return
	}
	kind, _, _ := strings.Cut(rec.Header().Get("Content-Type"), ";")
	media, ok := content[kind]
	if !ok {
		t.Errorf("%s %s answered %d as %q, not %v", route.Method, route.Path, rec.Code, kind, slices.Collect(maps.Keys(content)))
		return
	}
	if kind != "application/json" {
		return
	}
	var value any
	if err := json.Unmarshal(rec.Body.Bytes(), &value); err != nil {
		t.Errorf("%s %s: %v: %s", route.Method, route.Path, err, rec.Body)
	} else if err := d.check("body", d.at(media, "schema"), value); err != nil {
		t.Errorf("%s %s, %d: %v: %s", route.Method, route.Path, rec.Code, err, rec.Body)
	}
}

func TestContractAndRoutesAreTheSame(t *testing.T) {
	b := newBench(t)
	d := readContract(t)
	var served []string
	for _, r := range b.Routes() {
		if r.Access == Open && !strings.HasPrefix(r.Path, Base) && r.Path != "/status" && r.Path != "/healthz" && r.Path != "/readyz" {
			continue // pages
		}
		served = append(served, r.Method+" "+contractPath(r.Path))
		op, _ := d.at(d.root, "paths", contractPath(r.Path), strings.ToLower(r.Method)).(map[string]any)
		security, has := op["security"].([]any)
		if open := has && len(security) == 0; open != (r.Access == Open) {
			t.Errorf("%s %s: the contract says open %v", r.Method, r.Path, open)
		}
	}
	slices.Sort(served)
	for _, op := range d.operations() {
		if !slices.Contains(served, op) {
			t.Errorf("the contract has %s, which is not served", op)
		}
	}
	for _, r := range served {
		if !slices.Contains(d.operations(), r) {
			t.Errorf("%s is served, and not in the contract", r)
		}
	}
}

func TestEveryReferenceOfTheContractLeadsSomewhere(t *testing.T) {
	d := readContract(t)
	var walk func(where string, v any)
	walk = func(where string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && d.resolve(v) == nil {
				t.Errorf("%s: %s leads nowhere", where, ref)
			}
			for k, item := range v {
				walk(where+"."+k, item)
			}
		case []any:
			for i, item := range v {
				walk(fmt.Sprintf("%s[%d]", where, i), item)
			}
		}
	}
	walk("", d.root)
}

// Without credentials nothing but the open routes answers, whatever is sent.
func TestAStrangerGetsNothing(t *testing.T) {
	b := newBench(t)
	for _, r := range b.Routes() {
		if r.Access == Open {
			continue
		}
		for _, header := range []string{"", "Bearer x", "Basic eDp5", "Basic !", "Digest x", "Bearer ", "Basic"} {
			rec := b.raw(r.Method, strings.NewReplacer("{", "", "...}", "", "}", "").Replace(r.Path), header, `{"x":1}`)
			if rec.Code != http.StatusUnauthorized {
				t.Errorf("%s %s with %q answered %d", r.Method, r.Path, header, rec.Code)
			}
		}
	}
}
