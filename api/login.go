package api

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// A token of a login.
const (
	tokenLife  = time.Hour
	tokenCount = 4096 // past it, the oldest go
)

// Failed logins.
const (
	loginTries  = 5 // of one address in loginWindow
	loginWindow = time.Minute
	loginPeers  = 4096
)

// tokens are what logins gave out, or tickets. They are gone with the process.
type tokens struct {
	now   func() time.Time
	life  time.Duration
	count int        // past it, the oldest go
	mu    sync.Mutex // guards the rest
	known map[[sha256.Size]byte]token
	order [][sha256.Size]byte
}

type token struct {
	who   Principal
	until time.Time
}

func newTokens(now func() time.Time, life time.Duration, count int) *tokens {
	return &tokens{now: now, life: life, count: count, known: make(map[[sha256.Size]byte]token)}
}

// issue makes a token.
func (t *tokens) issue(p Principal) string {
	text := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[sum] = token{p, t.now().Add(t.life)}
	t.order = append(t.order, sum)
	for len(t.order) > t.count {
		delete(t.known, t.order[0])
		t.order = t.order[1:]
	}
	return text
}

// find looks a token up by its hash, so that the time which that takes says nothing of it.
func (t *tokens) find(text string) (Principal, bool) {
	sum := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.known[sum]
	if !ok || t.now().After(k.until) {
		return Principal{}, false
	}
	return k.who, true
}

// take is find for what is good once.
func (t *tokens) take(text string) (Principal, bool) {
	p, ok := t.find(text)
	if !ok {
		return p, false
	}
	sum := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok = t.known[sum]; ok { // another may have been faster
		delete(t.known, sum)
	}
	return p, ok
}

// revoke forgets one token, or all of a user's.
func (t *tokens) revoke(match func(sum [sha256.Size]byte, p Principal) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for sum, k := range t.known {
		if match(sum, k.who) {
			delete(t.known, sum)
		}
	}
}

// loginResource is POST /login and /logout.
type loginResource struct {
	s     *Server
	mu    sync.Mutex // guards tries
	tries map[string]*tries
}

type tries struct {
	count int
	since time.Time
}

func (s *Server) login() Resource { return &loginResource{s: s, tries: make(map[string]*tries)} }

// Routes implements Resource.
func (l *loginResource) Routes() []Route {
	return []Route{
		{Method: "POST", Path: Base + "/login", Access: Open, MaxBodyBytes: 4 << 10, Handler: l.login},
		{Method: "POST", Path: Base + "/logout", Access: Anyone, Quiet: true, MaxBodyBytes: 4 << 10, Handler: l.logout},
	}
}

func (l *loginResource) login(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	peer := peerOf(r.RemoteAddr)
	if wait := l.begin(peer); wait > 0 {
		p := problem(http.StatusTooManyRequests, "TOO_MANY_REQUESTS", "too many failed logins; wait %d s", wait)
		p.Retry = wait
		return p
	}
	who, ok, err := l.s.users.check(r.Context(), in.Username, in.Password)
	if err != nil {
		return err
	}
	if ok {
		l.succeeded(peer)
	} else {
		l.s.log.Warn("a login to the API failed", "username", in.Username, "from", peer)
		return unauthorized("BAD_USERNAME_OR_PWD", "the username or the password is wrong")
	}
	WriteJSON(w, http.StatusOK, map[string]any{
		"token": l.s.tokens.issue(who), "role": who.Role, "version": l.s.opts.Version, "expires_in": int(tokenLife.Seconds()),
	})
	return nil
}

func (l *loginResource) logout(w http.ResponseWriter, r *http.Request) error {
	if _, value, ok := cutBearer(r); ok {
		sum := sha256.Sum256([]byte(value))
		l.s.tokens.revoke(func(known [sha256.Size]byte, _ Principal) bool { return known == sum })
	}
	NoContent(w)
	return nil
}

// peerOf is whose tries are counted together: an address, or of IPv6 a network, of which one machine has all addresses.
func peerOf(remote string) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			return network.String()
		}
	}
	return addr.String()
}

// begin counts a try as failed before it is made, so that many at a time are not more than one after the other. It
// returns for how many seconds the peer may not try again.
func (l *loginResource) begin(peer string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.s.opts.Now()
	t := l.tries[peer]
	if t == nil || now.Sub(t.since) >= loginWindow {
		if t == nil && len(l.tries) >= loginPeers {
			clear(l.tries) // an attack from everywhere: hashing's own bound slows that
		}
		t = &tries{since: now}
		l.tries[peer] = t
	}
	if t.count >= loginTries {
		return int(t.since.Add(loginWindow).Sub(now)/time.Second) + 1
	}
	t.count++
	return 0
}

// succeeded forgets the tries of a peer that knew the password.
func (l *loginResource) succeeded(peer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tries, peer)
}
