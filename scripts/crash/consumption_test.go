//go:build e2e

package crash

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// said is what the API said was published.
type said struct {
	mu    sync.Mutex
	texts []string
}

func (s *said) published(texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, texts...)
}

func (s *said) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.texts)
}

// consumption is what came of a consumer's messages. A message is known by its payload.
type consumption struct {
	name    string
	history *history

	mu       sync.Mutex
	messages map[string]*fate
	again    int
}

// fate is what came of one message.
type fate struct {
	numbers  map[int]bool // deliveries, as they were told
	tried    int          // acknowledgements that were sent, and perhaps taken
	acked    time.Time    // when the answer came that it is acknowledged; zero: none did
	dead     bool
	leased   time.Time // the end of its lease is not before; zero: it was given back
	accepted int64     // starts of the broker when a push was accepted; -1: none was
}

func newConsumption(name string, h *history) *consumption {
	return &consumption{name: name, history: h, messages: make(map[string]*fate)}
}

// of returns what came of a message. The caller holds c.mu.
func (c *consumption) of(m given) *fate {
	f := c.messages[m.Payload]
	if f == nil {
		f = &fate{numbers: make(map[int]bool), accepted: -1}
		c.messages[m.Payload] = f
	}
	return f
}

// given takes what a request, that was sent at asked, was answered with.
func (c *consumption) given(asked, got time.Time, batch []given) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range batch {
		f := c.of(m)
		switch {
		case c.name == "morgue": // the same may die twice
		case !f.acked.IsZero() && f.acked.Before(asked):
			c.history.fail("%s gave out %s, which was acknowledged before", c.name, m.Payload)
		case f.numbers[m.Deliveries]:
			c.history.fail("%s gave out %s twice as delivery %d", c.name, m.Payload, m.Deliveries)
		case got.Before(f.leased):
			c.history.fail("%s gave out %s while somebody else had it for %v more", c.name, m.Payload, f.leased.Sub(got))
		case c.name == "dying" && m.Deliveries > maxDeliver:
			c.history.fail("%s gave out %s for the time %d", c.name, m.Payload, m.Deliveries)
		}
		f.numbers[m.Deliveries] = true
		f.leased = asked.Add(ackWait)
		if m.Deliveries > 1 {
			c.again++
		}
	}
}

// returned notes that a message is about to be given back.
func (c *consumption) returned(m given) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(m).leased = time.Time{}
}

// tried notes that messages are about to be acknowledged: from then on they need not come again.
func (c *consumption) tried(batch []given) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range batch {
		c.of(m).tried++
	}
}

// untried notes that what was about to be acknowledged was not, since there was no broker.
func (c *consumption) untried(batch []given) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range batch {
		c.of(m).tried--
	}
}

func (c *consumption) acknowledged(batch []given) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range batch {
		c.of(m).acked = time.Now()
	}
}

func (c *consumption) died(batch []given) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range batch {
		c.of(m).dead = true
	}
}

// pushed takes a message that was pushed. One that was accepted may come again only over a restart: otherwise the
// broker has the answer.
func (c *consumption) pushed(m given, refuse bool, starts int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.of(m)
	if f.accepted == starts && starts%2 == 0 {
		c.history.fail("%s pushed %s again, which was accepted, without a restart", c.name, m.Payload)
	}
	if len(f.numbers) > 0 {
		c.again++
	}
	f.numbers[m.Deliveries] = true
	if !refuse {
		f.accepted = starts
	}
}

// missing lists the first few messages that were published and have not ended.
func (c *consumption) missing(s *said) (n int, first string) {
	s.mu.Lock()
	texts := s.texts[:len(s.texts):len(s.texts)]
	s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range texts {
		f := c.messages[text]
		if f != nil && (f.tried > 0 || f.dead || f.accepted >= 0) {
			continue
		}
		if n++; n <= 5 {
			first += " " + text
			if f != nil {
				first += fmt.Sprintf(" (given out %v)", slices.Sorted(maps.Keys(f.numbers)))
			}
		}
	}
	return n, first
}

func (c *consumption) figures() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	acked, dead := 0, 0
	for _, f := range c.messages {
		if !f.acked.IsZero() || f.accepted >= 0 {
			acked++
		}
		if f.dead {
			dead++
		}
	}
	return fmt.Sprintf("%s: %d acknowledged, %d dead, %d given again;", c.name, acked, dead, c.again)
}
