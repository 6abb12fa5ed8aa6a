package api

import (
	"html"
	"net/http"
	"strings"
	"testing"
)

func TestTheDashboardIsAtTheRootAndNowhereElse(t *testing.T) {
	b := newBench(t)
	rec := b.raw("GET", "/", "", "")
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "<title>Barid</title>") || rec.Header().Get("X-Frame-Options") != "DENY" ||
		!strings.Contains(rec.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("/ answered %d %v", rec.Code, rec.Header())
	}
	for path, want := range map[string]int{"/ui/app.js": 200, "/nothing": 404, "/index.html": 404, "/ui/": 404, "/mqtt": 404} {
		if rec := b.raw("GET", path, "", ""); rec.Code != want {
			t.Errorf("%s answered %d, not %d", path, rec.Code, want)
		}
	}
	if rec := b.raw("POST", "/", "", ""); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST / answered %d", rec.Code)
	}
}

func TestTheReferenceHasEveryOperationOfTheContract(t *testing.T) {
	b := newBench(t)
	rec := b.raw("GET", "/reference", "", "")
	if rec.Code != http.StatusOK || !strings.Contains(rec.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("/reference answered %d %v", rec.Code, rec.Header())
	}
	page := html.UnescapeString(rec.Body.String())
	for _, op := range b.contract.operations() {
		method, path, _ := strings.Cut(op, " ")
		if !strings.Contains(page, `aria-label="Link to `+method+" "+path+`"`) {
			t.Errorf("the reference lacks %s", op)
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("a template was refused by its context")
	}
}
