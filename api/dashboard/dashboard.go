// Package dashboard is the page at the API's address. It is made of the files in static as they are, ES modules and style
// sheets: nothing is built, and nothing is loaded from elsewhere.
//
//	static/app.js    starts it: session, frame, pages by the part of the address after #
//	static/lib/      what has no look: the API, the session, formats, the DOM
//	static/ui/       what pages are made of: tables, dialogs, charts, forms
//	static/mqtt/     a client of MQTT 5 over WebSocket
//	static/pages/    one file a page, loaded when it is first shown
package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed static
var static embed.FS

// Policy is what pages may do: nothing but load what this server has and talk to it. Scripts and styles are files, and no
// script can write markup.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// file is one of static. It is read and compressed when it is first asked for.
type file struct {
	kind  string // its Content-Type
	plain []byte
	gzip  []byte
	tag   string
}

// Site serves the files.
type Site struct {
	mu    sync.Mutex // guards files
	files map[string]*file
}

// ServeHTTP answers with the file that a path below /ui/ names, and to / with index.html.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := "index.html"
	if r.URL.Path != "/" {
		name = strings.TrimPrefix(r.URL.Path, "/ui/")
	}
	f := s.find(name)
	if f == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	Protect(h)
	h.Set("Cache-Control", "no-cache") // asked for again each time, and answered with 304
	h.Set("Etag", f.tag)
	h.Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && len(f.gzip) < len(body) {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	_, _ = w.Write(body)
}

// Protect sets what browsers have to keep to on a page.
func Protect(h http.Header) {
	h.Set("Content-Security-Policy", Policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
}

// find returns a file; nil: there is none.
func (s *Site) find(name string) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[name]; f != nil {
		return f
	}
	body, err := fs.ReadFile(static, path.Join("static", path.Clean("/"+name)))
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(body)
	f := &file{kind: mime.TypeByExtension(path.Ext(name)), plain: body, gzip: compress(body), tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	if s.files == nil {
		s.files = make(map[string]*file)
	}
	s.files[name] = f
	return f
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // to memory: neither fails
	_ = z.Close()
	return b.Bytes()
}
