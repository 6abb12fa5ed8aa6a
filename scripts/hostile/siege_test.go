//go:build e2e && linux

package hostile

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/hostile"
)

// What a siege may do to the pair and to the process. Both brokers and besiegers share the machine's processors, so that a
// message of the pair waits for its turn; what it may not do is wait for a besieger.
const (
	slowerBy    = 25                     // times the p99 of the quiet time …
	slowerAtAll = 250 * time.Millisecond // … and so much, at most
	peakRSS     = 512 << 20
	restRSS     = 64 << 20 // over what it was before
	restFiles   = 16       // the storage's own come and go
	restGo      = 12       // goroutines over those of a broker that nobody besieged
	workers     = 64
)

// limits bound what a client can make the broker hold, so that a test can tell whether it does.
var limits = []string{
	"mqtt.connect_timeout_seconds=2", "mqtt.sys_interval_seconds=1", "session.expiry_max_seconds=60", "session.expiry_v3_seconds=1",
	"mqtt.max_subscriptions_per_session=2000", "limits.max_subscriptions=20000", "limits.max_retained_messages=1000",
	"limits.max_retained_bytes=1000000", "mqtt.delayed_max_seconds=2", "limits.memory_max_bytes=134217728",
	"session.queue_max_bytes=16777216", "storage.max_bytes=1073741824",
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	if s := os.Getenv(name); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	return otherwise
}

// besiege sends streams to a broker, many at a time, and returns how many of each kind.
func besiege(t *testing.T, b *broker, seed uint64, streams int) map[string]int {
	x := &hostile.Target{Addr: b.addr, Username: evilUser, Password: evilPassword, Patience: 40 * time.Second, Spread: true,
		Fault: func(text string) { t.Error(text) }}
	kinds := x.Kinds()
	var mu sync.Mutex
	count := map[string]int{}
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				name := x.Run(kinds, seed, i)
				mu.Lock()
				count[name]++
				mu.Unlock()
			}
		})
	}
	for i := range streams {
		select {
		case next <- i:
		case <-b.done:
			t.Errorf("the broker ended at stream %d: %v", i, b.err)
			close(next)
			wg.Wait()
			return count
		}
	}
	close(next)
	wg.Wait()
	return count
}

// TestASiegeTouchesNobodyElse is the suite: see the package's documentation.
func TestASiegeTouchesNobodyElse(t *testing.T) {
	seed := number(t, "BARID_HOSTILE_SEED", rand.Uint64N(1_000_000))
	streams := int(number(t, "BARID_HOSTILE_STREAMS", 400))
	t.Logf("BARID_HOSTILE_SEED=%d BARID_HOSTILE_STREAMS=%d", seed, streams)
	b := start(t, 0, limits...)
	pairs := map[string]*hostile.Pair{}
	for _, name := range []string{"direct", "durable"} {
		p, err := hostile.NewPair(b.dial, hostile.PairOptions{Name: name, Username: goodUser, Password: goodPassword,
			Durable: name == "durable", Every: 5 * time.Millisecond, QoS: 1})
		if err != nil {
			t.Fatal(err)
		}
		pairs[name] = p
	}
	names := slices.Sorted(maps.Keys(pairs))
	<-time.After(time.Second) // for both to have settled
	times(pairs)
	<-time.After(3 * time.Second)
	quiet, before := times(pairs), b.usage()

	watch := b.watch()
	begun := time.Now()
	count := besiege(t, b, seed, streams)
	took := time.Since(begun).Round(time.Millisecond)
	peak, besieged := watch(), times(pairs)

	t.Logf("%d streams of %d kinds in %v; before %v, at most %v", streams, len(count), took, before, peak)
	for _, name := range names {
		t.Logf("%s, quiet: %v", name, quiet[name])
		t.Logf("%s, besieged: %v", name, besieged[name])
		if bound := slowerBy*quiet[name].P99 + slowerAtAll; besieged[name].P99 > bound {
			t.Errorf("%s: a p99 of %v, bound %v", name, besieged[name].P99, bound)
		}
	}
	if peak.rss > peakRSS {
		t.Errorf("it took %d MiB", peak.rss>>20)
	}
	b.recovers(before)
	for _, name := range names {
		if _, err := pairs[name].End(10 * time.Second); err != nil {
			t.Error(err)
		}
	}
	if streams >= 3*len(count) && len(count) < 35 {
		t.Errorf("only %d kinds of streams ran: %v", len(count), count)
	}
	b.leavesNothing()
}

func times(pairs map[string]*hostile.Pair) map[string]hostile.Times {
	all := map[string]hostile.Times{}
	for name, p := range pairs {
		all[name] = p.Times()
	}
	return all
}

// watch looks at what the process takes until the function that it returns is called, which returns the most.
func (b *broker) watch() (end func() usage) {
	stop := make(chan struct{})
	most := make(chan usage)
	go func() {
		var m usage
		for {
			u := b.usage()
			m.rss, m.descriptors = max(m.rss, u.rss), max(m.descriptors, u.descriptors)
			select {
			case <-stop:
				most <- m
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() usage { close(stop); return <-most }
}

// recovers waits until the process takes hardly more than before.
func (b *broker) recovers(before usage) {
	b.t.Helper()
	begun := time.Now()
	for {
		now := b.usage()
		if now.rss <= before.rss+restRSS && now.descriptors <= before.descriptors+restFiles {
			b.t.Logf("after %v: %v", time.Since(begun).Round(time.Second), now)
			return
		}
		if time.Since(begun) > time.Minute {
			b.t.Errorf("a minute later it still takes %v, before %v", now, before)
			return
		}
		<-time.After(200 * time.Millisecond)
	}
}

// leavesNothing compares the process's goroutines with those of one that nothing has happened to.
func (b *broker) leavesNothing() {
	b.t.Helper()
	<-time.After(time.Second)
	twin := start(b.t, 0, limits...)
	want := len(twin.goroutines())
	if all := b.goroutines(); len(all) > want+restGo {
		b.t.Errorf("%d goroutines, %d in a new process", len(all), want)
		for i, g := range all {
			if i < 60 {
				b.t.Log(g)
			}
		}
	} else {
		b.t.Logf("%d goroutines, %d in a new process", len(all), want)
	}
}
