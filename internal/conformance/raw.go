package conformance

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// AppendRaw appends bytes that are written out, word by word:
//
//	30 0a1b      bytes in hexadecimal
//	"abc"        the bytes of a quoted string
//	s"abc"       the same, behind their length in two bytes
//	41*300       a byte, 300 times
//	( … )        what is between, behind its length as a variable byte integer
func AppendRaw(dst []byte, line string) ([]byte, error) {
	words, err := splitWords(line)
	if err != nil {
		return nil, err
	}
	out, rest, err := appendGroup(dst, words)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("a ) too many in %q", line)
	}
	return out, err
}

// appendGroup stops at a ")" without its "(" and returns the words from there.
func appendGroup(dst []byte, words []string) (out []byte, rest []string, err error) {
	for len(words) > 0 && words[0] != ")" {
		word := words[0]
		words = words[1:]
		if word == "(" {
			var inner []byte
			if inner, words, err = appendGroup(nil, words); err != nil {
				return nil, nil, err
			}
			if len(words) == 0 {
				return nil, nil, fmt.Errorf("a ) is missing")
			}
			dst, words = append(appendVarInt(dst, len(inner)), inner...), words[1:]
			continue
		}
		if dst, err = appendRawWord(dst, word); err != nil {
			return nil, nil, err
		}
	}
	return dst, words, nil
}

func appendRawWord(dst []byte, word string) ([]byte, error) {
	if quoted, ok := strings.CutPrefix(word, `s"`); ok {
		s, err := strconv.Unquote(`"` + quoted)
		return appendString(dst, s), err
	}
	if strings.HasPrefix(word, `"`) {
		s, err := strconv.Unquote(word)
		return append(dst, s...), err
	}
	count := 1
	digits, times, repeated := strings.Cut(word, "*")
	if repeated {
		n, err := strconv.Atoi(times)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", word, err)
		}
		count = n
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", word, err)
	}
	for range count {
		dst = append(dst, b...)
	}
	return dst, nil
}
