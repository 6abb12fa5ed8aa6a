// Package hocon reads the part of HOCON that EMQX writes: objects, lists, quoted, unquoted and triple-quoted strings, and
// comments. Inclusion, substitution (which EMQX writes for its own directories) and joining of values are not understood:
// such a value is its own text.
package hocon

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrSyntax says that a text is not understood.
var ErrSyntax = errors.New("not HOCON as EMQX writes it")

// Limits of a text.
const (
	maxDepth   = 64
	maxEntries = 100_000
)

// Entry is a value, by the keys that lead to it; places in lists are numbers from 0. An empty object or list is an entry
// too, with the value {} or [].
type Entry struct {
	Path  []string
	Value string
	Line  int // from 1
	Empty bool
}

// Key is the path with dots.
func (e *Entry) Key() string { return strings.Join(e.Path, ".") }

// Parse returns the values of a text in their order. A value that is given twice is there twice: the last one counts.
func Parse(text []byte) ([]Entry, error) {
	p := &parser{text: string(text), line: 1}
	if !utf8.ValidString(p.text) {
		return nil, fmt.Errorf("%w: it is no UTF-8", ErrSyntax)
	}
	p.skip()
	if p.peek() == '{' {
		p.value(nil, 0)
	} else {
		p.fields(nil, 0, false)
	}
	if p.skip(); p.err == nil && p.at < len(p.text) {
		p.fail("something follows the end")
	}
	return p.entries, p.err
}

type parser struct {
	text    string
	at      int
	line    int
	entries []Entry
	err     error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: line %d: %s", ErrSyntax, p.line, fmt.Sprintf(format, args...))
	}
	p.at = len(p.text)
}

func (p *parser) peek() byte {
	if p.at >= len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// next moves on by n bytes.
func (p *parser) next(n int) {
	p.line += strings.Count(p.text[p.at:p.at+n], "\n")
	p.at += n
}

// skip moves over blanks, line ends, commas and comments.
func (p *parser) skip() {
	for p.at < len(p.text) {
		switch rest := p.text[p.at:]; {
		case strings.ContainsRune(" \t\r\n,", rune(rest[0])):
			p.next(1)
		case rest[0] == '#', strings.HasPrefix(rest, "//"):
			p.comment()
		default:
			return
		}
	}
}

func (p *parser) comment() {
	end := strings.IndexByte(p.text[p.at:], '\n')
	if end < 0 {
		end = len(p.text) - p.at
	}
	p.next(end)
}

func (p *parser) add(path []string, value string, line int, empty bool) {
	if len(p.entries) >= maxEntries {
		p.fail("more than %d values", maxEntries)
		return
	}
	p.entries = append(p.entries, Entry{Path: append([]string(nil), path...), Value: value, Line: line, Empty: empty})
}

// fields reads key = value, key: value and key {…} until the object or the text ends.
func (p *parser) fields(path []string, depth int, inBraces bool) {
	for {
		p.skip()
		switch {
		case p.at >= len(p.text):
			if inBraces {
				p.fail("an object without an end")
			}
			return
		case inBraces && p.peek() == '}':
			p.next(1)
			return
		}
		keys := p.key()
		p.blanks()
		switch c := p.peek(); {
		case p.err != nil:
			return
		case c == '=' || c == ':':
			p.next(1)
			p.skip()
		case c != '{':
			p.fail("neither =, : nor { after the key %q", strings.Join(keys, "."))
			return
		}
		p.value(append(path[:len(path):len(path)], keys...), depth)
	}
}

func (p *parser) blanks() {
	for c := p.peek(); c == ' ' || c == '\t' || c == '\r' || c == '\n'; c = p.peek() {
		p.next(1)
	}
}

// key reads a key, with dots where several are written as one.
func (p *parser) key() (keys []string) {
	for {
		part := p.keyPart()
		if p.err != nil {
			return nil
		}
		keys = append(keys, part)
		if p.peek() != '.' {
			return keys
		}
		p.next(1)
	}
}

func (p *parser) keyPart() string {
	if p.peek() == '"' {
		return p.quoted()
	}
	end := strings.IndexAny(p.text[p.at:], ".=:{}[] \t\r\n\",#")
	if end < 0 {
		end = len(p.text) - p.at
	}
	if end == 0 {
		p.fail("a key should stand before %q", p.peek())
		return ""
	}
	part := p.text[p.at : p.at+end]
	p.next(end)
	return part
}

func (p *parser) value(path []string, depth int) {
	if depth++; depth > maxDepth || len(path) > maxDepth {
		p.fail("more than %d values within each other", maxDepth)
	}
	if p.err != nil {
		return
	}
	line, before := p.line, len(p.entries)
	switch rest := p.text[p.at:]; {
	case rest == "":
		p.fail("a value is missing")
	case rest[0] == '{':
		p.next(1)
		p.fields(path, depth, true)
		if len(p.entries) == before {
			p.add(path, "{}", line, true)
		}
	case rest[0] == '[':
		p.next(1)
		p.list(path, depth)
		if len(p.entries) == before {
			p.add(path, "[]", line, true)
		}
	case strings.HasPrefix(rest, `"""`):
		p.add(path, p.tripled(), line, false)
	case rest[0] == '"':
		p.add(path, p.quoted(), line, false)
	default:
		p.add(path, p.unquoted(), line, false)
	}
}

func (p *parser) list(path []string, depth int) {
	for i := 0; ; i++ {
		p.skip()
		switch {
		case p.at >= len(p.text):
			p.fail("a list without an end")
			return
		case p.peek() == ']':
			p.next(1)
			return
		}
		p.value(append(path[:len(path):len(path)], strconv.Itoa(i)), depth)
	}
}

// unquoted reads to the end of the line, or to what ends a value.
func (p *parser) unquoted() string {
	rest := p.text[p.at:]
	end, braces := 0, true
	for end < len(rest) && !strings.ContainsRune(",]}\r\n#\"", rune(rest[end])) && !strings.HasPrefix(rest[end:], " //") {
		if braces && strings.HasPrefix(rest[end:], "${") { // its own braces do not end it
			brace := strings.IndexByte(rest[end:], '}')
			if braces = brace > 0; braces {
				end += brace
			}
		}
		end++
	}
	if end == 0 {
		p.fail("a value should stand before %q", p.peek())
		return ""
	}
	p.next(end)
	return strings.TrimSpace(rest[:end])
}

// tripled reads a string between three quotes; with ~ after them, the indentation that all lines share is none of it.
func (p *parser) tripled() string {
	begin := p.at + 3
	end := strings.Index(p.text[begin:], `"""`)
	if end < 0 {
		p.fail(`a string with """ before it and not after`)
		return ""
	}
	for strings.HasPrefix(p.text[begin+end+1:], `"""`) { // quotes at the end are the string's
		end++
	}
	p.next(3 + end + 3)
	text := p.text[begin : begin+end]
	if strings.HasPrefix(text, "~\n") {
		return unindented(strings.TrimSuffix(text[2:], "~"))
	}
	return text
}

func unindented(text string) string {
	lines := strings.Split(text, "\n")
	least := -1
	for _, l := range lines {
		if n := len(l) - len(strings.TrimLeft(l, " ")); strings.TrimSpace(l) != "" && (least < 0 || n < least) {
			least = n
		}
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i][min(max(least, 0), len(lines[i])-len(strings.TrimLeft(lines[i], " "))):], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}

// quoted reads a string with escapes as JSON has them.
func (p *parser) quoted() string {
	end := 1
	for rest := p.text[p.at:]; end < len(rest) && rest[end] != '"'; end++ {
		if rest[end] == '\\' {
			end++
		}
	}
	if p.at+end >= len(p.text) {
		p.fail("a string without an end")
		return ""
	}
	raw := p.text[p.at : p.at+end+1]
	p.next(end + 1)
	text, err := unescape(raw[1 : len(raw)-1])
	if err != nil {
		p.fail("%v in a string", err)
	}
	return text
}

func unescape(raw string) (string, error) {
	if !strings.Contains(raw, `\`) {
		return raw, nil
	}
	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out.WriteByte(raw[i])
			continue
		}
		i++
		switch c := raw[i]; c { // quoted has seen to it that one follows
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'r':
			out.WriteByte('\r')
		case 'b':
			out.WriteByte('\b')
		case 'f':
			out.WriteByte('\f')
		case '"', '\\', '/':
			out.WriteByte(c)
		case 'u':
			if i+4 >= len(raw) {
				return "", errors.New(`\u with less than four digits`)
			}
			n, err := strconv.ParseUint(raw[i+1:i+5], 16, 16)
			if err != nil {
				return "", errors.New(`\u without four digits`)
			}
			out.WriteRune(rune(n))
			i += 4
		default:
			return "", fmt.Errorf(`\%c`, c)
		}
	}
	return out.String(), nil
}
