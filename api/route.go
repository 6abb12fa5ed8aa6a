package api

import (
	"net/http"
	"slices"
	"strings"
)

// Role is what somebody who uses the API may do.
type Role string

// The roles. Administrators may do everything; viewers may look; publishers may look and publish; clients are
// applications, which publish and consume under topic rules of their own and see nothing else.
const (
	Administrator Role = "administrator"
	Viewer        Role = "viewer"
	Publisher     Role = "publisher"
	Client        Role = "client"
)

// Roles are all of them.
var Roles = []Role{Administrator, Viewer, Publisher, Client}

// Access is what a route asks of the role.
type Access uint8

// The kinds of access.
const (
	Open    Access = iota // no credentials
	Look                  // administrators, viewers, publishers
	Send                  // administrators, publishers, and clients under their rules
	Consume               // administrators, and clients under their rules
	Manage                // administrators
	Anyone                // whoever has credentials
)

// allows reports whether a role has access.
func (a Access) allows(r Role) bool {
	switch a {
	case Open, Anyone:
		return true
	case Look:
		return r == Administrator || r == Viewer || r == Publisher
	case Send:
		return r == Administrator || r == Publisher || r == Client
	case Consume:
		return r == Administrator || r == Client
	}
	return r == Administrator
}

// Handler answers a request, or returns an error, best a *Problem. Nothing is written before an error is returned.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Route is one method of one path.
type Route struct {
	Method, Path string // Path is a pattern of http.ServeMux, from the root
	Access       Access
	MaxBodyBytes int64 // 0: 4 MiB
	Ticket       bool  // a ticket in the query is as good as credentials
	Quiet        bool  // it changes nothing that the audit log would note, whatever its method says
	Handler      Handler
}

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	for _, r := range s.routes {
		mux.Handle(r.Method+" "+r.Path, s.enter(r))
		allowed[r.Path] = append(allowed[r.Path], r.Method)
	}
	for path, methods := range allowed {
		if path == "/" { // a pattern that everything falls back to
			continue
		}
		slices.Sort(methods)
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			writeProblem(w, problem(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "%s is not possible here, but %s", r.Method, strings.Join(methods, ", ")))
		})
	}
	mux.HandleFunc(Base+"/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusNotFound, "NOT_FOUND", "there is no %s", r.URL.Path))
	})
	return mux
}

// enter is everything between the mux and a handler.
func (s *Server) enter(route Route) http.Handler {
	limit := route.MaxBodyBytes
	if limit == 0 {
		limit = maxBodyBytes
	}
	changes := !route.Quiet && route.Method != http.MethodGet && route.Method != http.MethodHead
	return s.measured(route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		who, err := s.admit(route, r)
		if err == nil {
			if who.Name != "" {
				k, _ := r.Context().Value(socketKey{}).(*socket)
				defer k.serves()()
			}
			r = r.WithContext(withPrincipal(r.Context(), who))
			err = route.Handler(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
		if changes && who.Name != "" {
			s.audit.note(who, r, err)
		}
	}))
}

// admit says who the request is from, if the route is open to that.
func (s *Server) admit(route Route, r *http.Request) (Principal, error) {
	if who := PrincipalOf(r.Context()); who.Trusted {
		return who, nil
	}
	if route.Access == Open {
		return Principal{}, nil
	}
	who, err := s.identifyFor(route, r)
	if err != nil {
		return Principal{}, err
	}
	if !route.Access.allows(who.Role) {
		return who, problem(http.StatusForbidden, "FORBIDDEN", "the role %s may not do this", who.Role)
	}
	return who, nil
}

// identifyFor is identify, where a route may take a ticket.
func (s *Server) identifyFor(route Route, r *http.Request) (Principal, error) {
	ticket := r.URL.Query().Get("ticket")
	if !route.Ticket || ticket == "" {
		return s.identify(r)
	}
	if who, ok := s.tickets.take(ticket); ok {
		return who, nil
	}
	return Principal{}, unauthorized("BAD_TICKET", "the ticket is unknown, was used, or has run out")
}
