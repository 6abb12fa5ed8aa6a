package broker

import (
	"net"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/hostile"
)

// pair is a publisher and a subscriber that must not notice what happens around them.
type pair struct {
	*hostile.Pair
	t    *testing.T
	name string
}

// newPair connects a pair, whose sessions outlive their connections if durable.
func (x *bed) newPair(name string, durable bool) *pair {
	x.t.Helper()
	p, err := hostile.NewPair(func() (net.Conn, error) { return net.Dial("tcp", x.Addr["tcp"]) },
		hostile.PairOptions{Name: name, Durable: durable, Every: 5 * time.Millisecond})
	if err != nil {
		x.t.Fatal(err)
	}
	return &pair{p, x.t, name}
}

// end stops publishing and checks that nothing is missing and nothing took longer than bound.
func (p *pair) end(bound time.Duration) {
	p.t.Helper()
	slowest, err := p.End(10 * time.Second)
	if err != nil {
		p.t.Error(err)
	}
	p.t.Logf("%s: %d messages, the slowest took %v", p.name, p.Got(), slowest)
	if slowest > bound {
		p.t.Errorf("%s: a message took %v", p.name, slowest)
	}
}

// eventually waits until cond holds, for at most limit.
func eventually(limit time.Duration, cond func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); pause(10 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}
