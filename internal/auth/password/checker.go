package password

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

// waiting is how many clients may wait for a hash: at Mosquitto's default of 101 iterations a matter of a second, at
// stronger hashes long enough that those further back had better try again.
const waiting = 10_000

// User is what a source knows of a user.
type User struct {
	Hash      Hash
	Superuser bool
	Roles     []string
}

// Source is where users are looked up. Its methods are called from many goroutines.
type Source interface {
	// Find returns a user, from memory.
	Find(username string) (User, bool)
	// Typical returns a hash with the parameters that most of the source's users have; the zero Hash: it has no user.
	Typical() Hash
}

// Checker is an auth.Authenticator by username and password. Clients whose username no source knows are passed on.
type Checker struct {
	sources []Source
	gate    *auth.Gate
	recent  *recent

	mu    sync.Mutex
	decoy *Hash
	like  Hash // what decoy was made after
}

// NewChecker returns a checker that asks sources in order; the first that knows a user decides.
func NewChecker(sources ...Source) *Checker {
	return &Checker{sources: sources, gate: auth.NewGate(runtime.GOMAXPROCS(0), waiting), recent: newRecent()}
}

// Authenticate implements auth.Authenticator.
func (c *Checker) Authenticate(ctx context.Context, r *auth.Request) (auth.Identity, error) {
	if !r.HasUsername {
		return auth.Identity{}, auth.ErrPass
	}
	u, known := c.find(r.Username)
	if !r.HasPassword {
		return auth.Identity{}, wrong(known, "no password")
	}
	hash := &u.Hash
	if !known {
		hash = c.unknown()
	}
	d := c.recent.digest(r.Username, r.Password, hash)
	if !c.recent.has(d) {
		matches := false
		err := c.gate.Do(ctx, func() error {
			matches = hash.Matches(r.Password)
			return nil
		})
		if err != nil {
			return auth.Identity{}, err
		}
		if !matches || !known {
			return auth.Identity{}, wrong(known, "wrong password")
		}
		c.recent.add(d)
	}
	return auth.Identity{ClientID: r.ClientID, Username: r.Username, Superuser: u.Superuser, Roles: u.Roles}, nil
}

// wrong refuses a user that is known, and passes on one that is not.
func wrong(known bool, why string) error {
	if known {
		return fmt.Errorf("%w: %s", mqtt.BadUserNameOrPassword, why)
	}
	return auth.ErrPass
}

func (c *Checker) find(username string) (User, bool) {
	for _, s := range c.sources {
		if u, ok := s.Find(username); ok {
			return u, true
		}
	}
	return User{}, false
}

// unknown returns the hash that the passwords of unknown users are checked against.
func (c *Checker) unknown() *Hash {
	typical := Hash{kind: argon2id, cost: argonTime, memory: argonKiB, threads: argonThreads,
		salt: make([]byte, saltBytes), key: make([]byte, keyBytes)}
	for _, s := range c.sources {
		if h := s.Typical(); h.kind != 0 {
			typical = h
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.decoy == nil || !c.like.sameCost(&typical) {
		c.decoy, c.like = typical.decoy(), typical
	}
	return c.decoy
}

// sameCost reports whether two hashes take the same time.
func (h *Hash) sameCost(o *Hash) bool {
	return h.kind == o.kind && h.cost == o.cost && h.memory == o.memory && h.threads == o.threads && h.method == o.method && len(h.key) == len(o.key)
}

// Typical returns a hash with the parameters that most of users have.
func Typical(users map[string]Hash) (typical Hash) {
	type cost struct {
		kind    kind
		cost    uint32
		memory  uint32
		threads uint8
		method  method
		key     int
	}
	counts := make(map[cost]int)
	best := 0
	for _, h := range users {
		k := cost{h.kind, h.cost, h.memory, h.threads, h.method, len(h.key)}
		if counts[k]++; counts[k] > best {
			best, typical = counts[k], h
		}
	}
	return typical
}
