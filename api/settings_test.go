package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// fewSettings are two keys, one of which can change.
type fewSettings struct {
	values  map[string]string // of limits.max_connections
	persist bool              // of the last change
}

func (f *fewSettings) List() []Setting {
	all := []Setting{
		{Key: "data_dir", Value: "./data", Default: "./data", Source: "barid.yaml:3"},
		{Key: "limits.max_connections", Value: int64(0), Default: int64(0), Source: "default", Changeable: true},
		{Key: "auth.order", Value: []string{}, Default: []string{}, Source: "default"},
		{Key: "auth.allow_anonymous", Source: "default"},
	}
	if v, ok := f.values["limits.max_connections"]; ok {
		all[1].Value, all[1].Source = v, "live"
	}
	return all
}

func (f *fewSettings) Change(values map[string]*string, persist bool) ([]string, error) {
	for key, v := range values {
		switch key {
		case "limits.max_connections":
		case "data_dir":
			return nil, errors.New("data_dir: cannot change while the broker runs")
		default:
			return nil, fmt.Errorf("%s: unknown key", key)
		}
		if delete(f.values, key); v != nil {
			f.values[key] = *v
		}
	}
	f.persist = persist
	return slices.Sorted(maps.Keys(values)), nil
}

func TestTheConfigurationIsShownAndChanged(t *testing.T) {
	few := &fewSettings{values: map[string]string{}}
	b := newBench(t, func(o *Options) { o.Settings = few }).asAdmin()
	if all := b.ok("GET", "/config", "")["data"].([]any); len(all) != 4 {
		t.Errorf("%v", all)
	}
	if some := b.ok("GET", "/config?prefix=limits.", "")["data"].([]any); len(some) != 1 {
		t.Errorf("%v", some)
	}
	for value, want := range map[string]string{`7`: "7", `"8"`: "8", `true`: "true", `false`: "false", `1e9`: "1e9"} {
		b.ok("PUT", "/config?persist=true", fmt.Sprintf(`{"limits.max_connections":%s}`, value))
		if few.values["limits.max_connections"] != want || !few.persist {
			t.Errorf("%s became %v", value, few.values)
		}
	}
	if changed := b.ok("PUT", "/config", `{"limits.max_connections":null}`)["changed"]; fmt.Sprint(changed) != "[limits.max_connections]" || len(few.values) != 0 || few.persist {
		t.Errorf("%v, %v", changed, few.values)
	}
	if log := b.log.String(); !strings.Contains(log, "audit") || !strings.Contains(log, "path=/api/v5/config") {
		t.Error("a change is not noted")
	}
}

func TestAWrongChangeOfTheConfigurationIsRefused(t *testing.T) {
	b := newBench(t).asAdmin()
	for body, part := range map[string]string{
		``: "", `[]`: "", `{}`: "the body names no key", `{"a":[1]}`: "a: a string, a number, true, false or null goes there",
		`{"a":{"b":1}}`: "a: a string", `{"a":1}x`: "the body", `{"data_dir":"/x"}`: "data_dir: cannot change while the broker runs",
	} {
		b.fails("PUT", "/config", body, http.StatusBadRequest, "BAD_REQUEST", part)
	}
	b.fails("PUT", "/config?persist=perhaps", `{"a":1}`, http.StatusBadRequest, "BAD_REQUEST", "persist")
	b.fails("GET", "/config?page=1", "", http.StatusBadRequest, "BAD_REQUEST", "page")
}

func TestOnlyAdministratorsSeeTheConfiguration(t *testing.T) {
	b := newBench(t).asAdmin()
	key := b.ok("POST", "/api_key", `{"name":"v","role":"viewer","enable":true}`)
	b.header = "Basic " + base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(key["api_key"], ":", key["api_secret"])))
	b.fails("GET", "/config", "", http.StatusForbidden, "FORBIDDEN", "viewer")
	b.fails("PUT", "/config", `{"limits.max_connections":1}`, http.StatusForbidden, "FORBIDDEN", "viewer")
}
