package conformance

import (
	"slices"
	"strings"
)

// defaults are the fields that an expectation compares even when it does not list them, with their values then.
var defaults = map[string][]Field{
	"publish":    {{"qos", "0"}, {"dup", "0"}, {"retain", "0"}},
	"puback":     {{"code", "0x00"}},
	"pubrec":     {{"code", "0x00"}},
	"pubrel":     {{"code", "0x00"}},
	"pubcomp":    {{"code", "0x00"}},
	"disconnect": {{"code", "0x00"}},
}

// Bindings are the values of the @names of a scenario.
type Bindings map[string]string

// Match reports whether got is what want demands, and binds the @names that want uses for the first time.
func (b Bindings) Match(want, got Packet) bool {
	if want.Kind != got.Kind {
		return false
	}
	want = withDefaults(want)
	taken := Bindings{}
	seen := map[string]bool{"exact": true}
	for _, f := range want.Fields {
		if seen[f.Name] {
			continue
		}
		seen[f.Name] = true
		if !b.matchValues(f.Name, want.all(f.Name), withDefaults(got).all(f.Name), taken) {
			return false
		}
	}
	if _, exact := want.get("exact"); exact {
		for _, f := range got.Fields {
			if !seen[f.Name] {
				return false
			}
		}
	}
	for name, value := range taken {
		b[name] = value
	}
	return true
}

func withDefaults(p Packet) Packet {
	for _, f := range defaults[p.Kind] {
		if _, ok := p.get(f.Name); !ok {
			p.Fields = append(slices.Clip(p.Fields), f)
		}
	}
	return p
}

func (b Bindings) matchValues(name string, want, got []string, taken Bindings) bool {
	switch {
	case len(want) == 1 && want[0] == "*":
		return len(got) > 0
	case len(want) == 1 && want[0] == "-":
		return len(got) == 0
	case len(want) != len(got):
		return false
	}
	if name == "subid" { // the standard gives them no order
		want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	}
	for i, w := range want {
		if w == "*" {
			continue
		}
		if capture, ok := strings.CutPrefix(w, "@"); ok {
			if _, bound := b[capture]; !bound {
				taken[capture] = got[i]
			}
			w = got[i]
			if bound, ok := b[capture]; ok {
				w = bound
			}
		}
		if w != got[i] {
			return false
		}
	}
	return true
}

// Expand replaces the @names in a packet that is to be sent.
func (b Bindings) Expand(p Packet) Packet {
	fields := slices.Clone(p.Fields)
	for i, f := range fields {
		if name, ok := strings.CutPrefix(f.Value, "@"); ok {
			if value, bound := b[name]; bound {
				fields[i].Value = value
			}
		}
	}
	return Packet{p.Kind, fields}
}
