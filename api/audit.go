package api

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// auditEntries is how many changes are remembered; the log has all of them.
const auditEntries = 1000

// audit remembers who changed what.
type audit struct {
	now func() time.Time
	log *slog.Logger

	mu      sync.Mutex // guards entries: a ring
	entries []auditEntry
	next    int
}

type auditEntry struct {
	At     time.Time `json:"created_at"`
	Source string    `json:"source"`    // who
	IP     string    `json:"source_ip"` // from where
	Role   Role      `json:"role"`
	Method string    `json:"http_method"`
	Path   string    `json:"http_path"`
	Result string    `json:"operation_result"` // success or failure
	Code   string    `json:"failure,omitempty"`
}

func newAudit(now func() time.Time, log *slog.Logger) *audit { return &audit{now: now, log: log} }

// Routes implements Resource.
func (a *audit) Routes() []Route {
	return []Route{{Method: "GET", Path: Base + "/audit", Access: Manage, Handler: a.list}}
}

// note takes down what a request did, without its body, which may hold secrets.
func (a *audit) note(who Principal, r *http.Request, err error) {
	e := auditEntry{At: a.now().UTC(), Source: who.Name, Role: who.Role, Method: r.Method, Path: r.URL.Path, Result: "success"}
	e.IP, _, _ = net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		e.Result, e.Code = "failure", "INTERNAL_ERROR"
		var p *Problem
		if errors.As(err, &p) {
			e.Code = p.Code
		}
	}
	a.log.Info("audit", "who", e.Source, "role", e.Role, "from", e.IP, "method", e.Method, "path", e.Path, "result", e.Result, "failure", e.Code)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.entries) < auditEntries {
		a.entries = append(a.entries, e)
		return
	}
	a.entries[a.next] = e
	a.next = (a.next + 1) % auditEntries
}

func (a *audit) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page := q.Page()
	if err := q.Done(); err != nil {
		return err
	}
	a.mu.Lock()
	n := len(a.entries)
	newest := make([]auditEntry, n)
	for i := range n {
		newest[n-1-i] = a.entries[(a.next+i)%n]
	}
	a.mu.Unlock()
	WriteJSON(w, http.StatusOK, Of(page, newest))
	return nil
}
