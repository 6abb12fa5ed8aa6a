package hostile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// Streams of packets that are good one by one, and meant to make the broker hold more than it can.

// subscriber asks for thousands of filters, deep ones, malformed ones, and for one again and again.
func (x *Target) subscriber(rng *rand.Rand) {
	p := x.enter(x.hello(rng, mqtt.V5))
	if p == nil {
		return
	}
	var filters []mqtt.FilterOptions
	switch rng.IntN(4) {
	case 0:
		for i := range 4000 {
			filters = append(filters, mqtt.FilterOptions{Filter: fmt.Sprintf("hostile/%d/#", i), QoS: 2})
		}
	case 1:
		for i := range 2000 {
			filters = append(filters, mqtt.FilterOptions{Filter: fmt.Sprintf("$share/g%d/hostile/%d", i, rng.IntN(50)), QoS: 1})
		}
	case 2:
		deep := strings.Repeat("+/", 60) + "+"
		filters = []mqtt.FilterOptions{{Filter: strings.Repeat("/", 65535)}, {Filter: deep}, {Filter: strings.Repeat("+/", 32000) + "#"}}
		for i := range 60 {
			filters = append(filters, mqtt.FilterOptions{Filter: deep[:2*i] + "x/" + deep[2*i:]})
		}
	case 3:
		for range 3000 {
			filters = append(filters, mqtt.FilterOptions{Filter: "hostile/same", QoS: mqtt.QoS(rng.IntN(3))})
		}
	}
	_ = p.Send(&mqtt.Subscribe{PacketID: 1, Filters: filters})
	_, _ = p.Receive()
	topic := []byte(strings.TrimSuffix(strings.Repeat("a/", 60), "/"))
	_ = p.Send(&mqtt.Publish{Topic: topic, QoS: 1, PacketID: 9})
	names := make([]string, 0, len(filters))
	for _, f := range filters {
		names = append(names, f.Filter)
	}
	if rng.IntN(2) == 0 {
		_ = p.Send(&mqtt.Unsubscribe{PacketID: 2, Filters: names})
	} else { // a filter without its options
		_, _ = p.Conn.Write([]byte{0x82, 8, 0, 7, 0, 0, 3, 'a', '/', 'b'})
	}
	x.ends(p.Conn, "subscriptions")
}

func (x *Target) retainer(rng *rand.Rand) {
	p := x.enter(x.hello(rng, mqtt.V5))
	if p == nil {
		return
	}
	for i := range 300 {
		pk := &mqtt.Publish{Topic: fmt.Appendf(nil, "hostile/r/%d", rng.IntN(1000)), Payload: randomBytes(rng, 200), Retain: true, QoS: mqtt.QoS(i % 2), PacketID: uint16(i%2) * uint16(i+1)}
		if p.Send(pk) != nil {
			break
		}
	}
	_ = p.Send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "#"}, {Filter: "+/#"}}})
	x.ends(p.Conn, "retained messages")
}

func (x *Target) delayer(rng *rand.Rand) {
	p := x.enter(x.hello(rng, mqtt.V5))
	if p == nil {
		return
	}
	for i := range 200 {
		topic := fmt.Appendf(nil, "$delayed/%d/hostile/later/%d", rng.IntN(3), i)
		if rng.IntN(8) == 0 {
			topic = []byte([]string{"$delayed/", "$delayed/9999999999999999999999/x", "$delayed/1/$SYS/broker/version", "$delayed/-1/x"}[rng.IntN(4)])
		}
		if p.Send(&mqtt.Publish{Topic: topic, Payload: randomBytes(rng, 100)}) != nil {
			break
		}
	}
	x.ends(p.Conn, "delayed messages")
}

func (x *Target) neverReleases(rng *rand.Rand) {
	p := x.enter(x.hello(rng, anyVersion(rng)))
	if p == nil {
		return
	}
	for i := range 1100 { // more than the receive maximum
		if p.Send(&mqtt.Publish{Topic: []byte("hostile/2/never"), QoS: 2, PacketID: uint16(i + 1)}) != nil {
			break
		}
	}
	x.ends(p.Conn, "QoS 2 never released")
}

// neverReads has the broker send to it, and write answers, that it does not read.
func (x *Target) neverReads(rng *rand.Rand) {
	p := x.enter(x.hello(rng, mqtt.V5))
	if p == nil {
		return
	}
	_ = p.Send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "hostile/#", QoS: 1}}})
	_ = p.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	payload := make([]byte, 10_000)
	for i := range 200 {
		data := Dialogue(mqtt.V5, &mqtt.Publish{Topic: []byte("hostile/load/x"), QoS: 1, PacketID: uint16(i + 1), Payload: payload})
		if _, err := p.Conn.Write(append(data, bytes.Repeat([]byte{0xC0, 0}, 2000)...)); err != nil {
			break
		}
	}
	_ = p.Conn.Close()
}

func (x *Target) aliases(rng *rand.Rand) {
	p := x.enter(x.hello(rng, mqtt.V5))
	if p == nil {
		return
	}
	long := bytes.Repeat([]byte("a"), 65000)
	for i := range 64 {
		pk := &mqtt.Publish{Topic: append(long, byte('a'+i%26)), Properties: mqtt.PublishProperties{Present: 1 << mqtt.PropTopicAlias, TopicAlias: uint16(i + 1)}}
		if p.Send(pk) != nil {
			break
		}
	}
	alias := []uint16{65, 65535}[rng.IntN(2)]
	_ = p.Send(&mqtt.Publish{Topic: []byte("x"), Properties: mqtt.PublishProperties{Present: 1 << mqtt.PropTopicAlias, TopicAlias: alias}})
	x.closes(p.Conn, "an alias beyond the maximum")
}

func (x *Target) durableAndGone(rng *rand.Rand) {
	c := x.hello(rng, mqtt.V5)
	c.SessionExpirySeconds = mqtt.NeverExpires
	c.Will = &mqtt.Will{Topic: "hostile/will", DelaySeconds: 1000, Payload: randomBytes(rng, 1000)}
	if p := x.enter(c); p != nil {
		_ = p.Send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "hostile/+", QoS: 2}, {Filter: "$share/d/hostile/p", QoS: 2}}})
		_ = p.Conn.Close()
	}
}
