package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Field is one field of a packet: a flag, a value or a property. Some names come several times.
type Field struct{ Name, Value string }

// Packet is a control packet as scripts write it. The fields of SUBSCRIBE that follow a filter belong to it.
type Packet struct {
	Kind   string // "publish"
	Fields []Field
}

// positional names the fields that a packet's first words are, where they have no name of their own. The last one takes
// all that are left.
var positional = map[string][]string{
	"connect": {}, "connack": {"code"}, "publish": {"topic"}, "puback": {"id", "code"}, "pubrec": {"id", "code"},
	"pubrel": {"id", "code"}, "pubcomp": {"id", "code"}, "subscribe": {"id", "filter"}, "suback": {"id", "code"},
	"unsubscribe": {"id", "filter"}, "unsuback": {"id", "code"}, "pingreq": {}, "pingresp": {},
	"disconnect": {"code"}, "auth": {"code"},
}

// shorthands are words that stand for a field with its value.
var shorthands = map[string]Field{
	"qos0": {"qos", "0"}, "qos1": {"qos", "1"}, "qos2": {"qos", "2"}, "qos3": {"qos", "3"},
	"rh0": {"rh", "0"}, "rh1": {"rh", "1"}, "rh2": {"rh", "2"}, "dup": {"dup", "1"}, "retain": {"retain", "1"},
	"clean": {"clean", "1"}, "nl": {"nl", "1"}, "rap": {"rap", "1"}, "exact": {"exact", "1"},
	"v5": {"version", "v5"}, "v3.1.1": {"version", "v3.1.1"}, "v3.1": {"version", "v3.1"},
	"will.retain": {"will.retain", "1"}, "no-topic": {"topic", ""},
}

// ParsePacket reads a packet as a script writes it.
func ParsePacket(line string) (Packet, error) {
	words, err := splitWords(line)
	if err != nil {
		return Packet{}, err
	}
	if len(words) == 0 {
		return Packet{}, fmt.Errorf("no packet")
	}
	p := Packet{Kind: words[0]}
	names, ok := positional[p.Kind]
	if !ok {
		return Packet{}, fmt.Errorf("there is no packet %q", p.Kind)
	}
	for _, word := range words[1:] {
		field, isPositional, err := parseField(strings.TrimSuffix(word, ","))
		if err != nil {
			return Packet{}, err
		}
		if isPositional {
			if len(names) == 0 {
				return Packet{}, fmt.Errorf("%s: what is %q?", p.Kind, word)
			}
			field.Name = names[0]
			if len(names) > 1 {
				names = names[1:]
			}
		}
		if !isField(p.Kind, field.Name) {
			return Packet{}, fmt.Errorf("%s has no field %q", p.Kind, field.Name)
		}
		p.Fields = append(p.Fields, field)
	}
	p.normalize()
	return p, nil
}

// ownFields are the fields of packets that are neither positional nor properties.
var ownFields = map[string][]string{
	"connect": {"version", "level", "name", "flags", "id", "clean", "keep_alive", "username", "password", "will",
		"will.payload", "will.qos", "will.retain"},
	"connack":   {"session_present"},
	"publish":   {"qos", "dup", "retain", "id", "payload"},
	"subscribe": {"qos", "nl", "rap", "rh"},
}

// isField reports whether a packet can have a field, so that a slip of the pen does not make an expectation empty.
func isField(kind, name string) bool {
	_, property := propertyNamed(strings.TrimPrefix(name, "will."))
	property = property && (kind == "connect" || !strings.HasPrefix(name, "will."))
	return property || name == "exact" || slices.Contains(ownFields[kind], name) || slices.Contains(positional[kind], name)
}

func parseField(word string) (f Field, isPositional bool, err error) {
	if f, ok := shorthands[word]; ok {
		return f, false, nil
	}
	name, value, named := strings.Cut(word, "=")
	if !named || strings.HasPrefix(word, `"`) {
		name, value = "", word
	}
	value, err = unquote(value)
	return Field{name, value}, name == "", err
}

// normalize gives reason codes one spelling.
func (p *Packet) normalize() {
	for i, f := range p.Fields {
		var n uint8
		if f.Name == "code" && f.Value != "*" {
			if _, err := fmt.Sscanf(f.Value, "0x%x", &n); err == nil {
				p.Fields[i].Value = codeText(n)
			}
		}
	}
}

func codeText(code byte) string { return fmt.Sprintf("0x%02x", code) }

// get returns the first value of a field.
func (p Packet) get(name string) (string, bool) {
	i := slices.IndexFunc(p.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return "", false
	}
	return p.Fields[i].Value, true
}

// all returns the values of a field, in order.
func (p Packet) all(name string) []string {
	var values []string
	for _, f := range p.Fields {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return values
}

// String returns the packet as a script writes it.
func (p Packet) String() string {
	words := []string{p.Kind}
	for _, f := range p.Fields {
		words = append(words, fieldText(p.Kind, f))
	}
	return strings.Join(words, " ")
}

func fieldText(kind string, f Field) string {
	if slices.Contains(positional[kind], f.Name) {
		return quote(f.Value)
	}
	for word, short := range shorthands {
		if short == f && f.Value != "" {
			return word
		}
	}
	return f.Name + "=" + quote(f.Value)
}
