//go:build e2e

package crash

import (
	"errors"
	"os"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// expectation is what may be retained in one topic: a message from the last acknowledged one on, or nothing if one of
// those removes it.
type expectation struct {
	source *source
	topic  string
	oldest int // the last acknowledged message of the topic; -1: none was
	seen   bool
}

func (w *world) expectations() map[string]*expectation {
	all := make(map[string]*expectation)
	for _, s := range w.history.sources {
		if !s.retain {
			continue
		}
		acked := int(s.acked.Load())
		for i := range topicsEach {
			oldest := -1
			if acked > i {
				oldest = (acked-1-i)/topicsEach*topicsEach + i
			}
			e := &expectation{source: s, topic: string(s.topic(i)), oldest: oldest}
			all[e.topic] = e
		}
	}
	return all
}

// mayBeNone reports whether it is right that nothing is retained.
func (e *expectation) mayBeNone() bool {
	if e.oldest < 0 {
		return true
	}
	for seq := e.oldest; seq < int(e.source.sent.Load()); seq += topicsEach {
		if e.source.clears(seq) {
			return true
		}
	}
	return false
}

// checkRetained has a new client look at the retained messages, and wait for more than there should be.
func (w *world) checkRetained(more time.Duration) {
	all := w.expectations()
	cn, _, err := w.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "probe", CleanStart: true}, w.patience)
	if err != nil {
		w.history.fail("looking at the retained messages: %v", err)
		return
	}
	defer cn.conn.Close()
	err = cn.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "r/#", QoS: 1}}})
	var pk mqtt.Packet
	for waiting := true; err == nil; {
		if waiting && !missing(all) {
			waiting = false
			err = cn.conn.SetReadDeadline(time.Now().Add(more))
		}
		if err == nil {
			pk, err = cn.receive()
		}
		if p, ok := pk.(*mqtt.Publish); ok && err == nil {
			w.seeRetained(all[string(p.Topic)], p)
			err = cn.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: p.PacketID}})
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		w.history.fail("looking at the retained messages: %v", err)
	}
	for _, e := range all {
		if !e.seen && !e.mayBeNone() {
			w.history.fail("nothing is retained in %s, message %d was acknowledged", e.topic, e.oldest)
		}
	}
}

// seeRetained takes what the probe gets. What is published meanwhile comes as it is published, instead of what was there.
func (w *world) seeRetained(e *expectation, pk *mqtt.Publish) {
	if e == nil {
		w.history.fail("a message in %s, where nobody publishes", pk.Topic)
		return
	}
	if e.seen = true; !pk.Retain {
		return
	}
	if _, seq, ok := w.history.identify(pk); ok && seq < e.oldest {
		w.history.fail("%s retains message %d, later ones up to %d were acknowledged", e.topic, seq, e.oldest)
	}
}

func missing(all map[string]*expectation) bool {
	for _, e := range all {
		if !e.seen && !e.mayBeNone() {
			return true
		}
	}
	return false
}
