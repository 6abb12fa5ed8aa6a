package api

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// The seconds since 1970 that times may have: those that RFC 3339 can say.
const lastSecond = 253402300799

// readMoment reads a time in JSON: RFC 3339, or seconds or milliseconds since 1970. It is zero for what is left out, for
// null and for "infinity".
func readMoment(field string, raw json.RawMessage) (t time.Time, err error) {
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(raw, &text); err != nil {
			return t, BadRequest("%s: %v", field, err)
		}
	}
	if text == "" && raw == nil || text == "null" || text == "infinity" {
		return t, nil
	}
	t, ok := parseTime(text)
	if !ok {
		return t, BadRequest("%s: %q is neither a time such as 2030-01-31T12:00:00Z nor a number of seconds nor infinity", field, text)
	}
	return t.UTC(), nil
}

// Time returns a time, given in RFC 3339 or in seconds or milliseconds since 1970; zero: the parameter is not there.
func (q *Query) Time(name string) time.Time {
	v := q.String(name)
	if v == "" {
		return time.Time{}
	}
	t, ok := parseTime(v)
	if !ok {
		q.wrong(name, "%q is neither a time such as 2030-01-31T12:00:00Z nor a number of seconds", v)
	}
	return t
}

// parseTime reads a time of the API: RFC 3339, or seconds since 1970, or milliseconds where the number is large.
func parseTime(v string) (t time.Time, ok bool) {
	n, err := strconv.ParseInt(v, 10, 64)
	switch {
	case err != nil:
		t, err = time.Parse(time.RFC3339, strings.Replace(v, " ", "+", 1)) // a + in a query may be a space
	case n > 1e11:
		t = time.UnixMilli(n)
	default:
		t = time.Unix(n, 0)
	}
	return t, err == nil && t.Unix() >= 0 && t.Unix() <= lastSecond
}
