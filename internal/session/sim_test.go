package session

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// TestSimulation drives sessions as a broker does, between model clients that know nothing of the code under test, over
// links that break at any time and lose what was on the way. It checks what MQTT promises: no QoS 1 message lost,
// QoS 2 exactly once, a publisher's order kept, no window exceeded in either direction, no identifier in use twice.
func TestSimulation(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 50
	}
	first := rand.Uint64()
	t.Logf("seeds %d to %d", first, first+uint64(rounds)-1)
	var total simCounts
	for i := range rounds {
		total.add(simulate(t, first+uint64(i), 3000))
		if t.Failed() {
			return
		}
	}
	t.Logf("%+v", total)
	if min(total.published, total.received, total.repeated, total.released, total.expired, total.regrouped) == 0 {
		t.Error("something never happened, so nothing was tested there")
	}
}

// simCounts shows that a simulation did what it is for.
type simCounts struct {
	published, received, repeated, released, expired, regrouped, broken int
}

func (c *simCounts) add(o simCounts) {
	c.published += o.published
	c.received += o.received
	c.repeated += o.repeated
	c.released += o.released
	c.expired += o.expired
	c.regrouped += o.regrouped
	c.broken += o.broken
}

// FuzzSimulation lets a failing seed be run again, as a file of its corpus or from the command line.
func FuzzSimulation(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { simulate(t, seed, 1000) })
}

// sim is a broker, its clients and what is between them.
type sim struct {
	t    *testing.T
	seed uint64
	r    *rand.Rand
	now  time.Time

	notes     []*note
	byMessage map[*message.Message]*note
	pubs      []*publisher
	subs      []*subscriber

	commits []commit   // what the broker has submitted to its store, in order
	shared  []Delivery // what the shared group has not assigned
	copies  uint32     // messages routed: the position of the last one
	calm    bool       // the end: nothing fails any more
	counts  simCounts
}

// note is one message as its publisher means it, however often it sends it.
type note struct {
	publisher, seq int
	qos            mqtt.QoS
	shared, big    bool
	message        *message.Message

	accepted bool // the publisher has a positive PUBACK, or PUBCOMP
	refused  bool // at least once; if the client did not hear of it, it tries again, behind later messages
	routed   int  // copies that the broker made of it
}

// frame is a packet on a link.
type frame struct {
	typ  mqtt.Type
	id   uint16
	qos  mqtt.QoS
	dup  bool
	code mqtt.ReasonCode
	note *note
	copy uint32 // to subscribers: which of the note's copies
}

// link is a client's connection: two pipes that keep order and lose everything at once.
type link struct {
	up                 bool
	epoch              int
	toBroker, toClient []frame
}

func (l *link) breakDown() {
	l.up, l.toBroker, l.toClient = false, nil, nil
}

func simulate(t *testing.T, seed uint64, steps int) simCounts {
	s := &sim{
		t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_800_000_000, 0),
		byMessage: map[*message.Message]*note{},
	}
	for n := range 1 + s.r.IntN(3) {
		s.pubs = append(s.pubs, newPublisher(s, n))
	}
	for n := range 1 + s.r.IntN(3) {
		s.subs = append(s.subs, newSubscriber(s, n))
	}
	faults := s.r.IntN(60) // of a thousand steps
	for range steps {
		if s.r.IntN(1000) < faults {
			s.fault()
		} else {
			s.step()
		}
		if t.Failed() {
			return s.counts
		}
	}
	s.finish()
	s.check()
	s.counts.published = len(s.notes)
	return s.counts
}

func (s *sim) chance(percent int) bool { return !s.calm && s.r.IntN(100) < percent }

func (s *sim) errorf(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("seed %d: "+format, append([]any{s.seed}, args...)...)
}

// step lets one thing happen somewhere.
func (s *sim) step() {
	p, c := s.pubs[s.r.IntN(len(s.pubs))], s.subs[s.r.IntN(len(s.subs))]
	switch s.r.IntN(10) {
	case 0:
		p.connect()
		c.connect()
	case 1, 2:
		p.publish()
	case 3:
		p.brokerReceives()
		p.clientReceives()
	case 4:
		s.commit()
	case 5:
		s.assign()
	case 6:
		c.feed()
		c.pump(s.r.IntN(5))
	case 7:
		c.clientReceives()
	case 8:
		c.answer()
	case 9:
		c.brokerReceives()
	}
}

// fault breaks something.
func (s *sim) fault() {
	switch s.r.IntN(9) {
	case 0, 1, 2:
		s.pubs[s.r.IntN(len(s.pubs))].disconnect()
	case 3, 4, 5:
		s.subs[s.r.IntN(len(s.subs))].disconnect()
	case 6:
		jump := time.Duration(s.r.Int64N(int64(2 * time.Hour)))
		if s.chance(20) {
			jump = -jump
		}
		s.now = s.now.Add(jump)
	case 7:
		s.crash()
	case 8:
		s.subs[s.r.IntN(len(s.subs))].leave()
	}
}

// crash restarts the broker: what was not committed never was, and sessions come back from snapshots.
func (s *sim) crash() {
	for range s.r.IntN(len(s.commits) + 1) {
		s.commit()
	}
	s.commits = nil
	for _, p := range s.pubs {
		p.disconnect()
		p.session = restarted(s, p.session)
	}
	for _, c := range s.subs {
		c.disconnect()
		c.session = restarted(s, c.session)
	}
}

func restarted(s *sim, old *Session) *Session {
	fresh := New(old.opts)
	var ids []uint16
	for id, state := range old.InboundIDs() {
		if state != InboundPending {
			ids = append(ids, id)
		}
	}
	fresh.RestoreInbound(ids)
	var flights []InFlight
	for f := range old.InFlightDeliveries() {
		flights = append(flights, f)
	}
	if err := fresh.Restore(old.LastID(), flights); err != nil {
		s.errorf("%v", err)
	}
	return fresh
}

// finish lets everything arrive.
func (s *sim) finish() {
	s.calm = true
	for range 100_000 {
		if s.idle() {
			return
		}
		s.step()
		if s.t.Failed() {
			return
		}
	}
	s.errorf("something is stuck")
	for _, p := range s.pubs {
		s.t.Logf("publisher %d: %d in flight, %d and %d on the way", p.n, len(p.flights), len(p.toBroker), len(p.toClient))
	}
	for _, c := range s.subs {
		s.t.Logf("subscriber %d: backlog %d, queued %d, in flight %d", c.n, len(c.backlog), c.session.Queued(), c.session.InFlight())
	}
}

func (s *sim) idle() bool {
	if len(s.commits)+len(s.shared) > 0 {
		return false
	}
	for _, p := range s.pubs {
		if !p.idle() {
			return false
		}
	}
	for _, c := range s.subs {
		if !c.idle() {
			return false
		}
	}
	return true
}
