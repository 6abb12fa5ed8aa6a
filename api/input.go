package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a page.
const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// ReadJSON decodes the body into v, strictly: unknown fields, values of another type and anything after the value are
// errors that name the field.
func ReadJSON(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return BadRequest("the body ended early")
	}
	switch text := bytes.TrimSpace(body); {
	case len(text) == 0:
		return BadRequest("the body is empty, where JSON is expected")
	case string(text) == "null":
		return BadRequest("the body is null, where something is expected")
	case !utf8.Valid(body): // or else the decoder would put something in place of what is not valid
		return BadRequest("the body is no UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badJSON(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return BadRequest("the body has something after the JSON value")
	}
	return nil
}

func badJSON(err error) error {
	var typed *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &typed) && typed.Field != "":
		return BadRequest("%s: a JSON %s does not fit there", typed.Field, typed.Value)
	case errors.As(err, &typed):
		return BadRequest("a JSON %s does not fit here", typed.Value)
	case errors.As(err, &syntax):
		return BadRequest("the body is no JSON: %v at byte %d", syntax, syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return BadRequest("the body is no JSON: it ends early")
	}
	return BadRequest("%s", strings.TrimPrefix(err.Error(), "json: "))
}

// Query reads parameters of a request, and remembers the first that is wrong.
type Query struct {
	values url.Values
	known  []string
	err    error
}

// NewQuery reads the parameters of r.
func NewQuery(r *http.Request) *Query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &Query{values: values}
	if err != nil {
		q.err = BadRequest("the query string cannot be read: %v", err)
	}
	for name, vs := range values {
		for _, v := range vs {
			if q.err == nil && (!utf8.ValidString(name+v) || strings.ContainsRune(v, 0)) {
				q.err = BadRequest("%q: is no UTF-8 without NUL", name)
			}
		}
	}
	return q
}

func (q *Query) wrong(name, format string, args ...any) {
	if q.err == nil {
		q.err = BadRequest(name+": "+format, args...)
	}
}

// Has reports whether a parameter is there.
func (q *Query) Has(name string) bool {
	q.known = append(q.known, name)
	return q.values.Has(name)
}

// String returns a parameter; empty: it is not there.
func (q *Query) String(name string) string {
	q.known = append(q.known, name)
	if v := q.values[name]; len(v) > 1 {
		q.wrong(name, "may be given once")
	}
	return q.values.Get(name)
}

// Strings returns every value of a parameter.
func (q *Query) Strings(name string) []string {
	q.known = append(q.known, name)
	return q.values[name]
}

// Int returns a number within bounds, or fallback if the parameter is not there.
func (q *Query) Int(name string, fallback, low, high int) int {
	v := q.String(name)
	if v == "" {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		q.wrong(name, "%q is no number from %d to %d", v, low, high)
		return fallback
	}
	return n
}

// Bool returns true or false; nil: the parameter is not there.
func (q *Query) Bool(name string) *bool {
	v := q.String(name)
	if v == "" {
		return nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		q.wrong(name, "%q is neither true nor false", v)
	}
	return &b
}

// OneOf returns a parameter that must be one of values; empty: it is not there.
func (q *Query) OneOf(name string, values ...string) string {
	v := q.String(name)
	if v != "" && !slices.Contains(values, v) {
		q.wrong(name, "%q is none of %s", v, strings.Join(values, ", "))
	}
	return v
}

// oneOf reports that a field of a body has none of the values that there are.
func oneOf(field, value string, values ...string) error {
	switch {
	case slices.Contains(values, value):
		return nil
	case value == "":
		return BadRequest("%s: is missing", field)
	}
	return BadRequest("%s: %q is none of %s", field, value, strings.Join(values, ", "))
}

// maxText is how long a text for people may be.
const maxText = 4096

// checkText reports what is wrong with a text that is kept for people to read.
func checkText(field, text string) error {
	if len(text) > maxText || strings.ContainsRune(text, 0) {
		return BadRequest("%s: may have %d bytes, and no NUL", field, maxText)
	}
	return nil
}

// Done returns the first error, or that of a parameter which nobody asked for.
func (q *Query) Done() error {
	if q.err != nil {
		return q.err
	}
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			return BadRequest("%s: there is no such parameter here", name)
		}
	}
	return nil
}

// Page is which part of a list is asked for.
type Page struct{ Number, Limit int }

// Page reads page and limit.
func (q *Query) Page() Page {
	return Page{Number: q.Int("page", 1, 1, 1<<31-1), Limit: q.Int("limit", defaultLimit, 1, maxLimit)}
}

// meta describes the page of so many items.
func (p Page) meta(total int) Meta {
	return Meta{Page: p.Number, Limit: p.Limit, Count: total, HasNext: p.Skip()+p.Limit < total}
}

// Skip is how many items come before the page.
func (p Page) Skip() int { return (p.Number - 1) * p.Limit }

// Meta describes a page.
type Meta struct {
	Page    int  `json:"page"`
	Limit   int  `json:"limit"`
	Count   int  `json:"count"`
	HasNext bool `json:"hasnext"`
}

// List is a page of a list.
type List[T any] struct {
	Data []T  `json:"data"`
	Meta Meta `json:"meta"`
}

// Of cuts the page out of all items, of which there are so many.
func Of[T any](p Page, all []T) List[T] {
	first := min(p.Skip(), len(all))
	if p.Skip() < 0 {
		first = len(all)
	}
	last := min(first+p.Limit, len(all))
	data := all[first:last]
	if data == nil {
		data = []T{}
	}
	return List[T]{Data: data, Meta: p.meta(len(all))}
}
