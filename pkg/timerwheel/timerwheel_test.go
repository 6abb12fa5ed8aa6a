package timerwheel

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 500_000_000)

func collect(w *Wheel[int], now time.Time) []int {
	var fired []int
	w.Advance(now, func(v int) { fired = append(fired, v) })
	return fired
}

func TestATimerFiresAtItsSecondAndNotBefore(t *testing.T) {
	for _, after := range []time.Duration{
		1, time.Second - 1, time.Second, time.Second + 1, 63 * time.Second, 64 * time.Second, 65 * time.Second,
		4095 * time.Second, 4096 * time.Second, 4097 * time.Second, 24 * time.Hour, 100 * 24 * time.Hour, 100 * 365 * 24 * time.Hour,
	} {
		w := New[int](start)
		w.Add(start.Add(after), 7)
		due := start.Add((after + time.Second - 1).Truncate(time.Second))
		if fired := collect(w, due.Add(-1)); fired != nil {
			t.Errorf("after %v: fired early", after)
		}
		if next, ok := w.Next(); !ok || next.After(due) {
			t.Errorf("after %v: Next is %v, %v, not at most %v", after, next, ok, due)
		}
		if fired := collect(w, due); !slices.Equal(fired, []int{7}) {
			t.Errorf("after %v: %v fired when it was due", after, fired)
		}
		if _, ok := w.Next(); ok || w.Len() != 0 {
			t.Errorf("after %v: something is left", after)
		}
	}
}

func TestTimersOfThePastAndFarFuture(t *testing.T) {
	w := New[int](start)
	w.Add(time.Time{}, 1)
	w.Add(start, 2)
	far := w.Add(start.Add(maxDuration), 3)
	if next, ok := w.Next(); !ok || !next.Equal(start) {
		t.Errorf("Next with a timer that is due: %v, %v", next, ok)
	}
	if fired := collect(w, start.Add(-time.Hour)); !slices.Equal(fired, []int{1, 2}) {
		t.Errorf("%v fired", fired)
	}
	if fired := collect(w, start.Add(200*365*24*time.Hour)); fired != nil {
		t.Errorf("%v fired after 200 years", fired)
	}
	if !w.Cancel(far) || w.Len() != 0 {
		t.Error("the far timer was gone")
	}
}

func TestCancelOfWhatIsGone(t *testing.T) {
	w := New[int](start)
	if w.Cancel(Timer{}) || w.Cancel(Timer{index: 1 << 31, generation: 1}) {
		t.Error("a timer that never was could be cancelled")
	}
	a := w.Add(start.Add(time.Second), 1)
	if !w.Cancel(a) || w.Cancel(a) {
		t.Error("a timer could not be cancelled once")
	}
	b := w.Add(start.Add(time.Second), 2) // in the same node
	if w.Cancel(a) {
		t.Error("a handle cancelled its node's next timer")
	}
	if fired := collect(w, start.Add(time.Second)); !slices.Equal(fired, []int{2}) {
		t.Errorf("%v fired", fired)
	}
	if w.Cancel(b) {
		t.Error("a timer that has fired was cancelled")
	}
}

// TestFireMayAddAndCancel has a timer that cancels one of its own second and one that was late, and adds three: for now,
// for later within the same Advance, and for afterwards.
func TestFireMayAddAndCancel(t *testing.T) {
	w := New[int](start)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	var cancelled []Timer
	w.Add(at(10), 1)
	cancelled = append(cancelled, w.Add(at(10), 2))
	w.Add(at(0), 3)
	cancelled = append(cancelled, w.Add(at(0), 4))
	var fired []int
	fire := func(v int) {
		fired = append(fired, v)
		switch v {
		case 3:
			w.Cancel(cancelled[1])
			w.Add(at(0), 30)
		case 1:
			w.Cancel(cancelled[0])
			w.Add(at(10), 10)
			w.Add(at(90), 11)
			w.Add(at(101), 12)
		}
	}
	for _, c := range []struct {
		now  int
		want []int
	}{{100, []int{3, 1, 11}}, {100, []int{30, 10}}, {101, []int{12}}} {
		fired = nil
		if w.Advance(at(c.now), fire); !slices.Equal(fired, c.want) {
			t.Errorf("at %d fired %v, not %v", c.now, fired, c.want)
		}
	}
	if w.Len() != 0 {
		t.Errorf("%d timers are left", w.Len())
	}
}

// model is the naive wheel: a list that is sorted when time moves on.
type model struct {
	now    int64
	timers []modelTimer
}

type modelTimer struct {
	tick   int64
	id     int
	handle Timer
}

func (m *model) advance(now int64) []int {
	m.now = max(m.now, now)
	slices.SortStableFunc(m.timers, func(a, b modelTimer) int { return int(a.tick - b.tick) })
	var fired []int
	for len(m.timers) > 0 && m.timers[0].tick <= m.now {
		fired = append(fired, m.timers[0].id)
		m.timers = m.timers[1:]
	}
	return fired
}

// TestTheWheelIsLikeASortedList compares what fires, and its order, with the model. Ticks of the past count as now.
func TestTheWheelIsLikeASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, m := New[int](start), &model{}
		id := 0
		span := rapid.OneOf(rapid.Int64Range(-5, 70), rapid.Int64Range(0, 5000), rapid.Int64Range(0, 1<<26))
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				seconds := m.now + span.Draw(t, "after")
				handle := w.Add(start.Add(time.Duration(seconds)*time.Second), id)
				m.timers = append(m.timers, modelTimer{max(seconds, m.now), id, handle})
				id++
			},
			"cancel": func(t *rapid.T) {
				if len(m.timers) == 0 {
					t.Skip("no timer")
				}
				k := rapid.IntRange(0, len(m.timers)-1).Draw(t, "timer")
				if !w.Cancel(m.timers[k].handle) {
					t.Fatal("a timer could not be cancelled")
				}
				m.timers = slices.Delete(m.timers, k, k+1)
			},
			"advance": func(t *rapid.T) {
				now := m.now + span.Draw(t, "seconds")
				part := time.Duration(rapid.IntRange(0, 999).Draw(t, "ms")) * time.Millisecond
				got := collect(w, start.Add(time.Duration(now)*time.Second+part))
				if want := m.advance(now); !slices.Equal(got, want) {
					t.Fatalf("at %d fired %v, not %v", now, got, want)
				}
			},
			"step to Next": func(t *rapid.T) {
				next, ok := w.Next()
				if ok != (len(m.timers) > 0) {
					t.Fatalf("Next is %v with %d timers", ok, len(m.timers))
				}
				if !ok {
					return
				}
				tick := int64(next.Sub(start) / time.Second)
				for _, timer := range m.timers {
					if timer.tick < tick || tick < m.now {
						t.Fatalf("Next is %d, now is %d and a timer is at %d", tick, m.now, timer.tick)
					}
				}
				if got, want := collect(w, next), m.advance(tick); !slices.Equal(got, want) {
					t.Fatalf("at %d fired %v, not %v", tick, got, want)
				}
			},
			"": func(t *rapid.T) {
				if w.Len() != len(m.timers) {
					t.Fatalf("Len is %d, not %d", w.Len(), len(m.timers))
				}
			},
		})
	})
}

// TestStepsOfNextReachEveryTimer also has ticks past 31 bits, as session expiries do. It follows Next alone; it must not take more steps than there are levels for each timer.
func TestStepsOfNextReachEveryTimer(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := New[int64](start)
	const n = 1000
	for range n {
		s := random.Int64N(1 << random.IntN(33))
		w.Add(start.Add(time.Duration(s)*time.Second), s)
	}
	fired, steps := 0, 0
	for next, ok := w.Next(); ok; next, ok = w.Next() {
		w.Advance(next, func(s int64) {
			fired++
			if !start.Add(time.Duration(s) * time.Second).Equal(next) {
				t.Fatalf("the timer of %d fired at %v", s, next.Sub(start))
			}
		})
		if steps++; steps > n*levels {
			t.Fatalf("%d steps, and %d timers of %d have fired", steps, fired, n)
		}
	}
	if fired != n {
		t.Errorf("%d timers of %d fired", fired, n)
	}
}

func TestAddAndCancelAllocateNothing(t *testing.T) {
	w := New[*int](start)
	w.Cancel(w.Add(start.Add(time.Hour), nil))
	v := new(int)
	if n := testing.AllocsPerRun(100, func() { w.Cancel(w.Add(start.Add(time.Hour), v)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAddCancel(b *testing.B) {
	w := fill(1_000_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		w.Cancel(w.Add(start.Add(time.Duration(i%604_800)*time.Second), i))
	}
}

// BenchmarkAdvanceSecond moves on by a second with a million timers of a week, which are added again as they fire.
func BenchmarkAdvanceSecond(b *testing.B) {
	w := fill(1_000_000)
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		w.Advance(now, func(v int) { w.Add(now.Add(604_800*time.Second), v) })
	}
}

// BenchmarkAdvanceAll fires a million timers of a week in one jump.
func BenchmarkAdvanceAll(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := fill(1_000_000)
		b.StartTimer()
		w.Advance(start.Add(604_800*time.Second), func(int) {})
	}
}

func fill(n int) *Wheel[int] {
	w := New[int](start)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		w.Add(start.Add(time.Duration(1+random.IntN(604_800))*time.Second), i)
	}
	return w
}
