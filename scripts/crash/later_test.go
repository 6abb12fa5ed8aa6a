//go:build e2e

package crash

import (
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// laterKind is how a source's messages are published by the broker itself, when their time has come.
type laterKind int

const (
	atOnce  laterKind = iota
	delayed           // $delayed/…
	will
)

// address is the topic that a message is sent to.
func (s *source) address(seq int) []byte {
	if s.later == delayed {
		return fmt.Appendf(nil, "$delayed/%d/%s", seq%3, s.topic(seq))
	}
	return s.topic(seq)
}

// die connects with one will after the other, and is cut off: by itself, by a next connection that takes its place, or by
// the broker's end. A will counts as acknowledged with its CONNACK. Without one nobody knows: it may come or not.
func (p *publisher) die() {
	before := func() {}
	for p.w.loading() && p.w.ctx.Err() == nil {
		if p.w.broker.addr.Load() == nil {
			p.w.pause(p.rng, 20*time.Millisecond)
			continue
		}
		seq := p.next
		p.next++
		p.sent.Store(int64(p.next))
		c := &mqtt.Connect{Version: p.version, ClientID: p.id, CleanStart: true,
			Will: &mqtt.Will{Topic: string(p.topic(seq)), Payload: p.payload(seq), QoS: p.qos}}
		if p.version == mqtt.V5 && seq%2 == 0 {
			c.SessionExpirySeconds, c.Will.DelaySeconds = 3600, 1 // which ends with the next clean start
		}
		cn, _, err := p.w.connect(c, 5*time.Second)
		if err != nil {
			p.void.Store(seq, true)
		}
		p.settled(seq)
		before()
		before = func() {}
		if err != nil {
			p.w.pause(p.rng, 20*time.Millisecond)
			continue
		}
		p.w.pause(p.rng, 150*time.Millisecond)
		if p.rng.IntN(2) == 0 {
			before = func() { _ = cn.conn.Close() }
			continue
		}
		_ = cn.conn.Close()
	}
	before()
}
