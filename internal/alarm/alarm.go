// Package alarm keeps what is wrong with the broker right now, and what was: conditions that somebody has to look at, by
// name, from when they began until they are over. It has no goroutine; whoever watches a condition raises its alarm and
// clears it.
package alarm

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// historyLimit is how many alarms are remembered after they are over; the oldest go first.
const historyLimit = 1000

// Alarm is a condition that holds, or held.
type Alarm struct {
	Name          string         // says which condition it is: one of a name is active at most
	Message       string         // one line for a human: what is wrong, and what to do
	Details       map[string]any // the same as values; nobody changes it
	ActivatedAt   time.Time
	DeactivatedAt time.Time // zero: it is active
}

// Active reports whether the condition still holds.
func (a *Alarm) Active() bool { return a.DeactivatedAt.IsZero() }

// Duration is for how long the condition held, or holds at now.
func (a *Alarm) Duration(now time.Time) time.Duration {
	if a.Active() {
		return now.Sub(a.ActivatedAt)
	}
	return a.DeactivatedAt.Sub(a.ActivatedAt)
}

// Observer hears of alarms that begin and end, in order, one at a time. It must not call the registry.
type Observer func(a Alarm)

// Registry holds the alarms of one broker. Its methods may be called from any goroutine. Make it with New.
type Registry struct {
	observe Observer

	mu      sync.Mutex
	active  map[string]Alarm
	history []Alarm // by the time they ended, oldest first
	limit   int
}

// New makes a registry without alarms. observe may be nil.
func New(observe Observer) *Registry {
	if observe == nil {
		observe = func(Alarm) {}
	}
	return &Registry{observe: observe, active: make(map[string]Alarm), limit: historyLimit}
}

// Activate says that a condition holds. If it is known to, only what it says is brought up to date. It reports whether
// the alarm is new.
func (r *Registry) Activate(name, message string, details map[string]any) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, known := r.active[name]
	if !known {
		a = Alarm{Name: name, ActivatedAt: time.Now()}
	}
	a.Message, a.Details = message, details
	r.active[name] = a
	if !known {
		r.observe(a)
	}
	return !known
}

// Deactivate says that a condition is over. It reports whether it was known to hold.
func (r *Registry) Deactivate(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, known := r.active[name]
	if !known {
		return false
	}
	delete(r.active, name)
	a.DeactivatedAt = time.Now()
	if n := len(r.history) + 1 - r.limit; n > 0 {
		r.history = slices.Delete(r.history, 0, n)
	}
	r.history = append(r.history, a)
	r.observe(a)
	return true
}

// Set activates or deactivates an alarm as holds says.
func (r *Registry) Set(name string, holds bool, message string, details map[string]any) {
	if holds {
		r.Activate(name, message, details)
	} else {
		r.Deactivate(name)
	}
}

// Active lists the alarms that hold, by name.
func (r *Registry) Active() []Alarm {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.active), func(a, b Alarm) int { return strings.Compare(a.Name, b.Name) })
}

// Holds reports whether an alarm holds.
func (r *Registry) Holds(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.active[name]
	return ok
}

// ActiveCount returns how many alarms hold.
func (r *Registry) ActiveCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.active)
}

// History lists the alarms that are over, the newest first.
func (r *Registry) History() []Alarm {
	r.mu.Lock()
	defer r.mu.Unlock()
	past := slices.Clone(r.history)
	slices.Reverse(past)
	return past
}

// ClearHistory forgets the alarms that are over.
func (r *Registry) ClearHistory() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = nil
}
