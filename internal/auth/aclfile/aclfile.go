// Package aclfile grants what an ACL file in Mosquitto's format says:
//
//	topic [read|write|readwrite|deny] <filter>     before any user line: for clients without a username
//	user <name>                                    the topic lines that follow are for that user
//	pattern [read|write|readwrite|deny] <filter>   for everyone, with %c for the client id and %u for the username
//
// The lines of a client's user are asked first, then the patterns, and in each of both what is denied before what is
// granted. What no line is about is for others to decide, and denied in the end. Patterns hold for no client whose id or
// username has a + or # in it.
//
// Mosquitto grants every SUBSCRIBE and looks at each delivery. Here a SUBSCRIBE that could give nothing that is granted
// is refused, and deliveries are looked at where the filter is wider than what is granted; who gets which message is the
// same.
package aclfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/barid-mqtt/barid/internal/auth"
)

// Rules are what a file says.
type Rules struct {
	anonymous auth.RuleList
	users     map[string]auth.RuleList
	patterns  auth.RuleList
}

// LineError is what is wrong with a line of an ACL file.
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

// Parse reads an ACL file. All that is wrong is returned at once, a *LineError each, joined.
func Parse(text []byte) (*Rules, error) { return parse("", text) }

func parse(file string, text []byte) (*Rules, error) {
	p := &parser{rules: &Rules{users: make(map[string]auth.RuleList)}}
	var errs []error
	n := 0
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\ufeff")))) {
		n++
		if err := p.line(n, strings.TrimRight(line, " \t\r\n\v\f")); err != nil {
			errs = append(errs, &LineError{File: file, Line: n, Problem: err})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	p.rules.denyFirst()
	return p.rules, nil
}

// parser reads line by line.
type parser struct {
	rules *Rules
	user  string // of the last user line; empty: none yet
}

func (p *parser) line(n int, line string) error {
	if strings.HasPrefix(line, "#") {
		return nil
	}
	word, rest, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
	rest = strings.Trim(rest, " \t")
	switch word {
	case "":
		return nil
	case "user":
		if rest == "" {
			return errors.New("user without a name")
		}
		p.user = rest
		return nil
	case "topic":
		r, err := rule(rest, auth.Literal)
		if err != nil {
			return err
		}
		r.Place = n
		if p.user == "" {
			p.rules.anonymous = append(p.rules.anonymous, r)
		} else {
			p.rules.users[p.user] = append(p.rules.users[p.user], r)
		}
		return nil
	case "pattern":
		r, err := rule(rest, auth.ParsePattern)
		if err == nil {
			r.Place = n
			p.rules.patterns = append(p.rules.patterns, r)
		}
		return err
	}
	return fmt.Errorf("%q is not one of topic, user, pattern", word)
}

// rule reads what follows topic or pattern.
func rule(text string, template func(string) (auth.Template, error)) (r auth.Rule, err error) {
	if text == "" {
		return r, errors.New("no topic filter")
	}
	r = auth.Rule{Allow: true, Publish: true, Subscribe: true}
	if access, filter, ok := strings.Cut(text, " "); ok {
		switch access {
		case "read":
			r.Publish = false
		case "write":
			r.Subscribe = false
		case "readwrite":
		case "deny":
			r.Allow = false
		default:
			return r, fmt.Errorf("%q is not one of read, write, readwrite, deny; a filter with a space in it needs one before it", access)
		}
		text = strings.TrimLeft(filter, " \t")
	}
	r.Topic, err = template(text)
	return r, err
}

// denyFirst puts what is denied before what is granted.
func (r *Rules) denyFirst() {
	r.anonymous, r.patterns = denyFirst(r.anonymous), denyFirst(r.patterns)
	for user, list := range r.users {
		r.users[user] = denyFirst(list)
	}
}

func denyFirst(list auth.RuleList) auth.RuleList {
	sorted := make(auth.RuleList, 0, len(list))
	for _, allow := range []bool{false, true} {
		for _, r := range list {
			if r.Allow == allow {
				sorted = append(sorted, r)
			}
		}
	}
	return sorted
}

// Check says what the rules say, and NoMatch where they say nothing.
func (r *Rules) Check(id *auth.Identity, a auth.Access) auth.Decision {
	return r.own(id).Check(id, a).Then(func() auth.Decision { return r.patternsFor(id).Check(id, a) })
}

// own are the rules of the client's user, or of those without one.
func (r *Rules) own(id *auth.Identity) auth.RuleList {
	if id.Username != "" {
		return r.users[id.Username]
	}
	return r.anonymous
}

// patternsFor are the patterns, for whom they hold.
func (r *Rules) patternsFor(id *auth.Identity) auth.RuleList {
	if strings.ContainsAny(id.ClientID, "+#") || strings.ContainsAny(id.Username, "+#") {
		return nil
	}
	return r.patterns
}

// Source is an auth.Authorizer by an ACL file.
type Source struct {
	name    string
	rules   atomic.Pointer[Rules]
	version atomic.Uint64
}

// New returns the rules of a file, none before Reload.
func New(name string) *Source {
	s := &Source{name: name}
	s.rules.Store(new(Rules))
	return s
}

// Reload reads the file. If that fails, the rules stay as they were.
func (s *Source) Reload() error {
	text, err := os.ReadFile(s.name)
	if err != nil {
		return err
	}
	rules, err := parse(s.name, text)
	if err != nil {
		return err
	}
	s.rules.Store(rules)
	s.version.Add(1) // after the rules: who sees it sees them
	return nil
}

// Check implements auth.Authorizer.
func (s *Source) Check(id *auth.Identity, a auth.Access) auth.Decision {
	return s.rules.Load().Check(id, a)
}

// Explain implements auth.Explainer, with the line of the file that decides.
func (s *Source) Explain(id *auth.Identity, a auth.Access) (auth.Decision, []auth.Ground) {
	r := s.rules.Load()
	line := func(r *auth.Rule) string { return fmt.Sprintf("%s:%d", s.name, r.Place) }
	d, grounds := r.own(id).ExplainAs(id, a, "acl_file", line)
	return d.Then(func() auth.Decision {
		e, more := r.patternsFor(id).ExplainAs(id, a, "acl_file", line)
		grounds = append(grounds, more...)
		return e
	}), grounds
}

// Ask implements auth.Authorizer.
func (*Source) Ask(context.Context, *auth.Identity, auth.Access) {}

// Version implements auth.Versioned.
func (s *Source) Version() uint64 { return s.version.Load() }
