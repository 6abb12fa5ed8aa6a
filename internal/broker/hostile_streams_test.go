package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// hostileKinds are the kinds of streams, each a connection or a few of them. What a stream fails to do is no error:
// the broker may hang up whenever it likes. What the broker fails to do, such as hanging up, is.
var hostileKinds = []struct {
	name string
	run  func(x *bed, rng *rand.Rand)
}{
	{"random bytes", (*bed).randomStream},
	{"mutated dialogue", (*bed).mutatedStream},
	{"mutated dialogue on WebSocket", (*bed).mutatedWebSocket},
	{"stray packets", (*bed).strayStream},
	{"mutated dialogue", (*bed).mutatedStream},
	{"claimed length", (*bed).claimedStream},
	{"half a CONNECT", (*bed).halfConnect},
	{"silence", (*bed).silentClient},
	{"byte by byte", (*bed).slowLoris},
	{"subscriptions", (*bed).subscriber},
	{"retained messages", (*bed).retainer},
	{"delayed messages", (*bed).delayer},
	{"identifiers never released", (*bed).neverReleases},
	{"acknowledgements of nothing", (*bed).acknowledger},
	{"takeovers", (*bed).takeovers},
	{"CONNECTs and nothing else", (*bed).connectFlood},
	{"mutated dialogue", (*bed).mutatedStream},
	{"reads nothing", (*bed).neverReads},
	{"pipelined", (*bed).pipelined},
	{"aliases", (*bed).aliases},
	{"WebSocket garbage", (*bed).webSocketGarbage},
	{"pings on WebSocket", (*bed).webSocketPings},
	{"TLS garbage", (*bed).tlsGarbage},
	{"HTTP", (*bed).http},
	{"PROXY garbage", (*bed).proxyGarbage},
	{"durable and gone", (*bed).durableAndGone},
}

// closes reads until the broker hangs up, and fails if it does not.
func (x *bed) closes(c net.Conn, name string) {
	_ = c.SetReadDeadline(time.Now().Add(12 * time.Second))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		x.t.Errorf("%s: the broker did not close the connection", name)
	}
	_ = c.Close()
}

// ends half closes the stream, after which the broker must hang up.
func (x *bed) ends(c net.Conn, name string) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	x.closes(c, name)
}

// enter connects a client. nil: it was not let in.
func (x *bed) enter(c *mqtt.Connect) *peer {
	p := &peer{conn: x.dial("tcp"), version: c.Version}
	if p.send(c) == nil {
		if pk, err := p.receive(); err == nil {
			if ack, ok := pk.(*mqtt.Connack); ok && ack.Code == mqtt.Success {
				return p
			}
		}
	}
	_ = p.conn.Close()
	return nil
}

func (x *bed) randomStream(rng *rand.Rand) {
	c := x.dial("tcp")
	data := randomBytes(rng, 1+rng.IntN(5000))
	if rng.IntN(2) == 0 {
		data[0] = byte(mqtt.CONNECT) << 4
	}
	if rng.IntN(2) == 0 {
		data = append(dialogue(mqtt.V5, hostileConnect(rng, mqtt.V5)), data...)
	}
	_, _ = c.Write(data)
	x.ends(c, "random bytes")
}

func (x *bed) mutatedStream(rng *rand.Rand) {
	v := anyVersion(rng)
	packets := everything(rng, v)
	keep := 1 + rng.IntN(len(packets))
	first := dialogue(v, packets[:keep-1]...)
	_, data := first, append(first, mutate(rng, dialogue(v, packets[keep-1:]...))...)
	c := x.dial("tcp")
	_, _ = c.Write(data)
	x.ends(c, "mutated dialogue")
}

func (x *bed) strayStream(rng *rand.Rand) {
	v := anyVersion(rng)
	stray := strays()[rng.IntN(6)]
	c := x.dial("tcp")
	_, _ = c.Write(dialogue(v, hostileConnect(rng, v), &mqtt.Pingreq{}, stray))
	if v == mqtt.V5 || stray.Type() != mqtt.AUTH {
		x.closes(c, fmt.Sprintf("stray %v", stray.Type()))
		return
	}
	x.ends(c, "stray AUTH") // there is none before version 5
}

func (x *bed) claimedStream(rng *rand.Rand) {
	c := x.dial("tcp")
	v := anyVersion(rng)
	data := claim(mqtt.CONNECT, 0, 268435455)
	if rng.IntN(2) == 0 {
		data = append(dialogue(v, hostileConnect(rng, v)), claim(mqtt.PUBLISH, 2, 268435455)...)
	}
	_, _ = c.Write(append(data, "what is there"...))
	x.closes(c, "claimed length")
}

func (x *bed) halfConnect(rng *rand.Rand) {
	data := dialogue(mqtt.V5, everything(rng, mqtt.V5)[0])
	c := x.dial("tcp")
	_, _ = c.Write(data[:rng.IntN(len(data))])
	x.closes(c, "half a CONNECT and silence")
}

func (x *bed) silentClient(rng *rand.Rand) {
	c := hostileConnect(rng, anyVersion(rng))
	c.KeepAlive = 1
	if p := x.enter(c); p != nil {
		x.closes(p.conn, "silence beyond keep alive")
	}
}

func (x *bed) slowLoris(rng *rand.Rand) {
	v := anyVersion(rng)
	c := x.dial("tcp")
	for _, b := range dialogue(v, everything(rng, v)...) {
		if _, err := c.Write([]byte{b}); err != nil {
			break
		}
	}
	x.ends(c, "byte by byte")
}

// subscriber asks for thousands of filters, deep ones, malformed ones, and for one again and again.
func (x *bed) subscriber(rng *rand.Rand) {
	p := x.enter(hostileConnect(rng, mqtt.V5))
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
	_ = p.send(&mqtt.Subscribe{PacketID: 1, Filters: filters})
	_, _ = p.receive()
	topic := []byte(strings.TrimSuffix(strings.Repeat("a/", 60), "/"))
	_ = p.send(&mqtt.Publish{Topic: topic, QoS: 1, PacketID: 9})
	names := make([]string, 0, len(filters))
	for _, f := range filters {
		names = append(names, f.Filter)
	}
	if rng.IntN(2) == 0 {
		_ = p.send(&mqtt.Unsubscribe{PacketID: 2, Filters: names})
	} else { // a filter without its options
		_, _ = p.conn.Write([]byte{0x82, 8, 0, 7, 0, 0, 3, 'a', '/', 'b'})
	}
	x.ends(p.conn, "subscriptions")
}

func (x *bed) retainer(rng *rand.Rand) {
	p := x.enter(hostileConnect(rng, mqtt.V5))
	if p == nil {
		return
	}
	for i := range 300 {
		pk := &mqtt.Publish{Topic: fmt.Appendf(nil, "hostile/r/%d", rng.IntN(1000)), Payload: randomBytes(rng, 200), Retain: true, QoS: mqtt.QoS(i % 2), PacketID: uint16(i%2) * uint16(i+1)}
		if p.send(pk) != nil {
			break
		}
	}
	_ = p.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "#"}, {Filter: "+/#"}}})
	x.ends(p.conn, "retained messages")
}

func (x *bed) delayer(rng *rand.Rand) {
	p := x.enter(hostileConnect(rng, mqtt.V5))
	if p == nil {
		return
	}
	for i := range 200 {
		topic := fmt.Appendf(nil, "$delayed/%d/hostile/later/%d", rng.IntN(3), i)
		if rng.IntN(8) == 0 {
			topic = []byte([]string{"$delayed/", "$delayed/9999999999999999999999/x", "$delayed/1/$SYS/broker/version", "$delayed/-1/x"}[rng.IntN(4)])
		}
		if p.send(&mqtt.Publish{Topic: topic, Payload: randomBytes(rng, 100)}) != nil {
			break
		}
	}
	x.ends(p.conn, "delayed messages")
}

func (x *bed) neverReleases(rng *rand.Rand) {
	p := x.enter(hostileConnect(rng, anyVersion(rng)))
	if p == nil {
		return
	}
	for i := range 1100 { // more than the receive maximum
		if p.send(&mqtt.Publish{Topic: []byte("hostile/2/never"), QoS: 2, PacketID: uint16(i + 1)}) != nil {
			break
		}
	}
	x.ends(p.conn, "QoS 2 never released")
}

func (x *bed) acknowledger(rng *rand.Rand) {
	p := x.enter(hostileConnect(rng, anyVersion(rng)))
	if p == nil {
		return
	}
	var data []byte
	for range 5000 {
		first := []byte{0x40, 0x50, 0x62, 0x70}[rng.IntN(4)]
		data = append(data, first, 2, byte(1+rng.IntN(255)), byte(rng.Uint32()))
	}
	_, _ = p.conn.Write(data)
	x.ends(p.conn, "acknowledgements of nothing")
}

func (x *bed) takeovers(rng *rand.Rand) {
	var conns []net.Conn
	for range 30 {
		c := x.dial("tcp")
		v := anyVersion(rng)
		_, _ = c.Write(dialogue(v, &mqtt.Connect{Version: v, ClientID: fmt.Sprint("hot", rng.IntN(2)), CleanStart: rng.IntN(2) == 0, SessionExpirySeconds: uint32(rng.IntN(2))}))
		conns = append(conns, c)
	}
	for _, c := range conns {
		x.ends(c, "takeovers")
	}
}

func (x *bed) connectFlood(rng *rand.Rand) {
	for range 20 {
		c := x.dial("tcp")
		_, _ = c.Write(dialogue(mqtt.V311, hostileConnect(rng, mqtt.V311)))
		_ = c.Close()
	}
}

// neverReads has the broker send to it, and write answers, that it does not read.
func (x *bed) neverReads(rng *rand.Rand) {
	p := x.enter(hostileConnect(rng, mqtt.V5))
	if p == nil {
		return
	}
	_ = p.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "hostile/#", QoS: 1}}})
	_ = p.conn.SetWriteDeadline(time.Now().Add(time.Second))
	payload := make([]byte, 10_000)
	for i := range 200 {
		data := dialogue(mqtt.V5, &mqtt.Publish{Topic: []byte("hostile/load/x"), QoS: 1, PacketID: uint16(i + 1), Payload: payload})
		if _, err := p.conn.Write(append(data, bytes.Repeat([]byte{0xC0, 0}, 2000)...)); err != nil {
			break
		}
	}
	_ = p.conn.Close()
}

func (x *bed) pipelined(rng *rand.Rand) {
	v := anyVersion(rng)
	c := x.dial("tcp")
	connect := hostileConnect(rng, v)
	connect.CleanStart = false
	connect.SessionExpirySeconds = 1
	packets := []mqtt.Packet{connect}
	for i := range 500 {
		packets = append(packets, &mqtt.Publish{Topic: []byte("hostile/p"), QoS: 1, PacketID: uint16(i + 1)})
	}
	_, _ = c.Write(dialogue(v, packets...))
	x.ends(c, "pipelined")
}

func (x *bed) aliases(rng *rand.Rand) {
	p := x.enter(hostileConnect(rng, mqtt.V5))
	if p == nil {
		return
	}
	long := bytes.Repeat([]byte("a"), 65000)
	for i := range 64 {
		pk := &mqtt.Publish{Topic: append(long, byte('a'+i%26)), Properties: mqtt.PublishProperties{Present: 1 << mqtt.PropTopicAlias, TopicAlias: uint16(i + 1)}}
		if p.send(pk) != nil {
			break
		}
	}
	alias := []uint16{65, 65535}[rng.IntN(2)]
	_ = p.send(&mqtt.Publish{Topic: []byte("x"), Properties: mqtt.PublishProperties{Present: 1 << mqtt.PropTopicAlias, TopicAlias: alias}})
	x.closes(p.conn, "an alias beyond the maximum")
}

func (x *bed) durableAndGone(rng *rand.Rand) {
	c := hostileConnect(rng, mqtt.V5)
	c.SessionExpirySeconds = mqtt.NeverExpires
	c.Will = &mqtt.Will{Topic: "hostile/will", DelaySeconds: 1000, Payload: randomBytes(rng, 1000)}
	if p := x.enter(c); p != nil {
		_ = p.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "hostile/+", QoS: 2}, {Filter: "$share/d/hostile/p", QoS: 2}}})
		_ = p.conn.Close()
	}
}
