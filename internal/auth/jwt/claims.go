package jwt

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// ParseExpectation reads "claim=template". Placeholders of the template are %c and ${clientid} for the client id, %u and
// ${username} for the username.
func ParseExpectation(s string) (Expectation, error) {
	claim, template, ok := strings.Cut(s, "=")
	if claim = strings.TrimSpace(claim); !ok || claim == "" {
		return Expectation{}, fmt.Errorf("%q is not claim=value, for example sub=${clientid}", s)
	}
	return Expectation{claim, strings.TrimSpace(template)}, nil
}

func (e Expectation) check(claims map[string]any, clientID, username string) error {
	if username == "" && (strings.Contains(e.Template, "%u") || strings.Contains(e.Template, "${username}")) {
		return fmt.Errorf("claim %s must be the username, and the client has none", e.Claim)
	}
	want := strings.NewReplacer("%c", clientID, "${clientid}", clientID, "%u", username, "${username}", username).Replace(e.Template)
	if !holds(claims[e.Claim], want) {
		return fmt.Errorf("claim %s is not %q", e.Claim, want)
	}
	return nil
}

// holds reports whether a claim is that text, or a list that has it.
func holds(claim any, want string) bool {
	switch v := claim.(type) {
	case string:
		return v == want
	case json.Number:
		return v.String() == want
	case bool:
		return fmt.Sprint(v) == want
	case []any:
		for _, item := range v {
			if s, ok := item.(string); ok && s == want {
				return true
			}
		}
	}
	return false
}

// ExpiresAt returns when the token says that it ends; zero: never.
func (c Claims) ExpiresAt() time.Time {
	n, ok := c["exp"].(json.Number)
	if !ok {
		return time.Time{}
	}
	f, err := n.Float64()
	if err != nil || f > maxUnixSeconds {
		return time.Time{} // so far away that no connection sees it
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(fraction*1e9))
}

// maxUnixSeconds is the end of the year 9999.
const maxUnixSeconds = 253402300799

// Text returns a claim that is a text, or nothing.
func (c Claims) Text(name string) string {
	s, _ := c[name].(string)
	return s
}

// True reports whether a claim is true.
func (c Claims) True(name string) bool {
	b, _ := c[name].(bool)
	return b
}

// JSON returns a claim as JSON again; nil: the token has none.
func (c Claims) JSON(name string) []byte {
	v, ok := c[name]
	if !ok {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil // cannot be: it was read from JSON
	}
	return text
}
