package broker

import "sync"

// registry knows every session by its client id, and lets one CONNECT of a client at a time change that.
type registry struct {
	mu      sync.Mutex
	clients map[string]*client
	gates   map[string]*gate
	coming  int // sessions that have a place and are not put yet

	run func(fn func()) // on a goroutine that the broker joins; static
}

// gate is closed while a CONNECT of one client id is under way.
type gate struct{ waiting []func(leave func()) }

func newRegistry(run func(fn func())) *registry {
	return &registry{run: run, clients: make(map[string]*client), gates: make(map[string]*gate)}
}

// enter runs fn once no other CONNECT of the client is under way; until leave is called, none is. It may run fn now, or
// later, on the goroutine that calls an earlier leave.
func (r *registry) enter(id string, fn func(leave func())) {
	r.mu.Lock()
	if g := r.gates[id]; g != nil {
		g.waiting = append(g.waiting, fn)
		r.mu.Unlock()
		return
	}
	r.gates[id] = &gate{}
	r.mu.Unlock()
	fn(func() { r.leave(id) })
}

func (r *registry) leave(id string) {
	r.mu.Lock()
	g := r.gates[id]
	if len(g.waiting) == 0 {
		delete(r.gates, id)
		r.mu.Unlock()
		return
	}
	fn := g.waiting[0]
	g.waiting = g.waiting[1:]
	r.mu.Unlock()
	r.run(func() { fn(func() { r.leave(id) }) }) // not on this stack: a thousand waiting CONNECTs would nest
}

func (r *registry) get(id string) *client {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clients[id]
}

// reserve takes a place for a new session; false: there are as many as may be. put or unreserve follows.
func (r *registry) reserve(limit int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limit > 0 && len(r.clients)+r.coming >= limit {
		return false
	}
	r.coming++
	return true
}

// unreserve gives a place back.
func (r *registry) unreserve() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.coming--
}

// put enters a session that has a place.
func (r *registry) put(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.coming--
	r.clients[c.id] = c
}

// remove forgets a session, if it is still the client's.
func (r *registry) remove(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients[c.id] == c {
		delete(r.clients, c.id)
	}
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.clients)
}

// all lists the sessions that there are.
func (r *registry) all() []*client {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*client, 0, len(r.clients))
	for _, c := range r.clients {
		all = append(all, c)
	}
	return all
}
