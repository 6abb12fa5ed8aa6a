//go:build e2e

package crash

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// window is how many messages a publisher has under way, if the broker does not want fewer.
const window = 40

// publisher publishes a source's messages, and sends again what is not acknowledged when it is back.
type publisher struct {
	*source
	w       *world
	id      string
	version mqtt.Version
	rng     *rand.Rand

	known bool           // the broker has said that there is a session
	next  int            // first number that was never sent
	open  map[uint16]int // packet identifier → message: under way, and not acknowledged to the end
	order []uint16       // of open, and some that are not any more
	rel   map[uint16]bool
	ahead map[int]bool // acknowledged, but not all before it are
}

func newPublisher(w *world, s *source, version mqtt.Version) *publisher {
	return &publisher{source: s, w: w, id: fmt.Sprintf("pub%d", s.n), version: version, rng: w.rng(uint64(200 + s.n)),
		open: make(map[uint16]int), rel: make(map[uint16]bool), ahead: make(map[int]bool)}
}

// run publishes until the load ends and all is acknowledged.
func (p *publisher) run() {
	end := func() {}
	for p.w.ctx.Err() == nil {
		c := &mqtt.Connect{Version: p.version, ClientID: p.id, SessionExpirySeconds: 3600}
		cn, ack, err := p.w.connect(c, 100*time.Millisecond+upTo(p.rng, 2*time.Second))
		if err != nil {
			p.w.pause(p.rng, 20*time.Millisecond)
			continue
		}
		end()
		if p.known && !ack.SessionPresent {
			p.w.history.fail("the session of %s is gone", p.id)
			return
		}
		p.known = true
		err = p.use(cn, min(window, int(ack.ReceiveMaximum)))
		end = cn.leave(p.rng)
		if err == nil {
			break
		}
		p.w.pause(p.rng, 300*time.Millisecond)
	}
	end()
}

// use publishes over one connection until it breaks, or there is no more to do.
func (p *publisher) use(cn *connection, limit int) error {
	if limit == 0 {
		limit = window // not said
	}
	if err := p.resend(cn); err != nil {
		return err
	}
	for p.w.loading() || len(p.open) > 0 {
		for burst := p.rng.IntN(16); burst > 0 && len(p.open) < limit && p.w.loading(); burst-- {
			if err := p.publish(cn); err != nil {
				return err
			}
		}
		left := 0
		if p.w.loading() {
			left = p.rng.IntN(limit/2 + 1)
		}
		for len(p.open) > left {
			if err := p.settle(cn); err != nil {
				return err
			}
		}
		if err := cn.out.Flush(); err != nil {
			return err
		}
		p.w.pause(p.rng, p.w.pace)
	}
	return nil
}

func (p *publisher) packet(id uint16, dup bool) *mqtt.Publish {
	seq := p.open[id]
	return &mqtt.Publish{Dup: dup, QoS: p.qos, Retain: p.retain, PacketID: id, Topic: p.address(seq), Payload: p.payload(seq)}
}

func (p *publisher) publish(cn *connection) error {
	for len(p.order) > 0 && !p.isOpen(p.order[0]) {
		p.order = p.order[1:]
	}
	id := uint16(p.next%65535 + 1)
	p.open[id] = p.next
	p.order = append(p.order, id)
	p.next++
	p.sent.Store(int64(p.next))
	return cn.send(p.packet(id, false))
}

func (p *publisher) isOpen(id uint16) bool {
	_, ok := p.open[id]
	return ok
}

// resend goes on with what was under way on the connection before.
func (p *publisher) resend(cn *connection) error {
	for _, id := range p.order {
		if !p.isOpen(id) {
			continue
		}
		var pk mqtt.Packet = p.packet(id, true)
		if p.rel[id] {
			pk = &mqtt.Pubrel{Ack: mqtt.Ack{PacketID: id}}
		}
		if err := cn.send(pk); err != nil {
			return err
		}
	}
	return nil
}

// settle takes one acknowledgement.
func (p *publisher) settle(cn *connection) error {
	pk, err := cn.receive()
	if err != nil {
		return err
	}
	switch pk := pk.(type) {
	case *mqtt.Puback:
		p.accepted(pk.Ack, mqtt.AtLeastOnce)
		delete(p.open, pk.PacketID)
	case *mqtt.Pubrec:
		p.accepted(pk.Ack, mqtt.ExactlyOnce)
		p.rel[pk.PacketID] = true
		return cn.send(&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	case *mqtt.Pubcomp:
		if !p.rel[pk.PacketID] {
			p.w.history.fail("%s got PUBCOMP for %d, which it did not release", p.id, pk.PacketID)
		}
		delete(p.open, pk.PacketID)
		delete(p.rel, pk.PacketID)
	case *mqtt.Disconnect:
		return fmt.Errorf("disconnected: %w", pk.Code)
	default:
		p.w.history.fail("%s got %v", p.id, pk.Type())
	}
	return nil
}

// accepted notes that the broker has taken responsibility for a message.
func (p *publisher) accepted(ack mqtt.Ack, qos mqtt.QoS) {
	seq, open := p.open[ack.PacketID]
	switch {
	case !open || qos != p.qos || p.rel[ack.PacketID]:
		p.w.history.fail("%s got an acknowledgement for %d, for which it did not wait", p.id, ack.PacketID)
		return
	case ack.Code >= 0x80:
		p.w.history.fail("%s: message %d was refused: %v", p.id, seq, ack.Code)
	case ack.Code == mqtt.NoMatchingSubscribers && !p.retain && p.later == atOnce:
		p.w.history.fail("%s: message %d was acknowledged as one that nobody subscribed to", p.id, seq)
	}
	p.settled(seq)
}

// settled notes that nothing is to be expected any more for a message from the broker.
func (p *publisher) settled(seq int) {
	p.ahead[seq] = true
	floor := int(p.acked.Load())
	for p.ahead[floor] {
		delete(p.ahead, floor)
		floor++
	}
	p.acked.Store(int64(floor))
}
