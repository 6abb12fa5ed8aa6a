package builtin

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/acljson"
)

// maxSubjects is how many clients, users and roles may have rules.
const maxSubjects = 1_000_000

// Kind says whose rules they are.
type Kind string

// The kinds of subjects, in the order in which their rules are asked; the first rule that matches decides.
const (
	ForClient Kind = "clientid"
	ForUser   Kind = "username"
	ForRole   Kind = "role"
	ForAll    Kind = "all"
)

// Subject is whoever rules are for. Who is empty for ForAll.
type Subject struct {
	Kind Kind   `json:"kind"`
	Who  string `json:"who,omitempty"`
}

func (s Subject) key() string { return string(s.Kind) + ":" + s.Who }

func (s Subject) check() error {
	switch s.Kind {
	case ForAll:
		if s.Who != "" {
			return fmt.Errorf("%w: rules for all name nobody", ErrInvalid)
		}
		return nil
	case ForClient, ForUser, ForRole:
		return checkName(string(s.Kind), s.Who)
	}
	return fmt.Errorf("%w: rules are for a clientid, a username, a role or all", ErrInvalid)
}

// Rules are what a subject may do: a list of objects with permission, action, topic and, if wanted, qos and retain.
type Rules struct {
	Subject
	Rules json.RawMessage `json:"rules"`

	list auth.Authorizer
}

// RuleStore are the rules that the broker keeps. They are an auth.Authorizer.
type RuleStore struct {
	table   *table[Rules]
	version atomic.Uint64
}

// OpenRules reads the rules that an engine has.
func OpenRules(ctx context.Context, e Engine) (*RuleStore, error) {
	t, err := open(ctx, e, "mqtt_rules", maxSubjects, (*Rules).parse)
	return &RuleStore{table: t}, err
}

func (r *Rules) parse() (err error) {
	if err := r.check(); err != nil {
		return err
	}
	if text := strings.TrimSpace(string(r.Rules)); !strings.HasPrefix(text, "[") {
		return fmt.Errorf("%w: rules are a list", ErrInvalid)
	}
	if r.list, err = acljson.Parse(r.Rules); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// CheckRules reports what is wrong with rules that are to be set.
func CheckRules(subject Subject, rules json.RawMessage) error {
	row := Rules{Subject: subject, Rules: rules}
	return row.parse()
}

// Set replaces the rules of a subject. They hold for connected clients at once.
func (s *RuleStore) Set(ctx context.Context, subject Subject, rules json.RawMessage) error {
	row := Rules{Subject: subject, Rules: append(json.RawMessage(nil), rules...)}
	if err := row.parse(); err != nil {
		return err
	}
	err := s.table.change(ctx, subject.key(), func(Rules, bool) (Rules, error) { return row, nil })
	s.version.Add(1) // after the rules: who sees it sees them
	return err
}

// Delete removes the rules of a subject, or says ErrNotFound.
func (s *RuleStore) Delete(ctx context.Context, subject Subject) error {
	err := s.table.remove(ctx, subject.key())
	s.version.Add(1)
	return err
}

// Get returns the rules of a subject.
func (s *RuleStore) Get(subject Subject) (Rules, bool) { return s.table.get(subject.key()) }

// RuleQuery says whose rules are listed; empty fields say nothing.
type RuleQuery struct {
	Page
	Kind Kind
	Like string // part of the subject's name
}

// List returns one page of the subjects with their rules, and how many there are in all.
func (s *RuleStore) List(q RuleQuery) ([]Rules, int) {
	return s.table.list(q.Page, func(_ string, row Rules) bool {
		return (q.Kind == "" || row.Kind == q.Kind) && strings.Contains(row.Who, q.Like)
	})
}

// Check implements auth.Authorizer.
func (s *RuleStore) Check(id *auth.Identity, a auth.Access) auth.Decision {
	d := auth.NoMatch
	for subject := range subjectsOf(id) {
		if d = d.Then(func() auth.Decision { return s.of(subject, id, a) }); d != auth.NoMatch && d != auth.Narrow {
			return d
		}
	}
	return d
}

// subjectsOf lists whose rules hold for a client, in the order in which they are asked.
func subjectsOf(id *auth.Identity) iter.Seq[Subject] {
	return func(yield func(Subject) bool) {
		if !yield(Subject{ForClient, id.ClientID}) || id.Username != "" && !yield(Subject{ForUser, id.Username}) {
			return
		}
		for _, role := range id.Roles {
			if !yield(Subject{ForRole, role}) {
				return
			}
		}
		yield(Subject{Kind: ForAll})
	}
}

func (s *RuleStore) of(subject Subject, id *auth.Identity, a auth.Access) auth.Decision {
	row, ok := s.table.get(subject.key())
	if !ok || row.list == nil {
		return auth.NoMatch
	}
	return row.list.Check(id, a)
}

// Explain implements auth.Explainer, with the subject and the number of the rule that decides.
func (s *RuleStore) Explain(id *auth.Identity, a auth.Access) (d auth.Decision, grounds []auth.Ground) {
	d = auth.NoMatch
	for subject := range subjectsOf(id) {
		row, _ := s.table.get(subject.key())
		list, ok := row.list.(auth.RuleList)
		if !ok {
			continue
		}
		said, more := list.ExplainAs(id, a, "built_in.rules", func(r *auth.Rule) string {
			return strings.TrimSpace(fmt.Sprintf("rule %d of %s %s", r.Place, subject.Kind, subject.Who))
		})
		grounds = append(grounds, more...)
		if d = d.Then(func() auth.Decision { return said }); d != auth.NoMatch && d != auth.Narrow {
			return d, grounds
		}
	}
	return d, grounds
}

// Ask implements auth.Authorizer.
func (*RuleStore) Ask(context.Context, *auth.Identity, auth.Access) {}

// Version implements auth.Versioned.
func (s *RuleStore) Version() uint64 { return s.version.Load() }
