package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
)

// rulesPath is where rules are, by EMQX's path.
const rulesPath = Base + "/authorization/sources/built_in_database/rules"

// allRules are those for everybody.
type allRules struct{ access AccessControl }

type rulesInput struct {
	Rules json.RawMessage `json:"rules"`
}

// Routes implements Resource.
func (a *allRules) Routes() []Route {
	const path = rulesPath + "/all"
	return []Route{
		{Method: "GET", Path: path, Access: Look, Handler: a.get},
		{Method: "POST", Path: path, Access: Manage, Handler: a.set},
		{Method: "DELETE", Path: path, Access: Manage, Handler: a.remove},
	}
}

func (a *allRules) get(w http.ResponseWriter, _ *http.Request) error {
	out := rulesInput{Rules: json.RawMessage("[]")}
	if row, ok := a.access.Rules().Get(builtin.Subject{Kind: builtin.ForAll}); ok {
		out.Rules = row.Rules
	}
	WriteJSON(w, http.StatusOK, out)
	return nil
}

func (a *allRules) set(w http.ResponseWriter, r *http.Request) error {
	var in rulesInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if in.Rules == nil {
		return BadRequest("rules: is missing")
	}
	if err := a.access.Rules().Set(r.Context(), builtin.Subject{Kind: builtin.ForAll}, in.Rules); err != nil {
		return refused("rules", err)
	}
	NoContent(w)
	return nil
}

func (a *allRules) remove(w http.ResponseWriter, r *http.Request) error {
	if err := refused("rules", a.access.Rules().Delete(r.Context(), builtin.Subject{Kind: builtin.ForAll})); err != nil {
		return err
	}
	NoContent(w)
	return nil
}

// rules are those of one kind of subject: clients, users or roles.
type rules struct {
	access AccessControl
	kind   builtin.Kind
	plural string     // in the path
	field  string     // what the subject is called in JSON
	mu     sync.Mutex // held by whoever adds some, so that two do not add the same
}

// Routes implements Resource.
func (s *rules) Routes() []Route {
	path := rulesPath + "/" + s.plural
	one := path + "/{" + s.field + "}"
	return []Route{
		{Method: "GET", Path: path, Access: Look, Handler: s.list},
		{Method: "POST", Path: path, Access: Manage, Handler: s.create},
		{Method: "GET", Path: one, Access: Look, Handler: s.get},
		{Method: "PUT", Path: one, Access: Manage, Handler: s.set},
		{Method: "DELETE", Path: one, Access: Manage, Handler: s.remove},
	}
}

// subjectRules are the rules of one subject in JSON, whose name is the kind's field.
type subjectRules map[string]json.RawMessage

// read checks that there is nothing in it but the subject and its rules. fallback is the subject that the path names.
func (s *rules) read(in subjectRules, where, fallback string) (subject builtin.Subject, list json.RawMessage, err error) {
	subject = builtin.Subject{Kind: s.kind, Who: fallback}
	for name, value := range in {
		switch name {
		case s.field:
			if err := json.Unmarshal(value, &subject.Who); err != nil || bytes.Equal(value, []byte("null")) {
				return subject, nil, BadRequest("%s%s: a string goes there", where, s.field)
			}
		case "rules":
			list = value
		default:
			return subject, nil, BadRequest("%sunknown field %q", where, name)
		}
	}
	switch {
	case subject.Who == "":
		return subject, nil, BadRequest("%s%s: is missing", where, s.field)
	case fallback != "" && subject.Who != fallback:
		return subject, nil, BadRequest("%s%s: is another than in the path", where, s.field)
	case list == nil:
		return subject, nil, BadRequest("%srules: is missing", where)
	}
	if err := builtin.CheckRules(subject, list); err != nil {
		return subject, nil, refused(where+"rules", err)
	}
	return subject, list, nil
}

func (s *rules) view(row *builtin.Rules) map[string]any {
	return map[string]any{s.field: row.Who, "rules": row.Rules}
}

func (s *rules) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page, like := q.Page(), q.String("like_"+s.field)
	if err := q.Done(); err != nil {
		return err
	}
	rows, total := s.access.Rules().List(builtin.RuleQuery{
		Page: builtin.Page{Page: page.Number, Limit: page.Limit}, Kind: s.kind, Like: like})
	views := make([]map[string]any, len(rows))
	for i := range rows {
		views[i] = s.view(&rows[i])
	}
	WriteJSON(w, http.StatusOK, List[map[string]any]{Data: views, Meta: page.meta(total)})
	return nil
}

// create adds rules of many subjects. All are checked before the first is added.
func (s *rules) create(w http.ResponseWriter, r *http.Request) error {
	var in []subjectRules
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if len(in) > maxChanges {
		return BadRequest("at most %d at a time", maxChanges)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	subjects, lists := make([]builtin.Subject, len(in)), make([]json.RawMessage, len(in))
	seen := make(map[string]bool, len(in))
	for i := range in {
		var err error
		where := fmt.Sprintf("[%d].", i)
		if subjects[i], lists[i], err = s.read(in[i], where, ""); err != nil {
			return err
		}
		who := subjects[i].Who
		if seen[who] {
			return BadRequest("%s%s: %q is there twice", where, s.field, who)
		}
		seen[who] = true
		if _, known := s.access.Rules().Get(subjects[i]); known {
			return Conflict("ALREADY_EXISTS", "%s%s: %q has rules already: PUT replaces them", where, s.field, who)
		}
	}
	for i := range subjects {
		if err := s.access.Rules().Set(r.Context(), subjects[i], lists[i]); err != nil {
			return refused("rules", err)
		}
	}
	NoContent(w)
	return nil
}

func (s *rules) get(w http.ResponseWriter, r *http.Request) error {
	who := r.PathValue(s.field)
	row, ok := s.access.Rules().Get(builtin.Subject{Kind: s.kind, Who: who})
	if !ok {
		return NotFound("NOT_FOUND", "there are no rules of %s %q", s.field, who)
	}
	WriteJSON(w, http.StatusOK, s.view(&row))
	return nil
}

func (s *rules) set(w http.ResponseWriter, r *http.Request) error {
	var in subjectRules
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	subject, list, err := s.read(in, "", r.PathValue(s.field))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.access.Rules().Set(r.Context(), subject, list); err != nil {
		return refused("rules", err)
	}
	NoContent(w)
	return nil
}

func (s *rules) remove(w http.ResponseWriter, r *http.Request) error {
	subject := builtin.Subject{Kind: s.kind, Who: r.PathValue(s.field)}
	if err := refused(s.field, s.access.Rules().Delete(r.Context(), subject)); err != nil {
		return err
	}
	NoContent(w)
	return nil
}
