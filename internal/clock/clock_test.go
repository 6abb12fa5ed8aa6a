package clock

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// machine is a machine's clock that can be set.
type machine struct{ by time.Duration }

func (m *machine) now() time.Time { return time.Now().Add(m.by) }

func pass(d time.Duration) { <-time.After(d) }

func TestTheClockRunsOnWhateverTheMachinesClockIsSetTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(machine)
		c := New(m.now, Mark{})
		begun := c.Now()
		if !begun.Equal(m.now()) {
			t.Errorf("a clock without a past begins at %v, the machine's says %v", begun, m.now())
		}
		for i, by := range []time.Duration{-time.Hour, 100 * time.Hour, -99 * time.Hour} {
			m.by += by
			pass(time.Minute)
			if passed, want := c.Now().Sub(begun), time.Duration(i+1)*time.Minute; passed != want {
				t.Errorf("%v passed, want %v", passed, want)
			}
		}
		moment := time.Now()
		pass(time.Second)
		if got, want := c.At(moment), c.Now().Add(-time.Second); !got.Equal(want) {
			t.Errorf("a moment a second ago was at %v, want %v", got, want)
		}
	})
}

func TestJumpsAreSeenAndSlewingIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(machine)
		c := New(m.now, Mark{})
		if j, ok := c.Started(); ok {
			t.Errorf("a clock without a past found %v", j)
		}
		for _, tt := range []struct {
			by   time.Duration
			says string
		}{
			{0, ""}, {time.Millisecond, ""}, {-tolerance, ""}, {tolerance + 1, "forward by 5s"}, {-2 * time.Hour, "back by 2h0m0s"}, {0, ""}, {3 * time.Hour, "forward by 3h0m0s"},
		} {
			m.by += tt.by
			pass(time.Second)
			j, ok := c.Check()
			if ok != (tt.says != "") || ok && (!strings.HasSuffix(j.String(), tt.says) || j.By != tt.by || j.Down) {
				t.Errorf("set by %v: got %q, %v", tt.by, j, ok)
			}
		}
	})
}

func TestOverARestartTheClockGoesOnAndNeverBack(t *testing.T) {
	for name, tt := range map[string]struct {
		running time.Duration // how the machine's clock is set while the broker runs
		down    time.Duration // how long it is down
		set     time.Duration // and how the clock is set meanwhile
		want    time.Duration // by how much the clock went on
		says    string
	}{
		"a short break":                         {down: time.Minute, want: time.Minute},
		"a long break":                          {down: 48 * time.Hour, want: 48 * time.Hour, says: "48h0m0s ahead"},
		"set back meanwhile":                    {down: time.Minute, set: -time.Hour, want: 0, says: "59m0s behind"},
		"set forward meanwhile":                 {down: time.Minute, set: 999 * time.Hour, want: 999*time.Hour + time.Minute, says: "ahead"},
		"set forward while it ran":              {running: 9999 * time.Hour, down: time.Minute, want: time.Minute},
		"set back while it ran":                 {running: -9999 * time.Hour, down: time.Minute, want: time.Minute},
		"set forward while it ran, then it not": {running: 9999 * time.Hour, down: time.Minute, set: -9999 * time.Hour, want: 0, says: "behind"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := new(machine)
				c := New(m.now, Mark{})
				m.by += tt.running
				c.Check()
				last := c.Mark()
				pass(tt.down)
				m.by += tt.set
				c = New(m.now, last)
				if went := c.Now().Sub(last.Time); went != tt.want {
					t.Errorf("it went on by %v, want %v", went, tt.want)
				}
				if j, ok := c.Started(); ok != (tt.says != "") || ok && (!strings.Contains(j.String(), tt.says) || !j.Down) {
					t.Errorf("it found %q, %v", j, ok)
				}
				if j, ok := c.Check(); ok {
					t.Errorf("and then saw a jump: %v", j)
				}
			})
		})
	}
}

func TestTellingTheTimeAllocatesNothing(t *testing.T) {
	c := New(nil, Mark{})
	moment := time.Now()
	if n := testing.AllocsPerRun(100, func() { _ = c.At(moment) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAt(b *testing.B) {
	c := New(nil, Mark{})
	moment := time.Now()
	for b.Loop() {
		_ = c.At(moment)
	}
}
