package password

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// How long and how many successes are remembered.
const (
	recentFor  = 5 * time.Minute
	recentMost = 100_000
)

// digest stands for a user, a password and a hash that it matched.
type digest [sha256.Size]byte

// recent are the successes of the last minutes.
type recent struct {
	key   []byte // never leaves the process
	mu    sync.Mutex
	until map[digest]time.Time
}

func newRecent() *recent {
	r := &recent{key: make([]byte, 32), until: make(map[digest]time.Time)}
	_, _ = rand.Read(r.key) // never fails, see crypto/rand
	return r
}

func (r *recent) digest(username string, password []byte, h *Hash) (d digest) {
	mac := hmac.New(sha256.New, r.key)
	var n [4]byte
	for _, b := range [][]byte{[]byte(username), password, h.salt, h.key, {byte(h.kind), byte(h.method.hash), byte(h.method.salt)}} {
		binary.BigEndian.PutUint32(n[:], uint32(len(b)))
		mac.Write(n[:])
		mac.Write(b)
	}
	mac.Sum(d[:0])
	return d
}

func (r *recent) has(d digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.until[d])
}

func (r *recent) add(d digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if len(r.until) >= recentMost {
		r.makeRoom(now)
	}
	r.until[d] = now.Add(recentFor)
}

// makeRoom forgets what is over, and if all is recent, a tenth of it, whichever: those users pay for a hash again.
func (r *recent) makeRoom(now time.Time) {
	for d, until := range r.until {
		if !now.Before(until) {
			delete(r.until, d)
		}
	}
	for d := range r.until {
		if len(r.until) <= recentMost-recentMost/10 {
			return
		}
		delete(r.until, d)
	}
}
