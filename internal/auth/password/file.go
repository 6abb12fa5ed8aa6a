package password

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// LineError is what is wrong with a line of a password file.
type LineError struct {
	File    string // empty: it is not from a file
	Line    int    // from 1
	Problem error
}

// Error implements error.
func (e *LineError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("line %d: %v", e.Line, e.Problem)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Problem)
}

// Unwrap returns the problem.
func (e *LineError) Unwrap() error { return e.Problem }

// ParseFile reads a password file: user:hash a line, in Mosquitto's formats or ours. Lines that begin with # and blank
// ones do not count. All that is wrong is returned at once, a *LineError each, joined.
func ParseFile(text []byte) (map[string]Hash, error) { return parse("", text) }

func parse(file string, text []byte) (map[string]Hash, error) {
	users := make(map[string]Hash)
	first := make(map[string]int)
	var errs []error
	for n, line := range lines(text) {
		if !meansUser(line) {
			continue
		}
		user, h, err := parseLine(line)
		if err == nil && first[user] != 0 {
			err = fmt.Errorf("user %q is there twice, first on line %d", user, first[user])
		}
		if err != nil {
			errs = append(errs, &LineError{File: file, Line: n + 1, Problem: err})
			continue
		}
		users[user], first[user] = h, n+1
	}
	return users, errors.Join(errs...)
}

// byteOrderMark is what some editors begin a file with. It is no part of the first user's name.
const byteOrderMark = "\ufeff"

// lines are those of a text, without what ends them.
func lines(text []byte) []string {
	all := strings.Split(strings.TrimSuffix(strings.TrimPrefix(string(text), byteOrderMark), "\n"), "\n")
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], "\r")
	}
	return all
}

// meansUser reports whether a line is about a user.
func meansUser(line string) bool {
	return strings.TrimSpace(line) != "" && line[0] != '#'
}

func parseLine(line string) (user string, h Hash, err error) {
	user, hash, ok := strings.Cut(line, ":")
	if !ok {
		return "", h, errors.New("no : between user and hash")
	}
	if err := checkUser(user); err != nil {
		return "", h, err
	}
	h, err = Parse(strings.TrimRight(hash, " \t"))
	return user, h, err
}

// checkUser says what is wrong with a username for a password file.
func checkUser(user string) error {
	switch {
	case strings.TrimSpace(user) == "":
		return errors.New("an empty username")
	case !utf8.ValidString(user) || strings.ContainsAny(user, "\x00\r\n"):
		return errors.New("a username with characters that MQTT does not allow")
	case strings.Contains(user, ":"):
		return fmt.Errorf("the username %q holds a : which ends it in a password file", user)
	case user[0] == '#':
		return fmt.Errorf("the username %q begins with # as comments do", user)
	}
	return nil
}
