package api

import (
	"fmt"
	"net/http"
)

// healthResource is what load balancers and Kubernetes ask. It is open, and tells no details.
type healthResource struct{ s *Server }

func (s *Server) health() Resource { return healthResource{s} }

// Routes implements Resource.
func (h healthResource) Routes() []Route {
	return []Route{
		{Method: "GET", Path: "/status", Access: Open, Handler: h.status},
		{Method: "GET", Path: "/healthz", Access: Open, Handler: h.alive},
		{Method: "GET", Path: "/readyz", Access: Open, Handler: h.ready},
	}
}

func (h healthResource) isReady() error {
	if h.s.opts.Ready == nil {
		return nil
	}
	return h.s.opts.Ready()
}

// status answers as EMQX's /status does.
func (h healthResource) status(w http.ResponseWriter, _ *http.Request) error {
	state, status := "running", http.StatusOK
	if h.isReady() != nil {
		state, status = "not_running", http.StatusServiceUnavailable
	}
	return text(w, status, fmt.Sprintf("Node %s is started\nbarid is %s", h.s.opts.Node, state))
}

// alive says that the process answers at all.
func (h healthResource) alive(w http.ResponseWriter, _ *http.Request) error {
	return text(w, http.StatusOK, "ok")
}

// ready says that clients may be sent here.
func (h healthResource) ready(w http.ResponseWriter, _ *http.Request) error {
	if h.isReady() != nil {
		return text(w, http.StatusServiceUnavailable, "not ready")
	}
	return text(w, http.StatusOK, "ok")
}

func text(w http.ResponseWriter, status int, body string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, body)
	return nil
}
