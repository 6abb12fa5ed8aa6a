// Package apidoc makes a page for people of an OpenAPI document: every operation with its parameters, bodies, answers and a
// command to try. It needs no script and nothing from elsewhere.
package apidoc

import (
	"bytes"
	_ "embed" // the page
	"fmt"
	"html/template"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"prose": prose, "lower": strings.ToLower}).Parse(pageText))

// Page renders a document in YAML as HTML, in the document's order.
func Page(contract []byte) ([]byte, error) {
	d := new(document)
	var root yaml.Node
	if err := yaml.Unmarshal(contract, &root); err != nil {
		return nil, fmt.Errorf("reading the contract: %w", err)
	}
	if len(root.Content) == 0 {
		return nil, fmt.Errorf("reading the contract: it is empty")
	}
	d.root = root.Content[0]
	var b bytes.Buffer
	if err := page.Execute(&b, d.view()); err != nil {
		return nil, fmt.Errorf("rendering the contract: %w", err)
	}
	return b.Bytes(), nil
}

// What the page shows.
type (
	view struct {
		Title, Version, About string
		Server                string
		Tags                  []*tag
	}
	tag struct {
		Name, ID, About string
		Operations      []operation
	}
	operation struct {
		ID, Method, Path, Summary, About string
		Open                             bool // no credentials
		Parameters                       []field
		Body                             *content
		Answers                          []answer
		Curl                             string
	}
	content struct {
		Kind    string // application/json
		Fields  []field
		Example string
	}
	answer struct {
		Status, About string
		Body          *content
	}
	field struct {
		Name, In, Type, About string
		Required              bool
		Depth                 int
	}
)

func (d *document) view() view {
	info := at(d.root, "info")
	v := view{Title: str(info, "title"), Version: str(info, "version"), About: str(info, "description")}
	if servers := at(d.root, "servers"); servers != nil && len(servers.Content) > 0 {
		v.Server = str(servers.Content[0], "url")
	}
	byName := map[string]*tag{}
	for _, t := range items(at(d.root, "tags")) {
		one := &tag{Name: str(t, "name"), About: str(t, "description")}
		one.ID = "tag-" + slug(one.Name)
		byName[one.Name] = one
		v.Tags = append(v.Tags, one)
	}
	for path, item := range pairs(at(d.root, "paths")) {
		for method, op := range pairs(item) {
			if method == "parameters" {
				continue
			}
			name := "other"
			if tags := items(at(op, "tags")); len(tags) > 0 {
				name = tags[0].Value
			}
			if byName[name] == nil {
				byName[name] = &tag{Name: name, ID: "tag-" + slug(name)}
				v.Tags = append(v.Tags, byName[name])
			}
			byName[name].Operations = append(byName[name].Operations, d.operation(v.Server, path, method, item, op))
		}
	}
	v.Tags = slices.DeleteFunc(v.Tags, func(t *tag) bool { return len(t.Operations) == 0 })
	return v
}

func (d *document) operation(server, path, method string, item, op *yaml.Node) operation {
	o := operation{
		ID: slug(method + " " + path), Method: strings.ToUpper(method), Path: path, Summary: str(op, "summary"), About: str(op, "description"),
	}
	if security := at(op, "security"); security != nil && len(security.Content) == 0 {
		o.Open = true
	}
	for _, p := range slices.Concat(items(at(item, "parameters")), items(at(op, "parameters"))) {
		p = d.resolve(p)
		schema := d.resolve(at(p, "schema"))
		o.Parameters = append(o.Parameters, field{
			Name: str(p, "name"), In: str(p, "in"), Required: str(p, "required") == "true", Type: d.typeOf(schema), About: join(str(p, "description"), limits(schema)),
		})
	}
	if body := d.resolve(at(op, "requestBody")); body != nil {
		o.Body = d.content(at(body, "content"))
	}
	for status, r := range pairs(at(op, "responses")) {
		r = d.resolve(r)
		o.Answers = append(o.Answers, answer{status, str(r, "description"), d.content(at(r, "content"))})
	}
	o.Curl = curl(server, &o)
	return o
}

// content describes the first kind of body that there is.
func (d *document) content(c *yaml.Node) *content {
	for kind, media := range pairs(c) {
		out := &content{Kind: kind}
		schema := at(media, "schema")
		out.Fields = d.fields(schema, 0, nil)
		switch example := at(media, "example"); {
		case example != nil:
			out.Example = asJSON(example)
		case strings.HasSuffix(kind, "json"):
			out.Example = asJSON(d.sample(schema, 0))
		}
		return out
	}
	return nil
}

// curl is a command that sends the request.
func curl(server string, o *operation) string {
	var b strings.Builder
	b.WriteString("curl")
	if !o.Open {
		b.WriteString(" -u \"$KEY:$SECRET\"")
	}
	if o.Method != "GET" {
		b.WriteString(" -X " + o.Method)
	}
	if o.Body != nil {
		b.WriteString(" -H 'Content-Type: " + o.Body.Kind + "' \\\n  -d '" + strings.ReplaceAll(o.Body.Example, "'", `'\''`) + "' \\\n ")
	}
	query := ""
	for _, p := range o.Parameters {
		if p.In == "query" && p.Required {
			query += map[bool]string{true: "?", false: "&"}[query == ""] + p.Name + "=…"
		}
	}
	fmt.Fprintf(&b, " '%s%s%s'", server, o.Path, query)
	return b.String()
}

// span is a piece of prose.
type span struct {
	Code bool
	Text string
}

// prose splits text into paragraphs, and those at their backquotes.
func prose(text string) (paragraphs [][]span) {
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		var spans []span
		for i, part := range strings.Split(p, "`") {
			if part != "" {
				spans = append(spans, span{i%2 == 1, part})
			}
		}
		if spans != nil {
			paragraphs = append(paragraphs, spans)
		}
	}
	return paragraphs
}

// slug makes a name fit for an address.
func slug(s string) string {
	s = strings.ToLower(strings.ReplaceAll(s, "/api/v5", ""))
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }), "-")
}

// join puts sentences together.
func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}
