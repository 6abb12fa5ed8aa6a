package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// Pair is a publisher and a subscriber that must not notice what happens around them.
type Pair struct {
	o      PairOptions
	topic  string
	pub    *Peer
	sub    *Peer
	window chan struct{}
	stop   chan struct{}

	publishing, reading sync.WaitGroup
	sent, got           atomic.Int64
	closed              atomic.Bool

	mu      sync.Mutex // guards what follows
	took    []time.Duration
	slowest time.Duration
	faults  []error
}

// PairOptions say what a pair is like.
type PairOptions struct {
	Name     string
	Username string
	Password string
	Durable  bool // its sessions outlive their connections
	Every    time.Duration
	QoS      mqtt.QoS // 0: QoS 1 and 2 in turn
}

// NewPair connects a pair, which publishes from now on.
func NewPair(dial func() (net.Conn, error), o PairOptions) (*Pair, error) {
	p := &Pair{o: o, topic: "pair/" + o.Name, window: make(chan struct{}, 100), stop: make(chan struct{})}
	var err error
	if p.pub, err = p.open(dial, "pair-pub-"); err != nil {
		return nil, err
	}
	if p.sub, err = p.open(dial, "pair-sub-"); err != nil {
		return nil, err
	}
	if err = p.sub.Send(&mqtt.Subscribe{PacketID: 60000, Filters: []mqtt.FilterOptions{{Filter: p.topic, QoS: 2}}}); err != nil {
		return nil, err
	}
	if pk, err := p.sub.Receive(); err != nil {
		return nil, err
	} else if ack, ok := pk.(*mqtt.Suback); !ok || ack.Codes[0].Failed() {
		return nil, fmt.Errorf("got %+v instead of SUBACK", pk)
	}
	p.publishing.Go(p.publish)
	p.reading.Go(p.settle)
	p.reading.Go(p.receive)
	return p, nil
}

func (p *Pair) open(dial func() (net.Conn, error), id string) (*Peer, error) {
	nc, err := dial()
	if err != nil {
		return nil, err
	}
	c := &mqtt.Connect{Version: mqtt.V5, ClientID: id + p.o.Name, KeepAlive: 60, CleanStart: true}
	if p.o.Durable {
		c.SessionExpirySeconds = 60
	}
	if p.o.Username != "" {
		c.HasUsername, c.Username, c.HasPassword, c.Password = true, p.o.Username, true, []byte(p.o.Password)
	}
	peer, ack, err := Connect(nc, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.ClientID, err)
	}
	if ack.Code != mqtt.Success {
		return nil, fmt.Errorf("%s is refused: %w", c.ClientID, ack.Code)
	}
	return peer, nil
}

// Sent and Got are how many messages were published and received.
func (p *Pair) Sent() int64 { return p.sent.Load() }

// Got is how many messages were received.
func (p *Pair) Got() int64 { return p.got.Load() }

func (p *Pair) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) < 20 {
		p.faults = append(p.faults, fmt.Errorf(p.topic+": "+format, args...))
	}
}

// publish sends messages at a steady rate, each with its number and time.
func (p *Pair) publish() {
	tick := time.NewTicker(p.o.Every)
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
		qos := p.o.QoS
		if qos == 0 {
			qos = mqtt.QoS(1 + n%2)
		}
		payload := binary.BigEndian.AppendUint64(nil, uint64(n))
		payload = binary.BigEndian.AppendUint64(payload, uint64(time.Now().UnixNano()))
		if err := p.pub.Send(&mqtt.Publish{QoS: qos, PacketID: uint16(n%60000 + 1), Topic: []byte(p.topic), Payload: payload}); err != nil {
			p.fault("publisher cut off: %w", err)
			return
		}
		p.sent.Add(1)
	}
}

// settle takes the publisher's acknowledgements.
func (p *Pair) settle() {
	for {
		pk, err := p.pub.Receive()
		if err != nil {
			if !p.closed.Load() {
				p.fault("publisher cut off: %w", err)
			}
			return
		}
		var code mqtt.ReasonCode
		switch pk := pk.(type) {
		case *mqtt.Pubrec:
			if code = pk.Code; !code.Failed() {
				_ = p.pub.Send(&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: pk.PacketID}})
				continue
			}
		case *mqtt.Puback:
			code = pk.Code
		case *mqtt.Pubcomp:
		default:
			p.fault("publisher got %+v", pk)
			continue
		}
		if code.Failed() {
			p.fault("publisher was refused: %w", code)
		}
		<-p.window
	}
}

func (p *Pair) receive() {
	for {
		pk, err := p.sub.Receive()
		if err != nil {
			if !p.closed.Load() {
				p.fault("subscriber cut off: %w", err)
			}
			return
		}
		switch pk := pk.(type) {
		case *mqtt.Publish:
			p.take(pk)
		case *mqtt.Pubrel:
			_ = p.sub.Send(&mqtt.Pubcomp{Ack: pk.Ack})
		default:
			p.fault("subscriber got %+v", pk)
		}
	}
}

func (p *Pair) take(pk *mqtt.Publish) {
	if pk.QoS == mqtt.ExactlyOnce {
		_ = p.sub.Send(&mqtt.Pubrec{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	} else {
		_ = p.sub.Send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	}
	if len(pk.Payload) != 16 || string(pk.Topic) != p.topic {
		p.fault("got %q of %s, which nobody here has published", pk.Payload, pk.Topic)
		return
	}
	n := int64(binary.BigEndian.Uint64(pk.Payload))
	if want := p.got.Load(); n != want {
		p.fault("got message %d instead of %d", n, want)
	}
	p.got.Store(n + 1)
	took := time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(pk.Payload[8:]))))
	p.mu.Lock()
	p.took = append(p.took, took)
	p.slowest = max(p.slowest, took)
	p.mu.Unlock()
}

// Times are how long messages took from PUBLISH to the subscriber.
type Times struct {
	Messages             int
	Median, P99, Slowest time.Duration
}

// Times returns the times of the messages that were received since it was last called.
func (p *Pair) Times() Times {
	p.mu.Lock()
	all := p.took
	p.took = nil
	p.mu.Unlock()
	if len(all) == 0 {
		return Times{}
	}
	slices.Sort(all)
	return Times{Messages: len(all), Median: all[len(all)/2], P99: all[len(all)*99/100], Slowest: all[len(all)-1]}
}

// String returns the times as a line of text.
func (t Times) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d messages, median %v, p99 %v, slowest %v", t.Messages, round(t.Median), round(t.P99), round(t.Slowest))
}

// End stops publishing, waits up to limit for what is under way, and returns what the pair noticed, and the longest time that a
// message took.
func (p *Pair) End(limit time.Duration) (slowest time.Duration, err error) {
	close(p.stop)
	p.publishing.Wait()
	for end := time.Now().Add(limit); (p.got.Load() < p.sent.Load() || len(p.window) > 0) && time.Now().Before(end); {
		<-time.After(10 * time.Millisecond)
	}
	if p.got.Load() != p.sent.Load() || len(p.window) > 0 {
		p.fault("%d messages sent, %d received, %d not acknowledged", p.sent.Load(), p.got.Load(), len(p.window))
	}
	p.closed.Store(true)
	_ = p.pub.Conn.Close()
	_ = p.sub.Conn.Close()
	p.reading.Wait()
	return p.slowest, errors.Join(p.faults...)
}
