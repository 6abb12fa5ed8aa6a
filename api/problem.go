package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/storage"
)

// Problem is an answer that says why there is no other.
type Problem struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Retry   int    `json:"-"` // seconds after which it may be tried again; 0: not said
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Message }

func problem(status int, code, format string, args ...any) *Problem {
	return &Problem{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// BadRequest is a request that cannot be understood: the message names the field.
func BadRequest(format string, args ...any) error {
	return problem(http.StatusBadRequest, "BAD_REQUEST", format, args...)
}

// NotFound is a resource that is not there. code is EMQX's, such as CLIENTID_NOT_FOUND.
func NotFound(code, format string, args ...any) error {
	return problem(http.StatusNotFound, code, format, args...)
}

// Conflict is a resource that is there already, or in another state than it must be.
func Conflict(code, format string, args ...any) error {
	return problem(http.StatusConflict, code, format, args...)
}

// Unavailable is what may go well later.
func Unavailable(format string, args ...any) error {
	p := problem(http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", format, args...)
	p.Retry = 1
	return p
}

// limitReached is what a limit of the configuration has no room for.
func limitReached(format string, args ...any) error {
	p := problem(http.StatusServiceUnavailable, "LIMIT_REACHED", format, args...)
	p.Retry = 10
	return p
}

// notKept translates why the engine did not keep a change.
func notKept(err error) error {
	switch {
	case errors.Is(err, storage.ErrFull):
		p := problem(http.StatusServiceUnavailable, "QUOTA_EXCEEDED", "there is no room to keep it")
		p.Retry = 1
		return p
	case errors.Is(err, storage.ErrBusy):
		return Unavailable("the broker is busy")
	case errors.Is(err, broker.ErrStopping), errors.Is(err, storage.ErrClosed):
		return Unavailable("the broker is stopping")
	}
	return err
}

// Forbidden is what the caller may not do.
func Forbidden(format string, args ...any) error {
	return problem(http.StatusForbidden, "FORBIDDEN", format, args...)
}

// fail answers with an error. What is no Problem is ours, and the caller learns no details of it.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *Problem
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &large):
		p = problem(http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE", "the body may have %d bytes", large.Limit)
	case r.Context().Err() != nil:
		p = problem(http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", "the request was broken off")
	default:
		s.log.Error("the API met an error", "method", r.Method, "path", r.URL.Path, "error", err)
		p = problem(http.StatusInternalServerError, "INTERNAL_ERROR", "an error inside the broker; its log says more")
	}
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="barid"`) // not Basic: browsers would ask for a password by themselves
	}
	if p.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.Retry))
	}
	WriteJSON(w, p.Status, p)
}

// WriteJSON answers with a value.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"code":"INTERNAL_ERROR","message":"the answer could not be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// NoContent answers that it is done, with nothing to show.
func NoContent(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }
