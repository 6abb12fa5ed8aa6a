package api

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// guard is what protects browsers' users: pages of other origins cannot use the API unless they are listed, nor can a
// name that somebody points at this address (DNS rebinding).
func (s *Server) guard(next http.Handler) http.Handler {
	s.cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusForbidden, "CROSS_ORIGIN", "a page of %q may not do this: add that to api.cors_origins", r.Header.Get("Origin")))
	}))
	checked := s.cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hurry(w, r)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if !s.knowsHost(r.Host) {
			writeProblem(w, problem(http.StatusMisdirectedRequest, "HOST_NOT_ALLOWED", "%q is not a name of this server: add it to api.hosts", r.Host))
			return
		}
		origin := r.Header.Get("Origin")
		if origin != "" && slices.Contains(s.opts.Origins, origin) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Add("Vary", "Origin")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
				h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
				h.Set("Access-Control-Max-Age", "600")
				NoContent(w)
				return
			}
		}
		if !utf8.ValidString(r.URL.Path) || strings.ContainsRune(r.URL.Path, 0) { // no name here is like that
			writeProblem(w, problem(http.StatusBadRequest, "BAD_REQUEST", "the path is no UTF-8 without NUL"))
			return
		}
		checked.ServeHTTP(w, r)
	})
}

// knowsHost reports whether a request may name this host. An address or localhost is no name that a stranger can
// point elsewhere. With a list of hosts, other names must be in it; without, they must not reach a loopback listener,
// which is what rebinding is for.
func (s *Server) knowsHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "" {
		return true
	}
	if len(s.opts.Hosts) == 0 {
		return !s.opts.LoopbackOnly
	}
	return slices.ContainsFunc(s.opts.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}
