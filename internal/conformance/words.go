package conformance

import (
	"fmt"
	"strconv"
	"strings"
)

// stripComment cuts a comment off a line, and the space around it. A comment is a '#' that begins a word and is followed
// by a space, so that topic filters need quotes only where they are "#" alone.
func stripComment(line string) string {
	quoted := false
	for i := range len(line) {
		switch line[i] {
		case '"':
			quoted = !quoted || i > 0 && line[i-1] == '\\'
		case '#':
			begins := i == 0 || line[i-1] == ' ' || line[i-1] == '\t'
			if ends := i+1 == len(line) || line[i+1] == ' '; begins && ends && !quoted {
				return strings.TrimSpace(line[:i])
			}
		}
	}
	return strings.TrimSpace(line)
}

// splitWords splits a line at spaces outside of double quotes. Quotes stay in the words; unquote takes them away.
func splitWords(line string) ([]string, error) {
	var words []string
	for i := 0; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		end, err := wordEnd(line, i)
		if err != nil {
			return nil, err
		}
		words = append(words, line[i:end])
		i = end
	}
	return words, nil
}

func wordEnd(line string, i int) (int, error) {
	for quoted := false; ; i++ {
		switch {
		case i == len(line) && quoted:
			return 0, fmt.Errorf("a quote is not closed in %q", line)
		case i == len(line), !quoted && (line[i] == ' ' || line[i] == '\t'):
			return i, nil
		case quoted && line[i] == '\\':
			i++
		case line[i] == '"':
			quoted = !quoted
		}
	}
}

// unquote returns what a value stands for: a "quoted" Go string, text*n for text repeated n times, or itself.
func unquote(value string) (string, error) {
	if text, count, ok := strings.Cut(value, "*"); ok && text != "" {
		if n, err := strconv.Atoi(count); err == nil {
			text, err = unquote(text)
			return strings.Repeat(text, n), err
		}
	}
	if !strings.HasPrefix(value, `"`) {
		return value, nil
	}
	s, err := strconv.Unquote(value)
	if err != nil {
		return "", fmt.Errorf("the value %s: %w", value, err)
	}
	return s, nil
}

// quote is the inverse of unquote.
func quote(s string) string {
	if len(s) > 40 && strings.Count(s, s[:1]) == len(s) {
		return fmt.Sprintf("%s*%d", quote(s[:1]), len(s))
	}
	plain := s != "" && !strings.ContainsAny(s, "\"\\# ,*@")
	for _, r := range s {
		plain = plain && r > ' ' && r < 0x7f
	}
	if plain && s != "-" {
		return s
	}
	return strconv.QuoteToASCII(s)
}
