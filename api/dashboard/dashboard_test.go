package dashboard

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(s *Site, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	return rec
}

func TestFilesAreServedWithTheirTypeAndPolicy(t *testing.T) {
	s := new(Site)
	for path, kind := range map[string]string{
		"/": "text/html", "/ui/app.js": "text/javascript", "/ui/css/base.css": "text/css", "/ui/icon.svg": "image/svg+xml", "/ui/pages/clients.js": "text/javascript",
	} {
		rec := get(s, path)
		if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), kind) || rec.Header().Get("Content-Security-Policy") != Policy || rec.Body.Len() == 0 {
			t.Errorf("%s answered %d %v", path, rec.Code, rec.Header())
		}
	}
	for _, path := range []string{"/ui/nothing.js", "/ui/../dashboard.go", "/ui/../../api.go", "/ui/pages", "/ui/%00", "/ui/package.json"} {
		if rec := get(s, path); rec.Code != http.StatusNotFound {
			t.Errorf("%s answered %d", path, rec.Code)
		}
	}
}

func TestWhatABrowserHasIsNotSentAgain(t *testing.T) {
	s := new(Site)
	first := get(s, "/ui/app.js", "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(first.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil || first.Header().Get("Content-Encoding") != "gzip" || string(body) != get(s, "/ui/app.js").Body.String() {
		t.Errorf("compressed: %v, %v", err, first.Header())
	}
	if rec := get(s, "/ui/app.js", "If-None-Match", first.Header().Get("Etag")); rec.Code != http.StatusNotModified || rec.Body.Len() > 0 {
		t.Errorf("asked again: %d, %d bytes", rec.Code, rec.Body.Len())
	}
}

// TestEveryFileThatIsNamedIsThere keeps scripts, styles and modules from naming files that are gone, and files from being
// there that nothing names.
func TestEveryFileThatIsNamedIsThere(t *testing.T) {
	named := map[string]bool{"index.html": true}
	imports := regexp.MustCompile(`(?:from|import\() ?['"](\.[^'"]+)['"]`)
	assets := regexp.MustCompile(`(?:src|href)="ui/([^"]+)"`)
	routes := regexp.MustCompile(`(?m)^\s*(?:page\('(\w+)'|detail\('\w+', '[^']+', '(\w+)'\))`)
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(static, name)
		for _, m := range imports.FindAllStringSubmatch(string(text), -1) {
			named[strings.TrimPrefix(path.Join(path.Dir(name), m[1]), "static/")] = true
		}
		for _, m := range assets.FindAllStringSubmatch(string(text), -1) {
			named[m[1]] = true
		}
		if name == "static/pages.js" {
			for _, m := range routes.FindAllStringSubmatch(string(text), -1) {
				named["pages/"+m[1]+m[2]+".js"] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	reference, err := os.ReadFile("../apidoc/page.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range assets.FindAllStringSubmatch(string(reference), -1) {
		named[m[1]] = true
	}
	for name := range named {
		if _, err := fs.Stat(static, "static/"+name); err != nil && !strings.Contains(name, "$") {
			t.Error(err)
		}
	}
	_ = fs.WalkDir(static, "static", func(name string, d fs.DirEntry, _ error) error {
		if !d.IsDir() && !named[strings.TrimPrefix(name, "static/")] {
			t.Errorf("nothing names %s", name)
		}
		return nil
	})
}

// TestNothingIsLoadedFromElsewhere: the page works without a network.
func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	_ = fs.WalkDir(static, "static", func(name string, d fs.DirEntry, _ error) error {
		if d.IsDir() {
			return nil
		}
		text, err := fs.ReadFile(static, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`https?://[^\s'"]+`).FindAllString(string(text), -1) {
			if !strings.HasPrefix(m, "http://www.w3.org/2000/svg") {
				t.Errorf("%s names %s", name, m)
			}
		}
		for _, bad := range []string{"innerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "style="} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s has %s, which the policy forbids", name, bad)
			}
		}
		return nil
	})
}
