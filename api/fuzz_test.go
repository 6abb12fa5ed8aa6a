package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzReadJSON has bodies read for what handlers read them into. Whatever comes, an error is one for the client to mend.
func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{
		`{"topic":"a/b","payload":"x","qos":1,"retain":true,"properties":{"user_properties":{"a":"b"}}}`,
		`{"name":"key","role":"client","topics":{"publish":["a/%n"],"consume":["#"]},"expired_at":"2030-01-03T00:00:00Z"}`,
		`{"limits.max_connections":1000,"logging.level":"debug","a":null}`, `[{}]`, `{"a":`, "\xff", `{"topic":{}}`, `{"qos":1e400}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		request := func() *http.Request { return httptest.NewRequest("POST", "/", strings.NewReader(body)) }
		errs := []error{ReadJSON(request(), &publishInput{}), ReadJSON(request(), &keyInput{})}
		_, err := readSettings(request())
		for _, err := range append(errs, err) {
			p, ok := err.(*Problem)
			if err != nil && (!ok || p.Status != http.StatusBadRequest || p.Message == "") {
				t.Errorf("%q: %v", body, err)
			}
		}
	})
}

// FuzzQuery has queries read. Nothing but what a reader asked for is taken.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"page=2&limit=10", "page=-1", "limit=99999999999999999999", "a=%zz", "page=1&page=2", "flag=perhaps", "kind=x;y", "%00=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = raw
		q := NewQuery(r)
		page := q.Page()
		n := q.Int("n", 5, 1, 10)
		q.Bool("flag")
		kind := q.OneOf("kind", "tcp", "tls")
		if err := q.Done(); err != nil {
			return
		}
		if n < 1 || n > 10 || page.Limit < 1 || page.Limit > maxLimit || page.Number < 1 || kind != "" && kind != "tcp" && kind != "tls" {
			t.Errorf("%q is taken as %d, %+v, %q", raw, n, page, kind)
		}
	})
}
