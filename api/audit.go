package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// auditEntries is how many changes are remembered, over restarts too: past it, each takes the place of the oldest.
	auditEntries = 10_000
	// auditQueue is how many may wait to be kept. Past it one is in memory and in the log only.
	auditQueue = 1000
	// auditKind is the documents' kind; their names are places in the ring.
	auditKind = "api_audit"
)

// audit remembers who changed what: whoever is called at night wants to know of yesterday.
type audit struct {
	now  func() time.Time
	log  *slog.Logger
	docs Documents

	mu      sync.Mutex // guards what follows
	entries []auditEntry
	seq     uint64 // of the next entry
	closed  bool   // nothing is kept any more

	queue chan auditEntry // to the writer
	done  chan struct{}   // closed when the writer has ended
}

type auditEntry struct {
	Seq    uint64    `json:"-"`
	At     time.Time `json:"created_at"`
	Source string    `json:"source"`    // who
	IP     string    `json:"source_ip"` // from where
	Role   Role      `json:"role"`
	Method string    `json:"http_method"`
	Path   string    `json:"http_path"`
	Result string    `json:"operation_result"` // success or failure
	Code   string    `json:"failure,omitempty"`
}

// auditDocument is an entry as it is kept.
type auditDocument struct {
	Seq uint64 `json:"seq"`
	auditEntry
}

// newAudit reads what is kept, and starts the writer, which close ends.
func newAudit(now func() time.Time, log *slog.Logger, docs Documents) (*audit, error) {
	kept, err := loadAll[auditDocument](context.Background(), docs, auditKind)
	if err != nil {
		return nil, err
	}
	a := &audit{now: now, log: log, docs: docs, queue: make(chan auditEntry, auditQueue), done: make(chan struct{})}
	for _, d := range kept {
		d.auditEntry.Seq = d.Seq
		a.entries = append(a.entries, d.auditEntry)
		a.seq = max(a.seq, d.Seq+1)
	}
	slices.SortFunc(a.entries, func(x, y auditEntry) int { return int(int64(x.Seq - y.Seq)) })
	go a.write()
	return a, nil
}

// write keeps entries, one after the other, until the queue is closed.
func (a *audit) write() {
	defer close(a.done)
	for e := range a.queue {
		name := fmt.Sprintf("%05d", e.Seq%auditEntries)
		doc, err := json.Marshal(auditDocument{e.Seq, e})
		if err == nil {
			err = a.docs.Put(context.Background(), auditKind, name, doc)
		}
		if err != nil {
			a.log.Error("an entry of the audit log is not kept", "path", e.Path, "error", err)
		}
	}
}

// close keeps what waits, and ends the writer.
func (a *audit) close() {
	a.mu.Lock()
	a.closed = true
	close(a.queue)
	a.mu.Unlock()
	<-a.done
}

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
	e.Seq = a.seq
	a.seq++
	a.entries = append(a.entries, e)
	if len(a.entries) > auditEntries {
		a.entries = slices.Delete(a.entries, 0, len(a.entries)-auditEntries)
	}
	if a.closed {
		return
	}
	select {
	case a.queue <- e: // in the order of their numbers
	default:
		a.log.Warn("the audit log falls behind: an entry is in this log only", "path", e.Path)
	}
}

func (a *audit) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page, source, result := q.Page(), q.String("source"), q.OneOf("operation_result", "success", "failure")
	within := q.between("created_at")
	if err := q.Done(); err != nil {
		return err
	}
	a.mu.Lock()
	var newest []auditEntry
	for _, e := range slices.Backward(a.entries) {
		if (source == "" || e.Source == source) && (result == "" || e.Result == result) && within(e.At) {
			newest = append(newest, e)
		}
	}
	a.mu.Unlock()
	WriteJSON(w, http.StatusOK, Of(page, newest))
	return nil
}
