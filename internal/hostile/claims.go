package hostile

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/barid-mqtt/barid/mqtt"
)

// Streams that claim to be longer than they are: a length is a claim and no reason to allocate.
var claims = []Kind{
	{"claimed length of a packet", nil, (*Target).claimedPacket},
	{"claimed length within a packet", nil, (*Target).claimedField},
	{"a large packet half sent", nil, (*Target).halfLarge},
}

func (x *Target) claimedPacket(rng *rand.Rand) {
	c := x.dial("tcp")
	v := anyVersion(rng)
	data := Claim(mqtt.CONNECT, 0, 268435455)
	if rng.IntN(2) == 0 {
		data = append(Dialogue(v, x.hello(rng, v)), Claim(mqtt.PUBLISH, 2, 268435455)...)
	}
	_, _ = c.Write(append(data, "what is there"...))
	x.closes(c, "claimed length of a packet")
}

// packetOf is a packet around a body.
func packetOf(t mqtt.Type, flags byte, body ...[]byte) []byte {
	n := 0
	for _, b := range body {
		n += len(b)
	}
	data := Claim(t, flags, uint32(n))
	for _, b := range body {
		data = append(data, b...)
	}
	return data
}

// claimedField sends complete packets in which a string, properties or a property claims more than the packet has.
func (x *Target) claimedField(rng *rand.Rand) {
	most := []byte{0xFF, 0xFF, 0xFF, 0x7F} // the largest length of properties
	long := binary.BigEndian.AppendUint16(nil, uint16(60000+rng.IntN(5536)))
	head := []byte{0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 30}
	id, topic := []byte{0, 1}, []byte{0, 1, 'h'}
	bodies := [][]byte{
		packetOf(mqtt.CONNECT, 0, long, []byte("MQTT")),
		packetOf(mqtt.CONNECT, 0, head, most, []byte{0, 0}),
		packetOf(mqtt.CONNECT, 0, head, []byte{0}, long, []byte("c")),
		packetOf(mqtt.CONNECT, 0, head, []byte{5, 0x26}, long, []byte("k"), []byte{0, 0}),
		packetOf(mqtt.CONNECT, 0, []byte{0, 4, 'M', 'Q', 'T', 'T', 5, 0xC6, 0, 30, 0, 0, 1, 'c', 0}, long),
	}
	later := [][]byte{
		packetOf(mqtt.PUBLISH, 2, long, []byte("h")),
		packetOf(mqtt.PUBLISH, 2, topic, id, most, []byte("x")),
		packetOf(mqtt.PUBLISH, 0, topic, []byte{3, 0x08}, long),
		packetOf(mqtt.SUBSCRIBE, 2, id, most),
		packetOf(mqtt.SUBSCRIBE, 2, id, []byte{0}, long, []byte("h/#")),
		packetOf(mqtt.UNSUBSCRIBE, 2, id, []byte{0}, long),
		packetOf(mqtt.PUBACK, 0, id, []byte{0}, most),
		packetOf(mqtt.DISCONNECT, 0, []byte{0}, most),
		packetOf(mqtt.AUTH, 0, []byte{0x19}, most),
		packetOf(mqtt.PINGREQ, 0, []byte("what does not belong here")),
	}
	var data []byte
	if n := rng.IntN(len(bodies) + len(later)); n < len(bodies) {
		data = bodies[n]
	} else {
		data = append(Dialogue(mqtt.V5, x.hello(rng, mqtt.V5)), later[n-len(bodies)]...)
	}
	c, below, ok := x.anywhere(rng)
	if !ok {
		return
	}
	_, _ = c.Write(data)
	x.closes(below, "claimed length within a packet")
}

// halfLarge sends most of a packet that is as large as it may be, and no more.
func (x *Target) halfLarge(rng *rand.Rand) {
	hello := x.hello(rng, mqtt.V5)
	hello.KeepAlive = 1
	p := x.enter(hello)
	if p == nil {
		return
	}
	const size = 1 << 19
	_, _ = p.Conn.Write(Claim(mqtt.PUBLISH, 0, size))
	_, _ = p.Conn.Write(append([]byte{0, 9}, "hostile/l"...))
	_, _ = p.Conn.Write(make([]byte, rng.IntN(size-100)))
	x.closes(p.Conn, "a large packet half sent")
}
