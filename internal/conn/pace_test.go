package conn

import (
	"testing"
	"time"
)

// clients are those of a loop, as far as it sees them: they send, or wait for an answer.
type clients struct {
	perSecond float64       // messages, if they do not wait
	underWay  int           // messages, if they wait
	think     time.Duration // until they have an answer and send the next
	each      int           // events a message: 0 for all in one
}

const (
	paceMessage = 256
	paceWork    = 12 * time.Microsecond // a round
	paceMore    = time.Microsecond      // each message of it after the first
	paceSlept   = 105 * time.Microsecond
)

// drive lets a loop with a pace handle what clients send, and returns how many messages that were, and the share of rounds
// before which it rested.
func (c clients) drive(p *pace, now *time.Time, d time.Duration) (messages int, rested float64) {
	start, handled, rounds, rests := *now, 0.0, 0, 0
	for end := start.Add(d); now.Before(end); {
		began := *now
		if p.rests() {
			rests++
			*now = now.Add(paceSlept)
		}
		n := 1
		if c.underWay > 0 {
			waited := now.Sub(began) + paceWork
			if waited < c.think {
				*now = now.Add(c.think - waited)
			}
			n = min(c.underWay, 1+int(float64(c.underWay)*float64(now.Sub(began))/float64(c.think+paceWork)))
		} else {
			sent := c.perSecond * now.Sub(start).Seconds()
			if sent < handled+1 {
				*now = now.Add(time.Duration((handled+1-sent)/c.perSecond*1e9) + 1)
				sent = handled + 1
			}
			n = int(sent - handled)
			handled += float64(n)
		}
		begun := *now
		*now = now.Add(paceWork + time.Duration(n-1)*paceMore)
		p.round(begun, max(c.each*n, 1), n*paceMessage)
		messages, rounds = messages+n, rounds+1
	}
	return messages, float64(rests) / float64(rounds)
}

func TestALoopRestsWhereClientsDoNotWait(t *testing.T) {
	for name, tt := range map[string]struct {
		clients
		rests bool
	}{
		"a flood, a message a write":           {clients{perSecond: 200_000}, true},
		"a flood that a loop can just take":    {clients{perSecond: 80_000}, true},
		"ten thousand devices":                 {clients{perSecond: 10_000}, false},
		"one client that waits":                {clients{underWay: 1, think: 20 * time.Microsecond}, false},
		"eight that wait":                      {clients{underWay: 8, think: 20 * time.Microsecond}, false},
		"one with sixteen messages under way":  {clients{underWay: 16, think: 40 * time.Microsecond}, false},
		"a flood that has many events a round": {clients{perSecond: 2_000_000, each: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var p pace
			now := time.Unix(0, 0)
			tt.drive(&p, &now, 100*time.Millisecond)
			messages, rested := tt.drive(&p, &now, 10*time.Second)
			if (rested > 0.5) != tt.rests {
				t.Errorf("rested before %.1f %% of rounds", 100*rested)
			}
			var none pace
			none.until = now.Add(time.Hour)
			start := now
			without, _ := tt.drive(&none, &now, 10*time.Second)
			if none.resting || now.Before(start.Add(10*time.Second)) || float64(messages) < 0.99*float64(without) {
				t.Errorf("%d messages, without rests %d", messages, without)
			}
		})
	}
}

func TestALoopStopsRestingOnceTheFloodEnds(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	flood, waiting := clients{perSecond: 200_000}, clients{underWay: 8, think: 20 * time.Microsecond}
	flood.drive(&p, &now, time.Second)
	if !p.resting {
		t.Fatal("a flood, and no rests")
	}
	now = now.Add(time.Second)
	p.round(now, 1, paceMessage)
	if p.rests() {
		t.Error("nothing came for a second, and the loop rests still")
	}
	flood.drive(&p, &now, time.Second)
	if _, rested := waiting.drive(&p, &now, paceKeep+paceWindow); rested == 0 {
		t.Error("a loop that does not know yet that clients wait does not rest")
	}
	if _, rested := waiting.drive(&p, &now, time.Second); rested > 0.02 {
		t.Errorf("rested before %.1f %% of rounds", 100*rested)
	}
}

// TestTrialsBecomeRare: those that wait are kept waiting for a window of 10 ms each time.
func TestTrialsBecomeRare(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	c := clients{underWay: 8, think: 20 * time.Microsecond}
	trials := 0
	for range 600 {
		if _, rested := c.drive(&p, &now, 100*time.Millisecond); rested > 0 {
			trials++
		}
	}
	if trials < 4 || trials > 14 {
		t.Errorf("%d tenths of a second of 60 seconds had a trial", trials)
	}
}

// window is what one of 10 ms brought.
type window struct{ rounds, events, bytes int }

func (w window) pass(p *pace, now *time.Time) {
	for i := range w.rounds {
		p.round(now.Add(time.Duration(i)*paceWindow/time.Duration(w.rounds)), w.events/w.rounds, w.bytes/w.rounds)
	}
	*now = now.Add(paceWindow)
}

func TestATrialIsWonByAsMuchInFewerRounds(t *testing.T) {
	hurry := window{1000, 1000, 500_000}
	for name, tt := range map[string]struct {
		without, with window
		trial, won    bool
	}{
		"as much, in a tenth of the rounds":        {hurry, window{100, 1000, 500_000}, true, true},
		"less, in a tenth of the rounds":           {hurry, window{100, 1000, 450_000}, true, false},
		"as much, in a third of the rounds":        {hurry, window{333, 1000, 500_000}, true, false},
		"rounds that have many events":             {window{1000, 20_000, 500_000}, window{100, 20_000, 500_000}, false, false},
		"a loop that has time":                     {window{140, 140, 500_000}, window{10, 140, 500_000}, false, false},
		"much more, since clients have more time":  {hurry, window{100, 1000, 900_000}, true, true},
		"much more, in nearly as many rounds":      {hurry, window{900, 1000, 900_000}, true, false},
		"a little less, in a tenth, as noise does": {hurry, window{100, 1000, 490_000}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			p, now := pace{begun: time.Unix(0, 0)}, time.Unix(0, 0)
			trial := 0
			for range paceTrial + 1 {
				if w := tt.without; !p.rests() {
					w.pass(&p, &now)
				} else {
					tt.with.pass(&p, &now)
					trial++
				}
				p.round(now, 0, 0)
			}
			if p.resting != tt.won || (trial > 0) != tt.trial {
				t.Errorf("%d windows with rests, rests from now on: %v", trial, p.resting)
			}
			if hopeless := tt.with.bytes/tt.with.rounds < paceGain*tt.without.bytes/tt.without.rounds; hopeless && trial > 1 {
				t.Errorf("clients were kept waiting for %d windows", trial)
			}
		})
	}
}
