package conn

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
)

// Loops are the event loops of a broker. As many of them are in use as the load asks for: one, until that is busy most of
// the time. A few busy loops spend less on waking up than many idle ones; and one keeps the order in which clients spoke
// also between connections, which several do not.
type Loops struct {
	all     []*Loop      // static
	coolest atomic.Int32 // of those in use, which new connections go to

	done chan struct{}
	wg   sync.WaitGroup
}

// balanceEvery is how often the loops' load is looked at.
const balanceEvery = 100 * time.Millisecond

// NewLoops starts up to n loops. Stop ends them, when no connection uses them any more.
func NewLoops(n int, m *metrics.Metrics) (*Loops, error) {
	ls := &Loops{done: make(chan struct{})}
	for range max(1, n) {
		l, err := newLoop(m)
		if err != nil {
			ls.stop()
			return nil, err
		}
		ls.all = append(ls.all, l)
	}
	if len(ls.all) > 1 {
		ls.wg.Go(ls.balance)
	}
	return ls, nil
}

// Stop ends the loops.
func (ls *Loops) Stop() {
	close(ls.done)
	ls.wg.Wait()
	ls.stop()
}

func (ls *Loops) stop() {
	for _, l := range ls.all {
		l.stop()
	}
}

// take gives a connection to a loop. The caller holds d.mu.
func (ls *Loops) take(d *driver) bool { return ls.all[ls.coolest.Load()].add(d) }

// balance moves connections between the loops as the load asks for.
func (ls *Loops) balance() {
	t := time.NewTicker(balanceEvery)
	defer t.Stop()
	b := balancer{loops: len(ls.all)}
	before := make([]time.Duration, len(ls.all))
	loads := make([]float64, len(ls.all))
	last := time.Now()
	for {
		select {
		case <-ls.done:
			return
		case <-t.C:
		}
		now := time.Now()
		for i, l := range ls.all {
			busy := l.work.read(now)
			loads[i] = float64(busy-before[i]) / float64(now.Sub(last))
			before[i] = busy
			l.window.Add(1)
		}
		last = now
		if from, to, all := b.next(loads); from != to {
			ls.all[from].ask(&move{to: ls.all[to], all: all})
		}
		ls.coolest.Store(int32(b.coolest(loads)))
	}
}

// Busy returns for how long each loop has been busy so far.
func (ls *Loops) Busy(now time.Time) (busy []time.Duration) {
	if ls == nil {
		return nil
	}
	for _, l := range ls.all {
		busy = append(busy, l.work.read(now))
	}
	return busy
}

// ask has a loop move connections to another.
func (l *Loop) ask(m *move) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.move = m
	l.wake()
}

// count notes what a connection costs.
func (l *Loop) count(d *driver, bytes int) {
	if w := l.window.Load(); d.window != w {
		if d.window+1 != w {
			d.activity = 0
		}
		d.window, d.activity = w, d.activity/2
	}
	d.activity += 1 + uint32(bytes)/512
}

// give moves connections to another loop: all, or of those that are active, by what they cost, every
// other one.
func (l *Loop) give(m *move) {
	l.mu.Lock()
	w := l.window.Load()
	var ds []*driver
	for _, d := range l.drivers {
		if m.all || d.window+2 > w {
			ds = append(ds, d)
		}
	}
	l.mu.Unlock()
	if !m.all {
		ds = alternate(ds)
	}
	for _, d := range ds {
		l.moveTo(m.to, d)
	}
}

func alternate(ds []*driver) []*driver {
	slices.SortFunc(ds, func(a, b *driver) int {
		return cmp.Or(cmp.Compare(b.activity, a.activity), cmp.Compare(a.fd, b.fd))
	})
	half := ds[:0]
	for i := 1; i < len(ds); i += 2 {
		half = append(half, ds[i])
	}
	return half
}

// moveTo moves one connection.
func (l *Loop) moveTo(to *Loop, d *driver) {
	if !l.remove(d) {
		return
	}
	l.more = slices.DeleteFunc(l.more, func(fd int32) bool { return fd == int32(d.fd) })
	d.mu.Lock()
	moved := to.add(d)
	d.mu.Unlock()
	if !moved {
		d.unpark()
		go d.run(d.status(), nil)
	}
}
