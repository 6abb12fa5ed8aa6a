package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// ledger knows what was acknowledged and what arrived where.
type ledger struct {
	mu        sync.Mutex
	consumers int
	entries   map[key]*entry // of the last quarter of an hour, and all that are not settled
	latencies []time.Duration
	problems  []string
	published, acknowledged, arrived,
	repeated int
}

// remembered is how long a message that has arrived everywhere is known, to see it come again.
const remembered = 15 * time.Minute

type key struct {
	device string
	number uint64
}

// entry is one message.
type entry struct {
	qos     byte
	sent    time.Time
	acked   time.Time
	arrived []int // per consumer: how often
	settled bool  // acknowledged, and arrived everywhere
}

func newLedger(consumers int) *ledger {
	return &ledger{consumers: consumers, entries: map[key]*entry{}}
}

// publish says that a message is about to be sent.
func (l *ledger) publish(k key, qos byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.published++
	l.entries[k] = &entry{qos: qos, sent: time.Now(), arrived: make([]int, l.consumers)}
}

// acknowledge says that the broker has answered for a message.
func (l *ledger) acknowledge(k key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged++
	if e := l.entries[k]; e != nil {
		e.acked = time.Now()
		e.settle()
	}
}

// abandon forgets a message that the broker has not answered for: it may arrive or not.
func (l *ledger) abandon(k key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, k)
}

// arrive says that a consumer got a message.
func (l *ledger) arrive(consumer int, k key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrived++
	e := l.entries[k]
	if e == nil {
		l.repeated++ // of long ago, or one that was not answered for
		return
	}
	e.arrived[consumer]++
	switch n := e.arrived[consumer]; {
	case n == 1:
		l.latencies = append(l.latencies, time.Since(e.sent))
	case e.qos == 2:
		l.problem("message %v of QoS 2 came %d times to consumer %d", k, n, consumer)
	default:
		l.repeated++
	}
	e.settle()
}

// settle notes a message that has arrived everywhere. The caller holds l.mu.
func (e *entry) settle() { e.settled = !e.acked.IsZero() && !slices.Contains(e.arrived, 0) }

func (l *ledger) problem(format string, args ...any) {
	if len(l.problems) < 100 {
		l.problems = append(l.problems, fmt.Sprintf(format, args...))
	}
}

// waiting returns how many acknowledged messages have not arrived everywhere.
func (l *ledger) waiting() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if !e.acked.IsZero() && !e.settled {
			n++
		}
	}
	return n
}

// close lists what was acknowledged and never arrived, with all other problems.
func (l *ledger) close() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, e := range l.entries {
		if !e.acked.IsZero() && !e.settled {
			l.problem("message %v of QoS %d, acknowledged at %s, arrived at consumers %v times", k, e.qos, e.acked.Format(time.TimeOnly), e.arrived)
		}
	}
	return l.problems
}

// counts are what happened since the last call.
type counts struct {
	published, acknowledged, arrived, repeated int
	latencies                                  []time.Duration // sorted
}

func (l *ledger) take() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := counts{l.published, l.acknowledged, l.arrived, l.repeated, l.latencies}
	l.published, l.acknowledged, l.arrived, l.repeated, l.latencies = 0, 0, 0, 0, nil
	for k, e := range l.entries {
		if e.settled && time.Since(e.sent) > remembered {
			delete(l.entries, k)
		}
	}
	slices.Sort(c.latencies)
	return c
}
