package hostile

import (
	"fmt"
	"math/rand/v2"

	"github.com/barid-mqtt/barid/mqtt"
)

// Dialogue encodes packets of one version, one after the other.
func Dialogue(v mqtt.Version, packets ...mqtt.Packet) []byte {
	var data []byte
	for _, p := range packets {
		if next, err := p.AppendTo(data, v); err == nil {
			data = next
		}
	}
	return data
}

var versions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

// Hello is a CONNECT of any client, without credentials.
func Hello(rng *rand.Rand, v mqtt.Version) *mqtt.Connect { return connectOf(rng, v) }

func anyVersion(rng *rand.Rand) mqtt.Version { return versions[rng.IntN(len(versions))] }

// connectOf is a CONNECT of a client that is known for a hostile one by its id.
func connectOf(rng *rand.Rand, v mqtt.Version) *mqtt.Connect {
	return &mqtt.Connect{Version: v, ClientID: fmt.Sprintf("h%d", rng.IntN(1<<30)), CleanStart: true, KeepAlive: 30}
}

// everything is a valid dialogue, from a CONNECT on, in which every packet that a client may send occurs.
func everything(rng *rand.Rand, c *mqtt.Connect, v mqtt.Version) []mqtt.Packet {
	c.CleanStart = rng.IntN(2) == 0
	c.SessionExpirySeconds = uint32(rng.IntN(3))
	c.Will = &mqtt.Will{Topic: "hostile/will", Payload: []byte("gone"), QoS: mqtt.QoS(rng.IntN(3)), Retain: rng.IntN(2) == 0}
	if !c.HasUsername {
		c.Username, c.HasUsername = "user", true
		c.Password, c.HasPassword = []byte("secret"), true
	}
	ack := mqtt.Ack{PacketID: uint16(1 + rng.IntN(8))}
	props := mqtt.PublishProperties{
		Present:    1<<mqtt.PropMessageExpiry | 1<<mqtt.PropTopicAlias | 1<<mqtt.PropResponseTopic | 1<<mqtt.PropCorrelationData,
		TopicAlias: 1, MessageExpirySeconds: 5, ResponseTopic: []byte("hostile/answer"), CorrelationData: []byte{1, 2, 3},
	}
	return []mqtt.Packet{
		c,
		&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "hostile/#", QoS: 2}, {Filter: "$share/g/hostile/+", QoS: 1}}},
		&mqtt.Publish{Topic: []byte("hostile/a"), Payload: []byte("zero"), Retain: true},
		&mqtt.Publish{Topic: []byte("hostile/b"), QoS: 1, PacketID: 2, Payload: []byte("one"), Properties: props},
		&mqtt.Publish{Topic: []byte("hostile/c"), QoS: 2, PacketID: 3, Payload: []byte("two")},
		&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: 3}}, &mqtt.Puback{Ack: ack}, &mqtt.Pubrec{Ack: ack}, &mqtt.Pubcomp{Ack: ack},
		&mqtt.Pingreq{}, &mqtt.Unsubscribe{PacketID: 4, Filters: []string{"hostile/#", "never"}}, &mqtt.Disconnect{},
	}
}

// strays are packets that do not belong where a client sends them.
func strays() []mqtt.Packet {
	return []mqtt.Packet{
		&mqtt.Connack{}, &mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0}}, &mqtt.Unsuback{PacketID: 1, Codes: []mqtt.ReasonCode{0}},
		&mqtt.Pingresp{}, &mqtt.Auth{Code: mqtt.ReAuthenticate, AuthMethod: "none", HasAuthMethod: true},
		&mqtt.Connect{Version: mqtt.V5, ClientID: "twice"},
	}
}

// mutate spoils data: bits flipped, bytes cut out, doubled or replaced, the end cut off.
func mutate(rng *rand.Rand, data []byte) []byte {
	data = append([]byte(nil), data...)
	for range 1 + rng.IntN(4) {
		if len(data) < 2 {
			break
		}
		i := rng.IntN(len(data))
		j := i + rng.IntN(min(16, len(data)-i))
		switch rng.IntN(6) {
		case 0:
			data[i] ^= 1 << rng.IntN(8)
		case 1:
			data[i] = byte(rng.Uint32())
		case 2:
			data = data[:i]
		case 3:
			data = append(data[:j:j], data[i:]...)
		case 4:
			data = append(data[:i:i], data[j:]...)
		case 5:
			data[i] = []byte{0, 0x7F, 0x80, 0xFF}[rng.IntN(4)]
		}
	}
	return data
}

func randomBytes(rng *rand.Rand, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

// Claim is the beginning of a packet that says it is n bytes long.
func Claim(t mqtt.Type, flags byte, n uint32) []byte {
	data := []byte{byte(t)<<4 | flags}
	for {
		b := byte(n & 0x7F)
		if n >>= 7; n == 0 {
			return append(data, b)
		}
		data = append(data, b|0x80)
	}
}
