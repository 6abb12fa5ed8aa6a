package hostile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// Clients that want what they may not have. Where anybody may do everything there is nothing to want, so these need a
// target with a username.
var strangers = []Kind{
	{"wrong passwords", nil, (*Target).wrongPasswords},
	{"packets behind a refused CONNECT", nil, (*Target).behindRefusal},
	{"enhanced authentication", nil, (*Target).challenge},
	{"what others say", nil, (*Target).eavesdrop},
	{"in others' names", nil, (*Target).forge},
}

// wrongCredentials are such that nobody has.
func (x *Target) wrongCredentials(rng *rand.Rand, c *mqtt.Connect) {
	c.HasUsername, c.HasPassword = true, true
	switch rng.IntN(6) {
	case 0:
		c.HasUsername, c.HasPassword = false, false
	case 1:
		c.Username, c.HasPassword = x.Username, false
	case 2:
		c.Username, c.Password = fmt.Sprint("nobody", rng.IntN(1000)), []byte(x.Password)
	case 3:
		c.Username, c.Password = strings.Repeat("u", 60000), randomBytes(rng, 60000)
	case 4:
		c.Username, c.Password = x.Username, append([]byte(x.Password), 0)
	case 5:
		c.Username, c.Password = x.Username, randomBytes(rng, rng.IntN(40))
	}
}

// wrongPasswords guesses, many at a time.
func (x *Target) wrongPasswords(rng *rand.Rand) {
	if x.Username == "" {
		return
	}
	var conns []net.Conn
	for range 8 {
		c, _, ok := x.anywhere(rng)
		if !ok {
			continue
		}
		hello := Hello(rng, anyVersion(rng))
		x.wrongCredentials(rng, hello)
		_, _ = c.Write(Dialogue(hello.Version, hello))
		conns = append(conns, c)
	}
	for _, c := range conns {
		x.refused(c, "wrong credentials")
	}
}

// refused reads until the broker hangs up. Nothing but a refusing CONNACK and DISCONNECT may come.
func (x *Target) refused(c net.Conn, name string) {
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(x.Patience))
	p := &Peer{Conn: c, Version: mqtt.V5}
	for {
		pk, err := p.Receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			x.fault("%s: the broker did not close the connection", name)
			return
		case err != nil: // hung up, or of an older version
			if len(p.buf) >= 4 && p.buf[0] == 0x20 && p.buf[3] == 0 {
				x.fault("%s: accepted", name)
			}
			return
		}
		if ack, ok := pk.(*mqtt.Connack); ok && ack.Code == mqtt.Success {
			x.fault("%s: accepted", name)
		} else if !ok && pk.Type() != mqtt.DISCONNECT && pk.Type() != mqtt.AUTH {
			x.fault("%s: got %v", name, pk.Type())
		}
	}
}

// behindRefusal sends, in one write, a CONNECT with wrong credentials and what an accepted client would.
func (x *Target) behindRefusal(rng *rand.Rand) {
	if x.Username == "" {
		return
	}
	c, _, ok := x.anywhere(rng)
	if !ok {
		return
	}
	v := anyVersion(rng)
	hello := Hello(rng, v)
	x.wrongCredentials(rng, hello)
	_, _ = c.Write(Dialogue(v, hello,
		&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "#", QoS: 2}}},
		&mqtt.Publish{Topic: []byte("pair/forged"), QoS: 1, PacketID: 2, Payload: []byte("forged"), Retain: true}))
	x.refused(c, "packets behind a refused CONNECT")
}

// challenge begins enhanced authentication and goes on as it should not.
func (x *Target) challenge(rng *rand.Rand) {
	if x.Username == "" {
		return
	}
	c := x.dial("tcp")
	hello := Hello(rng, mqtt.V5)
	hello.HasAuthMethod = true
	hello.AuthMethod = []string{"SCRAM-SHA-256", "SCRAM-SHA-512", "NONE", ""}[rng.IntN(4)]
	first := "n,,n=" + x.Username + ",r=fyko+d2lbbFgONRv9qkxdawL"
	hello.AuthData = []byte(first)
	if rng.IntN(2) == 0 {
		hello.AuthData = mutate(rng, hello.AuthData)
	}
	_, _ = c.Write(Dialogue(mqtt.V5, hello))
	for range rng.IntN(4) {
		proof := "c=biws,r=" + strings.Repeat("r", rng.IntN(60)) + ",p=" + strings.Repeat("A", 43) + "="
		_, _ = c.Write(Dialogue(mqtt.V5, &mqtt.Auth{Code: mqtt.ContinueAuthentication, AuthMethod: hello.AuthMethod, HasAuthMethod: true, AuthData: mutate(rng, []byte(proof))}))
	}
	x.refused(c, "enhanced authentication")
}

// eavesdrop subscribes to all it can think of, and gets nothing but its own.
func (x *Target) eavesdrop(rng *rand.Rand) {
	if x.Username == "" {
		return
	}
	v := anyVersion(rng)
	p := x.enter(x.hello(rng, v))
	if p == nil {
		return
	}
	defer p.Conn.Close()
	filters := []string{"#", "+/#", "pair/#", "pair/+", "$SYS/#", "$share/g/#", "$share/g/pair/#", "$queue/pair/+", "$exclusive/pair/a", "$stream/all", "$delayed/#", "/#"}
	s := &mqtt.Subscribe{PacketID: 1}
	for _, i := range rng.Perm(len(filters))[:4] {
		s.Filters = append(s.Filters, mqtt.FilterOptions{Filter: filters[i], QoS: mqtt.QoS(rng.IntN(3))})
	}
	_ = p.Send(s)
	_ = p.Conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	for {
		pk, err := p.Receive()
		if err != nil {
			return
		}
		if m, ok := pk.(*mqtt.Publish); ok && !strings.HasPrefix(string(m.Topic), "hostile/") {
			x.fault("what others say: a client that may not gets %s", m.Topic)
			return
		}
	}
}

// forge publishes to others' topics, in every way there is.
func (x *Target) forge(rng *rand.Rand) {
	if x.Username == "" {
		return
	}
	hello := x.hello(rng, mqtt.V5)
	if rng.IntN(3) == 0 { // the will would be published when the connection is cut off
		hello.Will = &mqtt.Will{Topic: "pair/forged", Payload: []byte("forged")}
		c := x.dial("tcp")
		_, _ = c.Write(Dialogue(mqtt.V5, hello))
		x.refused(c, "a will in others' names")
		return
	}
	p := x.enter(hello)
	if p == nil {
		return
	}
	alias := mqtt.PublishProperties{Present: 1 << mqtt.PropTopicAlias, TopicAlias: 1}
	topics := []string{"pair/forged", "$delayed/1/pair/forged", "$SYS/broker/version", "$share/g/pair/forged", "$queue/pair/forged", "$stream/all", "$exclusive/pair/forged"}
	for i, topic := range topics {
		_ = p.Send(&mqtt.Publish{Topic: []byte(topic), QoS: mqtt.QoS(1 + i%2), PacketID: uint16(i + 1), Payload: []byte("forged"), Retain: rng.IntN(2) == 0, Properties: alias})
		_ = p.Send(&mqtt.Publish{QoS: 1, PacketID: uint16(100 + i), Payload: []byte("forged"), Properties: alias})
	}
	_ = p.Send(&mqtt.Disconnect{})
	_ = p.Conn.SetReadDeadline(time.Now().Add(x.Patience))
	defer p.Conn.Close()
	for {
		pk, err := p.Receive()
		if err != nil {
			return
		}
		var ack mqtt.Ack
		switch pk := pk.(type) {
		case *mqtt.Puback:
			ack = pk.Ack
		case *mqtt.Pubrec:
			ack = pk.Ack
		default:
			continue
		}
		if !ack.Code.Failed() {
			x.fault("in others' names: packet %d of %q is taken: %v", ack.PacketID, topics, ack.Code)
		}
	}
}
