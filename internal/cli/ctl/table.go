package ctl

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// column is one column of a table, or one line of an object.
type column struct {
	title string
	field string             // its path in the answer, with dots
	show  func(v any) string // nil: format
}

// at follows a path of fields.
func at(v any, path string) any {
	for path != "" {
		m, _ := v.(map[string]any)
		if whole, ok := m[path]; ok { // names may have dots
			return whole
		}
		var field string
		field, path, _ = strings.Cut(path, ".")
		v = m[field]
	}
	return v
}

func (c *column) of(row any) string {
	v := at(row, c.field)
	if c.show != nil {
		return clean(c.show(v))
	}
	return clean(format(v))
}

// format says a value of JSON as people read it.
func format(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		if v == "" {
			return "-"
		}
		return shortTime(v)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = format(v[i])
		}
		if len(parts) == 0 {
			return "-"
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+"="+format(v[k]))
		}
		return strings.Join(parts, " ")
	}
	return fmt.Sprint(v)
}

// shortTime says a time of the API in the zone of whoever reads it.
func shortTime(v string) string {
	if len(v) < len("2006-01-02T15:04:05Z") || v[4] != '-' || v[10] != 'T' {
		return v
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return v
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// count says how many there are.
func count(v any) string {
	all, _ := v.([]any)
	return strconv.Itoa(len(all))
}

// seconds says a number of seconds as people do.
func seconds(v any) string {
	n, ok := v.(float64)
	if !ok {
		return format(v)
	}
	if n == 1<<32-1 {
		return "never"
	}
	return (time.Duration(n) * time.Second).String()
}

// clean keeps what clients chose (names, topics) from driving the terminal: it escapes what is no printable text.
func clean(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) {
			q := strconv.QuoteToASCII(s[:n])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// printTable prints rows in aligned columns.
func printTable(w io.Writer, rows []any, columns []column) {
	widths := make([]int, len(columns))
	cells := make([][]string, 0, len(rows)+1)
	head := make([]string, len(columns))
	for i := range columns {
		head[i] = columns[i].title
	}
	cells = append(cells, head)
	for _, row := range rows {
		line := make([]string, len(columns))
		for i := range columns {
			line[i] = columns[i].of(row)
		}
		cells = append(cells, line)
	}
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, line := range cells {
		for i, cell := range line {
			b.WriteString(cell)
			if i < len(line)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	_, _ = io.WriteString(w, b.String())
}

// printObject prints one object, a line for each column that it has, and then what no column is for.
func printObject(w io.Writer, object map[string]any, columns []column) {
	type line struct{ title, value string }
	var lines []line
	known := map[string]bool{}
	for i := range columns {
		c := &columns[i]
		first, _, _ := strings.Cut(c.field, ".")
		known[first], known[c.field] = true, true
		if at(object, c.field) != nil {
			lines = append(lines, line{c.title, c.of(object)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !known[name] {
			lines = append(lines, line{strings.ReplaceAll(clean(name), "_", " "), clean(format(object[name]))})
		}
	}
	width := 0
	for _, l := range lines {
		width = max(width, utf8.RuneCountInString(l.title))
	}
	for _, l := range lines {
		title := strings.ToLower(l.title)
		fmt.Fprintf(w, "%s%s  %s\n", title, strings.Repeat(" ", width-utf8.RuneCountInString(title)), l.value)
	}
}
