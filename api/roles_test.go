package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
)

// may is what the roles are for, said once more and apart from the routes.
func may(role Role, method, path string) bool {
	path = strings.TrimPrefix(path, Base)
	under := func(parents ...string) bool {
		for _, p := range parents {
			if path == p || strings.HasPrefix(path, p+"/") {
				return true
			}
		}
		return false
	}
	switch {
	case role == Administrator,
		!strings.HasPrefix(path, "/") || under("/login", "/logout", "/openapi.yaml"),
		strings.HasSuffix(path, "/change_pwd"): // of oneself; the handler sees to that
		return true
	case under("/api_key", "/users", "/audit", "/debug", "/trace", "/config", "/configs"):
		return false
	case under("/publish"):
		return role == Publisher || role == Client
	case method == http.MethodGet && (path == "/consumers" || path == "/consumers/{name}"):
		return true // a client: those that its rules cover
	case under("/consumers", "/stream"):
		return role == Client
	case under("/history"):
		return true // a client: under its rules
	case role == Client:
		return false
	}
	return method == http.MethodGet
}

// Each role on each route: 403 exactly where the table above says so.
func TestEachRoleOnEachRoute(t *testing.T) {
	for _, role := range Roles {
		t.Run(string(role), func(t *testing.T) {
			b := newBenchWith(t, func(c *config.Config) {}).asAdmin()
			k := b.ok("POST", "/api_key", fmt.Sprintf(`{"name":"k","role":%q}`, role))
			header := "Basic " + base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(k["api_key"], ":", k["api_secret"])))
			for _, r := range b.Routes() {
				if r.Access == Open || r.Method == http.MethodDelete && strings.HasPrefix(r.Path, Base+"/api_key") {
					continue
				}
				path := strings.NewReplacer("{", "", "...}", "", "}", "").Replace(r.Path)
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond) // streams of events have no end
				req := httptest.NewRequestWithContext(ctx, r.Method, path+"?no_such_thing=1", strings.NewReader("{"))
				req.Host = "localhost"
				req.Header.Set("Authorization", header)
				rec := httptest.NewRecorder()
				b.ServeHTTP(rec, req)
				cancel()
				if forbidden := rec.Code == http.StatusForbidden; forbidden == may(role, r.Method, r.Path) {
					t.Errorf("%s %s answered %d %s", r.Method, r.Path, rec.Code, rec.Body)
				}
			}
		})
	}
}
