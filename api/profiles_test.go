package api

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func TestProfilesAreForAdministrators(t *testing.T) {
	b := newBench(t).asAdmin()
	for _, name := range []string{"heap", "allocs", "goroutine", "threadcreate", "profile?seconds=1"} {
		code, body := b.do("GET", "debug/pprof/"+name, "")
		if text, _ := body.(string); code != http.StatusOK || !strings.HasPrefix(text, "\x1f\x8b") { // gzip, as pprof reads it
			t.Errorf("%s answered %d, %d bytes", name, code, len(text))
		}
	}
	b.fails("GET", "debug/pprof/cmdline", "", 404, "NOT_FOUND", "heap")
	b.fails("GET", "debug/pprof/profile?seconds=61", "", 400, "BAD_REQUEST", "seconds")
	b.fails("GET", "debug/pprof/heap?gc=1", "", 400, "BAD_REQUEST", "gc")
	p := &profiles{}
	p.taking.Lock()
	err := p.processor(nil, nil, 0)
	if problem, ok := err.(*Problem); !ok || problem.Status != http.StatusConflict {
		t.Errorf("a second one at a time: %v", err)
	}
	made := b.ok("POST", "/api_key", `{"name":"looks","role":"viewer"}`)
	b.header = "Basic " + base64.StdEncoding.EncodeToString([]byte(made["api_key"].(string)+":"+made["api_secret"].(string)))
	b.fails("GET", "debug/pprof/heap", "", 403, "FORBIDDEN", "")
}
