package auth

import (
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/mqtt"
)

// Template is a topic filter in which the client's own id and username may stand. The zero Template matches nothing.
type Template struct {
	text  string
	parts []part // nil: text holds no placeholder
	loose bool   // a / in what is put in is a level of its own, as Mosquitto has it
}

// part is some text, or a placeholder.
type part struct {
	text string
	of   placeholder
}

type placeholder uint8

const (
	noPlaceholder placeholder = iota
	theClientID
	theUsername
)

var placeholders = []struct {
	text string
	of   placeholder
}{
	{"${clientid}", theClientID}, {"${username}", theUsername}, {"%c", theClientID}, {"%u", theUsername},
}

// Literal returns the template of a filter in which nothing is a placeholder.
func Literal(filter string) (Template, error) { return newTemplate(filter, nil, false) }

// ParseTemplate returns the template of a filter with ${clientid} or %c and ${username} or %u. A client id or username
// is put in only if it is within one level and has no wildcard, and, at the beginning of the filter, no $: otherwise a
// client could choose a name that widens the rule, and the template matches nothing for it.
func ParseTemplate(filter string) (Template, error) {
	return newTemplate(filter, splitPlaceholders(filter, 0), false)
}

// ParsePattern returns the template of a pattern in Mosquitto's format, with %c and %u; as there, what is put in may have
// several levels.
func ParsePattern(filter string) (Template, error) {
	return newTemplate(filter, splitPlaceholders(filter, 2), true)
}

// splitPlaceholders takes text apart at the placeholders from the first one that is understood on.
func splitPlaceholders(text string, first int) (parts []part) {
	found := false
	for start, i := 0, 0; ; {
		if i == len(text) {
			if !found {
				return nil
			}
			return append(parts, part{text: text[start:]})
		}
		i++
		for _, p := range placeholders[first:] {
			if strings.HasPrefix(text[i-1:], p.text) {
				parts = append(parts, part{text: text[start : i-1]}, part{of: p.of})
				i += len(p.text) - 1
				start, found = i, true
				break
			}
		}
	}
}

func newTemplate(filter string, parts []part, loose bool) (Template, error) {
	f, err := mqtt.ParseTopicFilter(filter)
	if err != nil {
		return Template{}, fmt.Errorf("%q is not a topic filter: %w", filter, err)
	}
	if _, shared := f.Group(); shared {
		return Template{}, fmt.Errorf("%q: rules are about the filter of a shared subscription, without $share and its group", filter)
	}
	return Template{text: filter, parts: parts, loose: loose}, nil
}

// String returns the template as it was written.
func (t Template) String() string { return t.text }

// expand returns the filter for one client; false: the template matches nothing for it.
func (t *Template) expand(id *Identity) (string, bool) {
	if t.parts == nil {
		return t.text, t.text != ""
	}
	var b strings.Builder
	for _, p := range t.parts {
		text := p.text
		if p.of != noPlaceholder {
			if text = id.value(p.of); !t.admits(text) || b.Len() == 0 && text[0] == '$' {
				return "", false
			}
		}
		b.WriteString(text)
	}
	return b.String(), true
}

func (t *Template) admits(value string) bool {
	if t.loose {
		return value != "" && !strings.ContainsAny(value, "+#")
	}
	return value != "" && !strings.ContainsAny(value, "+#/")
}

func (id *Identity) value(p placeholder) string {
	if p == theClientID {
		return id.ClientID
	}
	return id.Username
}
