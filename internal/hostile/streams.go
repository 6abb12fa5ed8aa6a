package hostile

import (
	"fmt"
	"math/rand/v2"
	"net"

	"github.com/barid-mqtt/barid/mqtt"
)

// Streams of MQTT packets that are not what they should be, or not where.
var streams = []Kind{
	{"random bytes", nil, (*Target).randomStream},
	{"mutated dialogue", nil, (*Target).mutatedStream},
	{"stray packets", nil, (*Target).strayStream},
	{"half a CONNECT", nil, (*Target).halfConnect},
	{"silence", nil, (*Target).silentClient},
	{"subscriptions", nil, (*Target).subscriber},
	{"mutated dialogue", nil, (*Target).mutatedStream},
	{"retained messages", nil, (*Target).retainer},
	{"delayed messages", nil, (*Target).delayer},
	{"identifiers never released", nil, (*Target).neverReleases},
	{"acknowledgements of nothing", nil, (*Target).acknowledger},
	{"takeovers", nil, (*Target).takeovers},
	{"CONNECTs and nothing else", nil, (*Target).connectFlood},
	{"mutated dialogue", nil, (*Target).mutatedStream},
	{"reads nothing", nil, (*Target).neverReads},
	{"pipelined", nil, (*Target).pipelined},
	{"aliases", nil, (*Target).aliases},
	{"durable and gone", nil, (*Target).durableAndGone},
	{"mutated dialogue", nil, (*Target).mutatedStream},
}

func (x *Target) randomStream(rng *rand.Rand) {
	c, below, ok := x.anywhere(rng)
	if !ok {
		return
	}
	data := randomBytes(rng, 1+rng.IntN(5000))
	if rng.IntN(2) == 0 {
		data[0] = byte(mqtt.CONNECT) << 4
	}
	if rng.IntN(2) == 0 {
		data = append(Dialogue(mqtt.V5, x.hello(rng, mqtt.V5)), data...)
	}
	_, _ = c.Write(data)
	x.ends(below, "random bytes")
}

// mutatedStream spoils a dialogue from one of its packets on, and sends it in pieces over any listener.
func (x *Target) mutatedStream(rng *rand.Rand) {
	v := anyVersion(rng)
	packets := everything(rng, x.hello(rng, v), v)
	keep := rng.IntN(len(packets))
	data := append(Dialogue(v, packets[:keep]...), mutate(rng, Dialogue(v, packets[keep:]...))...)
	c, below, ok := x.anywhere(rng)
	if !ok {
		return
	}
	for len(data) > 0 {
		n := len(data)
		if rng.IntN(2) == 0 {
			n = 1 + rng.IntN(n)
		}
		if _, err := c.Write(data[:n]); err != nil {
			break
		}
		data = data[n:]
	}
	x.ends(below, "mutated dialogue")
}

func (x *Target) strayStream(rng *rand.Rand) {
	v := anyVersion(rng)
	stray := strays()[rng.IntN(6)]
	c := x.dial("tcp")
	_, _ = c.Write(Dialogue(v, x.hello(rng, v), &mqtt.Pingreq{}, stray))
	if v == mqtt.V5 || stray.Type() != mqtt.AUTH {
		x.closes(c, fmt.Sprintf("stray %v", stray.Type()))
		return
	}
	x.ends(c, "stray AUTH") // there is none before version 5
}

func (x *Target) halfConnect(rng *rand.Rand) {
	data := Dialogue(mqtt.V5, everything(rng, x.hello(rng, mqtt.V5), mqtt.V5)[0])
	c := x.dial("tcp")
	_, _ = c.Write(data[:rng.IntN(len(data))])
	x.closes(c, "half a CONNECT and silence")
}

func (x *Target) silentClient(rng *rand.Rand) {
	c := x.hello(rng, anyVersion(rng))
	c.KeepAlive = 1
	if p := x.enter(c); p != nil {
		x.closes(p.Conn, "silence beyond keep alive")
	}
}

func (x *Target) acknowledger(rng *rand.Rand) {
	p := x.enter(x.hello(rng, anyVersion(rng)))
	if p == nil {
		return
	}
	var data []byte
	for range 5000 {
		first := []byte{0x40, 0x50, 0x62, 0x70}[rng.IntN(4)]
		data = append(data, first, 2, byte(1+rng.IntN(255)), byte(rng.Uint32()))
	}
	_, _ = p.Conn.Write(data)
	x.ends(p.Conn, "acknowledgements of nothing")
}

func (x *Target) takeovers(rng *rand.Rand) {
	var conns []net.Conn
	for range 30 {
		c := x.dial("tcp")
		v := anyVersion(rng)
		_, _ = c.Write(Dialogue(v, x.sign(&mqtt.Connect{Version: v, ClientID: fmt.Sprint("hot", rng.IntN(2)), CleanStart: rng.IntN(2) == 0, SessionExpirySeconds: uint32(rng.IntN(2))})))
		conns = append(conns, c)
	}
	for _, c := range conns {
		x.ends(c, "takeovers")
	}
}

func (x *Target) connectFlood(rng *rand.Rand) {
	for range 20 {
		c := x.dial("tcp")
		_, _ = c.Write(Dialogue(mqtt.V311, x.hello(rng, mqtt.V311)))
		_ = c.Close()
	}
}

func (x *Target) pipelined(rng *rand.Rand) {
	v := anyVersion(rng)
	c := x.dial("tcp")
	connect := x.hello(rng, v)
	connect.CleanStart = false
	connect.SessionExpirySeconds = 1
	packets := []mqtt.Packet{connect}
	for i := range 500 {
		packets = append(packets, &mqtt.Publish{Topic: []byte("hostile/p"), QoS: 1, PacketID: uint16(i + 1)})
	}
	_, _ = c.Write(Dialogue(v, packets...))
	x.ends(c, "pipelined")
}
