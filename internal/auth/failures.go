package auth

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// How failures are answered: the first ones of an address at once, later ones with a delay that doubles.
const (
	freeFailures   = 5
	forgetOneAfter = 10 * time.Second
	firstDelay     = 100 * time.Millisecond
	longestDelay   = 5 * time.Second
	failuresMost   = 100_000 // addresses
)

// Failures counts failed authentications by address: of IPv6 by the network of 64 bits that one customer has. Only the
// answer to a failure is delayed, so that a device with a wrong password does not keep others behind the same address
// out. The zero Failures is ready.
type Failures struct {
	mu sync.Mutex
	of map[netip.Prefix]failures
}

// failures of one address: as many at a time, less one for each forgetOneAfter since.
type failures struct {
	n  int
	at time.Time
}

func (f failures) left(now time.Time) int {
	return max(0, f.n-int(now.Sub(f.at)/forgetOneAfter))
}

// Note counts a failure and returns how long its answer has to wait.
func (f *Failures) Note(remote net.Addr, now time.Time) time.Duration {
	network, ok := networkOf(remote)
	if !ok {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = make(map[netip.Prefix]failures)
	}
	old, known := f.of[network]
	if !known && len(f.of) >= failuresMost && !f.makeRoom(now) {
		return longestDelay // so many addresses fail at once that none is trusted
	}
	n := old.left(now) + 1
	f.of[network] = failures{n, now}
	if n <= freeFailures {
		return 0
	}
	return min(firstDelay<<min(n-freeFailures-1, 10), longestDelay)
}

// makeRoom forgets addresses without a failure left.
func (f *Failures) makeRoom(now time.Time) bool {
	for network, x := range f.of {
		if x.left(now) == 0 {
			delete(f.of, network)
		}
	}
	return len(f.of) < failuresMost
}

func networkOf(remote net.Addr) (netip.Prefix, bool) {
	if remote == nil {
		return netip.Prefix{}, false
	}
	p, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.Prefix{}, false // a Unix socket: whoever may open it is on this machine
	}
	a := p.Addr().Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	network, err := a.Prefix(bits)
	return network, err == nil
}
