package api

import (
	"bufio"
	"net"
	"net/http"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
)

// scrape is /metrics, for Prometheus, and EMQX's path of the same.
type scrape struct {
	handler   http.Handler // nil: there is nothing to show
	anonymous bool         // without credentials
}

// Routes implements Resource.
func (s scrape) Routes() []Route {
	access := Look
	if s.anonymous {
		access = Open
	}
	return []Route{
		{Method: "GET", Path: "/metrics", Access: access, Handler: s.get},
		{Method: "GET", Path: Base + "/prometheus/stats", Access: access, Handler: s.get},
	}
}

func (s scrape) get(w http.ResponseWriter, r *http.Request) error {
	if s.handler == nil {
		return NotFound("NOT_FOUND", "there are no metrics")
	}
	s.handler.ServeHTTP(w, r)
	return nil
}

// ServeMetrics answers the connections of ln with the metrics only, until Close. It returns at once.
func (s *Server) ServeMetrics(ln net.Listener) {
	mux := http.NewServeMux()
	for _, r := range s.scrape.Routes() {
		mux.Handle(r.Method+" "+r.Path, s.inner)
	}
	s.serve(ln, mux)
}

// Requests are those that were served, by route.
func (s *Server) Requests() []*metrics.Requests { return s.requests }

// measured counts what a handler does, for one route.
func (s *Server) measured(route Route, next http.Handler) http.Handler {
	m := &metrics.Requests{Method: route.Method, Route: route.Path}
	s.requests = append(s.requests, m)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, seen := time.Now(), &statusWriter{ResponseWriter: w}
		defer func() {
			m.Took.Observe(time.Since(begun))
			m.Status[seen.status/100%len(m.Status)].Inc()
		}()
		next.ServeHTTP(seen, r)
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher, where the writer below can.
func (w *statusWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack implements http.Hijacker, where the writer below can.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status = http.StatusSwitchingProtocols
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
