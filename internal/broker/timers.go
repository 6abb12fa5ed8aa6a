package broker

import (
	"sync"
	"time"

	"github.com/barid-mqtt/barid/pkg/timerwheel"
)

// timers runs what is due in seconds to weeks: ends of sessions, wills, delayed messages. One goroutine looks once a
// second; what it calls runs there, so it must be short. What clients may make long, by their number, has a goroutine of
// its own (afterAtLeast).
type timers struct {
	mu    sync.Mutex // guards wheel and due
	wheel *timerwheel.Wheel[func()]
	due   []func() // for the second goroutine
	more  chan struct{}
	stop  chan struct{}
	wg    sync.WaitGroup
}

// timer is one of them. The zero timer is none.
type timer struct {
	of *timers
	t  timerwheel.Timer
}

const timerTick = time.Second

func newTimers(every func(now time.Time)) *timers {
	ts := &timers{wheel: timerwheel.New[func()](time.Now()), more: make(chan struct{}, 1), stop: make(chan struct{})}
	ts.wg.Go(ts.runDue)
	ts.wg.Go(func() {
		tick := time.NewTicker(timerTick)
		defer tick.Stop()
		for {
			select {
			case <-ts.stop:
				return
			case now := <-tick.C:
				ts.advance(now)
				every(now)
			}
		}
	})
	return ts
}

func (ts *timers) advance(now time.Time) {
	var due []func()
	ts.mu.Lock()
	ts.wheel.Advance(now, func(fn func()) { due = append(due, fn) })
	ts.mu.Unlock()
	for _, fn := range due {
		fn()
	}
}

// after calls fn once d has passed, at most a tick later.
func (ts *timers) after(d time.Duration, fn func()) timer {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return timer{ts, ts.wheel.Add(time.Now().Add(d), fn)}
}

// afterAtLeast calls fn, in order, once d has passed and those before it are done.
func (ts *timers) afterAtLeast(d time.Duration, fn func()) timer {
	return ts.after(d, func() {
		ts.mu.Lock()
		ts.due = append(ts.due, fn)
		ts.mu.Unlock()
		select {
		case ts.more <- struct{}{}:
		default:
		}
	})
}

// runDue calls what is due of afterAtLeast.
func (ts *timers) runDue() {
	for {
		select {
		case <-ts.stop:
			return
		case <-ts.more:
		}
		ts.mu.Lock()
		due := ts.due
		ts.due = nil
		ts.mu.Unlock()
		for _, fn := range due {
			select {
			case <-ts.stop:
				return
			default:
				fn()
			}
		}
	}
}

// cancel keeps the timer from running, if it has not yet.
func (t *timer) cancel() {
	if t.of == nil {
		return
	}
	t.of.mu.Lock()
	t.of.wheel.Cancel(t.t)
	t.of.mu.Unlock()
	t.of = nil
}

func (ts *timers) close() {
	close(ts.stop)
	ts.wg.Wait()
}
