package apidoc

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// document is a contract, kept as nodes: their order is that of the page.
type document struct{ root *yaml.Node }

// at returns a value of a mapping; nil: there is none.
func at(n *yaml.Node, key string) *yaml.Node {
	for k, v := range pairs(n) {
		if k == key {
			return v
		}
	}
	return nil
}

func str(n *yaml.Node, key string) string {
	if v := at(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

func pairs(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// resolve follows a reference.
func (d *document) resolve(n *yaml.Node) *yaml.Node {
	for range 8 { // a reference to itself leads nowhere
		ref := str(n, "$ref")
		if ref == "" {
			return n
		}
		n = d.root
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			n = at(n, part)
		}
	}
	return n
}

// refName is the last part of a reference.
func refName(n *yaml.Node) string {
	ref := str(n, "$ref")
	return ref[strings.LastIndex(ref, "/")+1:]
}

// typeOf says in a few words what a schema allows.
func (d *document) typeOf(n *yaml.Node) string {
	n = d.resolve(n)
	if n == nil {
		return "any"
	}
	if enum := items(at(n, "enum")); len(enum) > 0 {
		values := make([]string, len(enum))
		for i, e := range enum {
			values[i] = e.Value
		}
		return strings.Join(values, " | ")
	}
	for _, of := range []string{"oneOf", "anyOf"} {
		if choices := items(at(n, of)); len(choices) > 0 {
			var types []string
			for _, c := range choices {
				types = append(types, d.typeOf(c))
			}
			return strings.Join(slices.Compact(types), " | ")
		}
	}
	t := at(n, "type")
	switch {
	case t == nil && at(n, "properties") != nil, t == nil && at(n, "allOf") != nil:
		return "object"
	case t == nil:
		return "any"
	case t.Kind == yaml.SequenceNode:
		var types []string
		for _, one := range t.Content {
			types = append(types, one.Value)
		}
		return strings.Join(types, " | ")
	case t.Value == "array":
		return d.typeOf(at(n, "items")) + " list"
	}
	return t.Value
}

// limits says what else a schema asks for.
func limits(n *yaml.Node) string {
	var parts []string
	for key, format := range map[string]string{"minimum": "At least %s.", "maximum": "At most %s.", "minLength": "At least %s bytes.", "maxLength": "At most %s bytes.", "maxItems": "At most %s.", "default": "Default: %s."} {
		if v := str(n, key); v != "" {
			parts = append(parts, fmt.Sprintf(format, v))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// maxDepth is how far fields within fields are shown.
const maxDepth = 6

// fields lists what an object, or those of a list, consists of. within are the names of the schemas around.
func (d *document) fields(n *yaml.Node, depth int, within []string) (out []field) {
	if name := refName(n); name != "" {
		if slices.Contains(within, name) {
			return nil
		}
		within = append(slices.Clip(within), name)
	}
	n = d.resolve(n)
	if n == nil || depth > maxDepth {
		return nil
	}
	for _, of := range []string{"allOf", "oneOf", "anyOf"} {
		for _, part := range items(at(n, of)) {
			out = append(out, d.fields(part, depth, within)...)
		}
	}
	if list := at(n, "items"); list != nil {
		return append(out, d.fields(list, depth, within)...)
	}
	var required []string
	for _, r := range items(at(n, "required")) {
		required = append(required, r.Value)
	}
	for name, p := range pairs(at(n, "properties")) {
		schema := d.resolve(p)
		about := str(p, "description")
		if about == "" {
			about = str(schema, "description")
		}
		out = append(out, field{Name: name, Type: d.typeOf(p), About: join(about, limits(schema)), Required: slices.Contains(required, name), Depth: depth})
		out = append(out, d.fields(p, depth+1, within)...)
	}
	return out
}

// sample makes a value that a schema allows, as a node.
func (d *document) sample(n *yaml.Node, depth int) *yaml.Node {
	n = d.resolve(n)
	if n == nil || depth > maxDepth {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	for _, key := range []string{"example", "const", "default"} {
		if v := at(n, key); v != nil {
			return v
		}
	}
	for _, key := range []string{"examples", "enum", "oneOf", "anyOf"} {
		if list := items(at(n, key)); len(list) > 0 {
			if strings.HasSuffix(key, "Of") {
				return d.sample(list[0], depth)
			}
			return list[0]
		}
	}
	kind, _, _ := strings.Cut(d.typeOf(n), " | ")
	if at(n, "items") != nil {
		return &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{d.sample(at(n, "items"), depth+1)}}
	}
	switch kind {
	case "object":
		return d.sampleObject(n, depth)
	case "integer", "number":
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: "0"}
	case "boolean":
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"}
	}
	text := "…"
	if str(n, "format") == "date-time" {
		text = "2030-01-31T12:00:00Z"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func (d *document) sampleObject(n *yaml.Node, depth int) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode}
	for _, part := range items(at(n, "allOf")) {
		if s := d.sample(part, depth); s.Kind == yaml.MappingNode {
			out.Content = append(out.Content, s.Content...)
		}
	}
	for name, p := range pairs(at(n, "properties")) {
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, d.sample(p, depth+1))
	}
	return out
}

// asJSON writes a node as JSON, its keys in their order.
func asJSON(n *yaml.Node) string {
	var b strings.Builder
	writeJSON(&b, n, "")
	return b.String()
}

func writeJSON(b *strings.Builder, n *yaml.Node, indent string) {
	deeper := indent + "  "
	list := func(open, end string, step int, each func(i int)) {
		if len(n.Content) == 0 {
			b.WriteString(open + end)
			return
		}
		b.WriteString(open)
		for i := 0; i < len(n.Content); i += step {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString("\n" + deeper)
			each(i)
		}
		b.WriteString("\n" + indent + end)
	}
	switch n.Kind {
	case yaml.MappingNode:
		list("{", "}", 2, func(i int) {
			b.WriteString(quote(n.Content[i].Value) + ": ")
			writeJSON(b, n.Content[i+1], deeper)
		})
	case yaml.SequenceNode:
		list("[", "]", 1, func(i int) { writeJSON(b, n.Content[i], deeper) })
	default:
		switch n.ShortTag() {
		case "!!int", "!!float", "!!bool", "!!null":
			b.WriteString(strings.TrimSpace(n.Value))
		default:
			b.WriteString(quote(n.Value))
		}
	}
}

func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can be encoded
	return strings.TrimSuffix(b.String(), "\n")
}
