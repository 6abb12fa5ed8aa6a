package broker

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// The simulation lets publishers and durable subscribers come and go over connections that are cut at any time, and
// checks what the broker promises: what it acknowledged reaches every durable subscriber, at least once with QoS 1,
// exactly once with QoS 2, and in the order of each publisher.
type simulation struct {
	world    *world
	seed     uint64
	begin    func() // of what disturbs the run; nil: nothing
	end      func() // of the same
	t        *testing.T
	messages int
	stop     chan struct{}
	wg       sync.WaitGroup
}

// simPublisher publishes numbered messages with one QoS, and sends what is not acknowledged again when it is back.
type simPublisher struct {
	n     int
	qos   mqtt.QoS
	rng   *rand.Rand
	next  int            // first number that was never sent
	open  map[uint16]int // sent, and not acknowledged to the end
	order []uint16       // of open
	rel   map[uint16]bool
}

// simSubscriber keeps what it got over all of its connections.
type simSubscriber struct {
	id        string
	qos       mqtt.QoS
	filter    string
	ephemeral bool // its session ends with each connection
	fickle    bool // it leaves the group now and then
	plain     bool // it has a subscription to t/# besides
	rng       *rand.Rand
	got       map[int][]int     // publisher → numbers, in the order in which they came
	own       map[int][]int     // the same of the subscription besides
	held      map[uint16]string // payloads of QoS 2, from PUBLISH to PUBREL
}

func TestWhatIsAcknowledgedArrivesThroughCutConnections(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

func TestASharedGroupLosesNothingThroughCutConnections(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulateGroup(t, seed) })
		})
	}
}

func simulate(t *testing.T, seed uint64) {
	s := newSimulation(t, seed)
	subs := s.run(s.subscribers(seed, "t/#"))
	for _, sub := range subs {
		for i := range 4 {
			exactly := min(sub.qos, mqtt.QoS(1+i/2)) == mqtt.ExactlyOnce
			checkHistory(t, sub.id, i, sub.got[i], s.messages, exactly)
		}
	}
}

// simulateGroup has the subscribers share.
func simulateGroup(t *testing.T, seed uint64) {
	s := newSimulation(t, seed)
	checkGroup(t, s.run(s.subscribers(seed, "$share/g/t/#")), s.messages)
}

// checkGroup checks that each message reached one member at least, and no more than one with QoS 2.
func checkGroup(t *testing.T, subs []*simSubscriber, messages int) {
	t.Helper()
	for i := range 4 {
		times, exactly := make(map[int]int), make(map[int]int)
		for _, sub := range subs {
			for _, seq := range sub.got[i] {
				times[seq]++
				if min(sub.qos, mqtt.QoS(1+i/2)) == mqtt.ExactlyOnce {
					exactly[seq]++
				}
			}
		}
		for seq := range messages {
			if times[seq] == 0 {
				t.Errorf("nobody got message %d of publisher %d", seq, i)
			}
			if exactly[seq] > 1 {
				t.Errorf("message %d of publisher %d came %d times with QoS 2", seq, i, exactly[seq])
			}
		}
	}
	for _, sub := range subs {
		if len(sub.got) == 0 {
			t.Errorf("%s got nothing at all", sub.id)
		}
	}
}

func newSimulation(t *testing.T, seed uint64, more ...string) *simulation {
	rng := rand.New(rand.NewPCG(seed, 1))
	sets := []string{fmt.Sprintf("session.in_flight_max=%d", 1+rng.IntN(20)), fmt.Sprintf("session.queue_memory_messages=%d", 2+rng.IntN(50)),
		fmt.Sprintf("mqtt.receive_maximum=%d", 1+rng.IntN(30))}
	return &simulation{seed: seed, world: newWorld(t, append(sets, more...)...), t: t, messages: 150, stop: make(chan struct{})}
}

// subscribers makes four subscribers of filter.
func (s *simulation) subscribers(seed uint64, filter string) (subs []*simSubscriber) {
	for i := range 4 {
		subs = append(subs, &simSubscriber{id: fmt.Sprintf("sub%d", i), qos: mqtt.QoS(1 + i%2), filter: filter,
			rng: rand.New(rand.NewPCG(seed, uint64(100+i))), got: make(map[int][]int), own: make(map[int][]int), held: make(map[uint16]string)})
	}
	return subs
}

// run lets four publishers publish to subscribers, and returns those when they have got what they will.
func (s *simulation) run(subs []*simSubscriber) []*simSubscriber {
	t, seed := s.t, s.seed
	for _, sub := range subs {
		p, _ := s.world.connect(sub.connect())
		p.subscribe(t, sub.filter, sub.qos)
		if sub.plain {
			_ = p.send(&mqtt.Subscribe{PacketID: 1, SubscriptionID: 1, Filters: []mqtt.FilterOptions{{Filter: "t/#", QoS: sub.qos}}})
			_, _ = p.receive()
		}
		_ = p.conn.Close()
		s.wg.Go(func() { s.subscriber(sub) })
	}
	if s.begin != nil {
		s.begin()
	}
	var pubs sync.WaitGroup
	for i := range 4 {
		pub := &simPublisher{n: i, qos: mqtt.QoS(1 + i/2), rng: rand.New(rand.NewPCG(seed, uint64(200+i))),
			open: make(map[uint16]int), rel: make(map[uint16]bool)}
		pubs.Go(func() { s.publisher(pub) })
	}
	pubs.Wait()
	pause(5 * time.Minute) // subscribers drain what is left, between their breaks
	if s.end != nil {
		s.end()
	}
	pause(time.Minute)
	close(s.stop)
	s.wg.Wait()
	s.world.close()
	return subs
}

// checkHistory checks one subscriber's view of one publisher.
func checkHistory(t *testing.T, id string, publisher int, got []int, n int, exactly bool) {
	t.Helper()
	seen := make(map[int]int)
	newest := -1
	for _, seq := range got {
		if seen[seq]++; seen[seq] > 1 {
			if exactly {
				t.Errorf("%s got message %d of publisher %d twice", id, seq, publisher)
			}
			continue
		}
		if seq < newest {
			t.Errorf("%s got message %d of publisher %d for the first time after %d", id, seq, publisher, newest)
		}
		newest = seq
	}
	for seq := range n {
		if seen[seq] == 0 {
			t.Errorf("%s never got message %d of publisher %d", id, seq, publisher)
		}
	}
}

func (sub *simSubscriber) connect() *mqtt.Connect {
	c := &mqtt.Connect{ClientID: sub.id, SessionExpirySeconds: 3600, ReceiveMaximum: uint16(1 + sub.rng.IntN(12))}
	if sub.ephemeral {
		c.SessionExpirySeconds = 0
	}
	return c
}

// subscriber connects, reads for a while, is cut off or leaves, and comes back.
func (s *simulation) subscriber(sub *simSubscriber) {
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		p, ack := s.world.connect(sub.connect())
		if ack == nil {
			pause(10 * time.Millisecond) // the broker died over it
			continue
		}
		if !ack.SessionPresent && !sub.ephemeral {
			s.t.Errorf("%s: session is gone: %+v", sub.id, ack)
			return
		}
		if sub.ephemeral {
			clear(sub.held)
		}
		if sub.fickle && sub.rng.IntN(2) == 0 {
			_ = p.send(&mqtt.Unsubscribe{PacketID: 60002, Filters: []string{sub.filter}})
		}
		if sub.ephemeral || sub.fickle {
			_ = p.send(&mqtt.Subscribe{PacketID: 60001, Filters: []mqtt.FilterOptions{{Filter: sub.filter, QoS: sub.qos}}})
		}
		cut := time.AfterFunc(time.Duration(sub.rng.IntN(2000))*time.Millisecond, func() { _ = p.conn.Close() })
		for s.step(sub, p) == nil {
		}
		cut.Stop()
		_ = p.conn.Close()
		pause(time.Duration(sub.rng.IntN(1500)) * time.Millisecond)
	}
}

// step takes one packet and answers it.
func (s *simulation) step(sub *simSubscriber, p *peer) error {
	pk, err := p.receive()
	if err != nil {
		return err
	}
	if sub.rng.IntN(4) == 0 {
		pause(time.Duration(sub.rng.IntN(5)) * time.Millisecond)
	}
	switch pk := pk.(type) {
	case *mqtt.Publish:
		before, held := sub.held[pk.PacketID]
		if pk.QoS < mqtt.ExactlyOnce || !held {
			publisher, seq := numberOf(pk.Payload)
			got := sub.got
			if len(pk.Properties.SubscriptionIDs) > 0 {
				got = sub.own
			}
			got[publisher] = append(got[publisher], seq)
		}
		if pk.QoS == mqtt.ExactlyOnce {
			if held && before != string(pk.Payload) {
				s.t.Errorf("%s got another message with identifier %d before PUBREL", sub.id, pk.PacketID)
			}
			sub.held[pk.PacketID] = string(pk.Payload)
			return p.send(&mqtt.Pubrec{Ack: mqtt.Ack{PacketID: pk.PacketID}})
		}
		return p.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	case *mqtt.Pubrel:
		delete(sub.held, pk.PacketID)
		return p.send(&mqtt.Pubcomp{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	}
	return nil
}

// publisher publishes all of its messages, over as many connections as it takes.
func (s *simulation) publisher(pub *simPublisher) {
	for tries := 0; pub.next < s.messages || len(pub.open) > 0; tries++ {
		if tries == 3000 {
			s.t.Errorf("publisher %d makes no progress: next %d, open %v, released %v", pub.n, pub.next, pub.open, pub.rel)
			return
		}
		p, ack := s.world.connect(&mqtt.Connect{ClientID: fmt.Sprintf("pub%d", pub.n), SessionExpirySeconds: 3600})
		if ack == nil {
			pause(10 * time.Millisecond)
			continue
		}
		cut := time.AfterFunc(time.Duration(pub.rng.IntN(1500))*time.Millisecond, func() { _ = p.conn.Close() })
		_ = pub.resend(p)
		window := int(ack.ReceiveMaximum)
		for {
			if len(pub.open) < window && pub.next < s.messages {
				pause(time.Duration(pub.rng.IntN(20)) * time.Millisecond)
				if pub.publish(p) != nil {
					break
				}
				continue
			}
			if len(pub.open) == 0 || pub.settle(p) != nil {
				break
			}
		}
		cut.Stop()
		_ = p.conn.Close()
		pause(time.Duration(pub.rng.IntN(500)) * time.Millisecond)
	}
}

func (pub *simPublisher) packet(id uint16, dup bool) *mqtt.Publish {
	return &mqtt.Publish{Dup: dup, QoS: pub.qos, PacketID: id, Topic: fmt.Appendf(nil, "t/%d", pub.n), Payload: number(pub.n, pub.open[id])}
}

func (pub *simPublisher) publish(p *peer) error {
	id := uint16(pub.next%65535 + 1)
	pub.open[id] = pub.next
	pub.order = append(pub.order, id)
	pub.next++
	return p.send(pub.packet(id, false))
}

func (pub *simPublisher) resend(p *peer) error {
	for _, id := range pub.order {
		if _, open := pub.open[id]; !open {
			continue
		}
		var pk mqtt.Packet = pub.packet(id, true)
		if pub.rel[id] {
			pk = &mqtt.Pubrel{Ack: mqtt.Ack{PacketID: id}}
		}
		if err := p.send(pk); err != nil {
			return err
		}
	}
	return nil
}

// settle takes one acknowledgement.
func (pub *simPublisher) settle(p *peer) error {
	pk, err := p.receive()
	if err != nil {
		return err
	}
	switch pk := pk.(type) {
	case *mqtt.Puback:
		delete(pub.open, pk.PacketID)
	case *mqtt.Pubrec:
		pub.rel[pk.PacketID] = true
		return p.send(&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	case *mqtt.Pubcomp:
		delete(pub.open, pk.PacketID)
		delete(pub.rel, pk.PacketID)
	case *mqtt.Disconnect:
		return fmt.Errorf("disconnected: %w", pk.Code)
	}
	return nil
}
