package scramauth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/pkg/scram"
)

// Set returns the text of a file in which the user has credentials of the password for both mechanisms, in the place of
// those that it may have had.
func Set(text []byte, user, password string, iterations int) ([]byte, error) {
	if user == "" || user[0] == '#' || strings.ContainsAny(user, ":\r\n") {
		return nil, fmt.Errorf("%q cannot be a user of this file: no colon, no line end and no # in front", user)
	}
	rest, _ := without(text, user)
	for _, h := range []scram.Hash{scram.SHA256, scram.SHA512} {
		c, err := scram.NewCredentials(h, password, iterations)
		if err != nil {
			return nil, err
		}
		rest = append(rest, user+":"+c.String()...)
		rest = append(rest, '\n')
	}
	return rest, nil
}

// Remove returns the text of a file without a user.
func Remove(text []byte, user string) ([]byte, error) {
	rest, found := without(text, user)
	if !found {
		return nil, errors.New("there is no such user in it")
	}
	return rest, nil
}

func without(text []byte, user string) (rest []byte, found bool) {
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(line, ":"); ok && name == user {
			found = true
			continue
		}
		rest = append(rest, line...)
	}
	if n := len(rest); n > 0 && rest[n-1] != '\n' {
		rest = append(rest, '\n')
	}
	return rest, found
}
