package broker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// pair is a publisher and a subscriber that must not notice what happens around them.
type pair struct {
	t          *testing.T
	topic      string
	pub        *peer
	sub        *peer
	every      time.Duration
	window     chan struct{}
	stop       chan struct{}
	wg         sync.WaitGroup // of both readers
	publishing sync.WaitGroup
	sent       atomic.Int64
	got        atomic.Int64
	slowest    atomic.Int64 // the longest way from PUBLISH to subscriber, in nanoseconds
	closed     atomic.Bool
}

// newPair connects a pair by dial, whose sessions outlive their connections if durable.
func newPair(t *testing.T, dial func() *peer, name string, durable bool, every time.Duration) *pair {
	t.Helper()
	p := &pair{t: t, topic: "pair/" + name, every: every, window: make(chan struct{}, 100), stop: make(chan struct{})}
	open := func(id string) *peer {
		x := dial()
		c := &mqtt.Connect{Version: mqtt.V5, ClientID: id, KeepAlive: 60, CleanStart: true}
		if durable {
			c.SessionExpirySeconds = 60
		}
		if err := x.send(c); err != nil {
			t.Fatal(err)
		}
		if pk, err := x.receive(); err != nil || pk.(*mqtt.Connack).Code != mqtt.Success {
			t.Fatalf("pair not accepted: %+v, %v", pk, err)
		}
		return x
	}
	p.pub, p.sub = open("pair-pub-"+name), open("pair-sub-"+name)
	p.sub.subscribe(t, p.topic, mqtt.ExactlyOnce)
	p.publishing.Go(p.publish)
	p.wg.Go(p.settle)
	p.wg.Go(p.receive)
	return p
}

// publish sends messages at a steady rate, QoS 1 and 2 in turn, each with its number and time.
func (p *pair) publish() {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		select {
		case <-p.stop:
			return
		case p.window <- struct{}{}:
		}
		payload := append(number(0, n), fmt.Sprint(time.Now().UnixNano())...)
		err := p.pub.send(&mqtt.Publish{QoS: mqtt.QoS(1 + n%2), PacketID: uint16(n%60000 + 1), Topic: []byte(p.topic), Payload: payload})
		if err != nil {
			p.t.Errorf("%s: publisher cut off: %v", p.topic, err)
			return
		}
		p.sent.Add(1)
	}
}

// settle takes the publisher's acknowledgements.
func (p *pair) settle() {
	for {
		pk, err := p.pub.receive()
		if err != nil {
			if !p.closed.Load() {
				p.t.Errorf("%s: publisher cut off: %v", p.topic, err)
			}
			return
		}
		switch pk := pk.(type) {
		case *mqtt.Pubrec:
			_ = p.pub.send(&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: pk.PacketID}})
		case *mqtt.Puback, *mqtt.Pubcomp:
			<-p.window
		default:
			p.t.Errorf("%s: publisher got %+v", p.topic, pk)
		}
	}
}

func (p *pair) receive() {
	for {
		pk, err := p.sub.receive()
		if err != nil {
			if !p.closed.Load() {
				p.t.Errorf("%s: subscriber cut off: %v", p.topic, err)
			}
			return
		}
		switch pk := pk.(type) {
		case *mqtt.Publish:
			p.take(pk)
		case *mqtt.Pubrel:
			_ = p.sub.send(&mqtt.Pubcomp{Ack: pk.Ack})
		default:
			p.t.Errorf("%s: subscriber got %+v", p.topic, pk)
		}
	}
}

func (p *pair) take(pk *mqtt.Publish) {
	_, n := numberOf(pk.Payload)
	if want := int(p.got.Load()); n != want || string(pk.Topic) != p.topic {
		p.t.Errorf("%s: got message %d of %s instead of %d", p.topic, n, pk.Topic, want)
	}
	p.got.Store(int64(n) + 1)
	var at int64
	_, _ = fmt.Sscan(string(pk.Payload[8:]), &at)
	p.slowest.Store(max(p.slowest.Load(), time.Now().UnixNano()-at))
	if pk.QoS == mqtt.ExactlyOnce {
		_ = p.sub.send(&mqtt.Pubrec{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	} else {
		_ = p.sub.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	}
}

// end stops publishing, waits for what is under way, and checks that nothing is missing and nothing took longer than
// bound.
func (p *pair) end(bound time.Duration) {
	p.t.Helper()
	close(p.stop)
	p.publishing.Wait()
	if !eventually(10*time.Second, func() bool { return p.got.Load() == p.sent.Load() && len(p.window) == 0 }) {
		p.t.Errorf("%s: %d messages sent, %d received, %d not acknowledged", p.topic, p.sent.Load(), p.got.Load(), len(p.window))
	}
	p.closed.Store(true)
	_ = p.pub.conn.Close()
	_ = p.sub.conn.Close()
	p.wg.Wait()
	slowest := time.Duration(p.slowest.Load())
	p.t.Logf("%s: %d messages, the slowest took %v", p.topic, p.got.Load(), slowest)
	if slowest > bound {
		p.t.Errorf("%s: a message took %v", p.topic, slowest)
	}
}

// eventually waits until cond holds, for at most limit.
func eventually(limit time.Duration, cond func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); pause(10 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}
