package api

import (
	"net/http"
	"runtime/pprof"
	"sync"
	"time"
)

// profiles show where the process spends its time and memory, in the form that `go tool pprof` reads. They are for
// administrators: a profile costs a few per cent while it is taken.
type profiles struct {
	taking sync.Mutex // the runtime takes one profile of the processor at a time
}

// profileSeconds is how long one of the processor may take.
const profileSeconds = 60

// Routes implements Resource.
func (p *profiles) Routes() []Route {
	return []Route{{Method: "GET", Path: "/debug/pprof/{profile}", Access: Manage, Handler: p.get}}
}

func (p *profiles) get(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	switch name := r.PathValue("profile"); name {
	case "profile":
		seconds := q.Int("seconds", 10, 1, profileSeconds)
		if err := q.Done(); err != nil {
			return err
		}
		return p.processor(w, r, time.Duration(seconds)*time.Second)
	case "heap", "allocs", "goroutine", "threadcreate":
		if err := q.Done(); err != nil {
			return err
		}
		binary(w)
		return pprof.Lookup(name).WriteTo(w, 0)
	default:
		return NotFound("NOT_FOUND", "there is no profile %q, but profile, heap, allocs, goroutine and threadcreate", name)
	}
}

// processor takes a profile of the processor for a while, or for as long as the client stays.
func (p *profiles) processor(w http.ResponseWriter, r *http.Request, d time.Duration) error {
	if !p.taking.TryLock() {
		return Conflict("PROFILE_UNDER_WAY", "a profile of the processor is being taken; try again when it is done")
	}
	defer p.taking.Unlock()
	binary(w)
	if err := pprof.StartCPUProfile(w); err != nil { // somebody else in the process takes one
		return Conflict("PROFILE_UNDER_WAY", "%s", err.Error())
	}
	defer pprof.StopCPUProfile()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
	return nil
}

func binary(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/octet-stream") }
