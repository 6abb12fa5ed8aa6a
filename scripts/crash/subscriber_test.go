//go:build e2e

package crash

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// subscriber is a client with a persistent session, which keeps its side of it over all connections.
type subscriber struct {
	*view
	w         *world
	version   mqtt.Version
	rng       *rand.Rand
	filters   []mqtt.FilterOptions
	absent    bool // stays away until the load ends
	fickle    bool // unsubscribes, and begins new sessions
	leaves    bool // unsubscribes only
	ephemeral bool // has no session but for the connection

	renew      bool              // a new session is to begin
	known      bool              // the broker has said that there is a session
	subscribed bool              // and that it has the subscription
	leaving    bool              // waits for UNSUBACK
	held       map[uint16][]byte // payloads of QoS 2, from PUBLISH to PUBREL
}

func newSubscriber(w *world, v *view, n int, version mqtt.Version, filters ...string) *subscriber {
	sub := &subscriber{view: v, w: w, version: version, rng: w.rng(uint64(100 + n)), held: make(map[uint16][]byte)}
	for _, f := range filters {
		sub.filters = append(sub.filters, mqtt.FilterOptions{Filter: f, QoS: v.qos})
	}
	return sub
}

// run reads for a while, is cut off or leaves, and comes back, until the run ends.
func (sub *subscriber) run(id string, subscribed func()) {
	end := func() {}
	for sub.w.ctx.Err() == nil {
		if sub.ephemeral {
			sub.known, sub.subscribed, sub.leaving = false, false, false
		}
		if sub.known && sub.fickle && sub.w.loading() && sub.rng.IntN(4) == 0 {
			sub.known, sub.subscribed, sub.renew = false, false, true
			sub.end()
		}
		cn, err := sub.connect(id)
		if err != nil {
			sub.w.pause(sub.rng, 20*time.Millisecond)
			continue
		}
		end()
		first := !sub.subscribed
		_ = sub.use(cn) // ends when it breaks
		end = cn.leave(sub.rng)
		if first && sub.subscribed {
			subscribed()
		}
		sub.away()
	}
	end()
}

// connect connects to the session, or to a new one if that is due.
func (sub *subscriber) connect(id string) (*connection, error) {
	c := &mqtt.Connect{Version: sub.version, ClientID: id, CleanStart: sub.renew, SessionExpirySeconds: 3600}
	if sub.ephemeral {
		c.CleanStart, c.SessionExpirySeconds = true, 0
	}
	if sub.version == mqtt.V5 {
		c.ReceiveMaximum = uint16(1 + sub.rng.IntN(60))
	}
	cn, ack, err := sub.w.connect(c, 50*time.Millisecond+upTo(sub.rng, 2*time.Second))
	if err != nil {
		return nil, err
	}
	if sub.known && !ack.SessionPresent || sub.renew && ack.SessionPresent {
		sub.history.fail("%s: session present is %v, clean start was %v", id, ack.SessionPresent, sub.renew)
	}
	if !ack.SessionPresent {
		clear(sub.held)
	}
	renewed := sub.renew
	sub.renew = false
	if renewed && sub.version < mqtt.V5 { // whose clean sessions end with the connection
		_ = cn.conn.Close()
		return sub.connect(id)
	}
	sub.known = true
	return cn, nil
}

// away is how long the subscriber has no connection.
func (sub *subscriber) away() {
	if sub.absent && sub.subscribed {
		select {
		case <-sub.w.calm:
		case <-sub.w.ctx.Done():
		}
	}
	sub.w.pause(sub.rng, sub.w.breaks())
}

// use subscribes if need be, and takes what comes until the connection breaks.
func (sub *subscriber) use(cn *connection) error {
	if !sub.subscribed {
		if err := sub.subscribe(cn); err != nil {
			return err
		}
	}
	if sub.absent && sub.w.loading() {
		return nil
	}
	for left := sub.rng.IntN(3000); ; left-- {
		if err := sub.step(cn); err != nil {
			return err
		}
		if left <= 0 && (sub.fickle || sub.leaves) && sub.w.loading() {
			left = sub.rng.IntN(3000)
			if err := sub.unsubscribe(cn); err != nil {
				return err
			}
			if err := sub.subscribe(cn); err != nil {
				return err
			}
		}
	}
}

func (sub *subscriber) subscribe(cn *connection) error {
	if err := cn.send(&mqtt.Subscribe{PacketID: 60001, Filters: sub.filters}); err != nil {
		return err
	}
	for !sub.subscribed {
		if err := sub.step(cn); err != nil {
			return err
		}
	}
	return nil
}

func (sub *subscriber) unsubscribe(cn *connection) error {
	u := &mqtt.Unsubscribe{PacketID: 60002}
	for _, f := range sub.filters {
		u.Filters = append(u.Filters, f.Filter)
	}
	sub.end()
	sub.subscribed, sub.leaving = false, true
	if err := cn.send(u); err != nil {
		return err
	}
	for sub.leaving {
		if err := sub.step(cn); err != nil {
			return err
		}
	}
	return nil
}

// step takes one packet and answers it.
func (sub *subscriber) step(cn *connection) error {
	pk, err := cn.receive()
	if err != nil {
		return err
	}
	if sub.rng.IntN(200) == 0 {
		sub.w.pause(sub.rng, 20*time.Millisecond)
	}
	switch pk := pk.(type) {
	case *mqtt.Publish:
		return sub.publish(cn, pk)
	case *mqtt.Pubrel:
		delete(sub.held, pk.PacketID)
		return cn.send(&mqtt.Pubcomp{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	case *mqtt.Suback:
		for i, code := range pk.Codes {
			if want := mqtt.ReasonCode(sub.filters[i].QoS); code != want {
				sub.history.fail("%s: subscribing: got %v", sub.name, code)
			}
		}
		sub.subscribed = true
		sub.begin()
	case *mqtt.Unsuback:
		for _, code := range pk.Codes {
			if code != 0 {
				sub.history.fail("%s: unsubscribing: %v: the subscription was forgotten", sub.name, code)
			}
		}
		sub.leaving = false
	}
	return nil
}

func (sub *subscriber) publish(cn *connection, pk *mqtt.Publish) error {
	if pk.QoS < mqtt.ExactlyOnce {
		sub.receive(pk)
		return cn.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: pk.PacketID}})
	}
	before, held := sub.held[pk.PacketID]
	switch {
	case !held:
		sub.receive(pk)
		sub.held[pk.PacketID] = pk.Payload
	case !bytes.Equal(before, pk.Payload):
		sub.history.fail("%s got another message with identifier %d before PUBREL: %.8x, then %.8x", sub.name, pk.PacketID, before, pk.Payload)
	}
	return cn.send(&mqtt.Pubrec{Ack: mqtt.Ack{PacketID: pk.PacketID}})
}
