package scram

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// attribute takes "<letter>=<value>" off the front of a message. rest lacks the comma; more says that there was one.
func attribute(message string, letter byte) (value, rest string, ok bool) {
	first, rest, _ := strings.Cut(message, ",")
	if len(first) < 2 || first[0] != letter || first[1] != '=' {
		return "", "", false
	}
	return first[2:], rest, true
}

// extensions reports whether what is left of a message is extensions that may be ignored: attributes with a value.
func extensions(rest string) bool {
	if rest == "" {
		return true
	}
	for part := range strings.SplitSeq(rest, ",") {
		if len(part) < 3 || !isLetter(part[0]) || part[1] != '=' || part[0] == 'm' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// nonce reports whether s is a nonce: printable ASCII without a comma.
func isNonce(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == ',' {
			return false
		}
	}
	return s != ""
}

// escapeName writes a name so that it holds neither of the characters that separate attributes.
func escapeName(name string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(name)
}

// unescapeName is the reverse of escapeName. Any other use of = is an error.
func unescapeName(s string) (string, bool) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "=")
		b.WriteString(before)
		if !found {
			break
		}
		switch {
		case strings.HasPrefix(after, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(after, "3D"):
			b.WriteByte('=')
		default:
			return "", false
		}
		s = after[2:]
	}
	name := b.String()
	return name, name != "" && printable(name)
}

// printable reports whether s is UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func decode(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil && !strings.ContainsAny(s, "\r\n")
}

// iterations reads the count that a server asks for.
func iterations(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= MinIterations && n <= MaxIterations && s[0] != '+'
}
