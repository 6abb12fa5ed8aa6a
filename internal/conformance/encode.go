package conformance

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Versions are the protocol versions by the names that scripts give them, with their level bytes.
var Versions = map[string]byte{"v5": 5, "v3.1.1": 4, "v3.1": 3}

var packetTypes = map[string]byte{
	"connect": 1, "connack": 2, "publish": 3, "puback": 4, "pubrec": 5, "pubrel": 6, "pubcomp": 7, "subscribe": 8,
	"suback": 9, "unsubscribe": 10, "unsuback": 11, "pingreq": 12, "pingresp": 13, "disconnect": 14, "auth": 15,
}

// encoder builds one packet's body. The first error stays.
type encoder struct {
	p     Packet
	level byte
	body  []byte
	err   error
}

// Encode returns the bytes of a packet from a client that speaks the version with the given level. It says whatever it
// is told to, sensible or not.
func Encode(p Packet, level byte) ([]byte, error) {
	e := encoder{p: p, level: level}
	flags := byte(0)
	switch p.Kind {
	case "connect":
		e.connect()
	case "publish":
		flags = e.publish()
	case "puback", "pubrec", "pubrel", "pubcomp", "disconnect", "auth":
		flags = e.ack()
	case "subscribe":
		flags = 2
		e.subscribe()
	case "unsubscribe":
		flags = 2
		e.uint16("id")
		e.properties("")
		for _, filter := range p.all("filter") {
			e.body = appendString(e.body, filter)
		}
	case "pingreq", "pingresp":
	default:
		return nil, fmt.Errorf("a client does not send %s", p.Kind)
	}
	head := appendVarInt([]byte{packetTypes[p.Kind]<<4 | flags}, len(e.body))
	return append(head, e.body...), e.err
}

// number returns a field as a number, or otherwise.
func (e *encoder) number(name string, otherwise int) int {
	value, ok := e.p.get(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(value, 0, 64)
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("%s %s=%q: %w", e.p.Kind, name, value, err)
	}
	return int(n)
}

func (e *encoder) flag(name string, bit byte) byte {
	if e.number(name, 0) != 0 {
		return bit
	}
	return 0
}

func (e *encoder) uint16(name string) {
	e.body = binary.BigEndian.AppendUint16(e.body, uint16(e.number(name, 0)))
}

// properties appends the properties whose names begin with prefix, in the order in which they were written.
func (e *encoder) properties(prefix string) {
	if e.level != 5 {
		return
	}
	var all []byte
	for _, f := range e.p.Fields {
		name, ok := strings.CutPrefix(f.Name, prefix)
		prop, known := propertyNamed(name)
		if !ok || !known {
			continue
		}
		encoded, err := prop.append(all, f.Value)
		if err != nil {
			e.err = err
			return
		}
		all = encoded
	}
	e.body = append(appendVarInt(e.body, len(all)), all...)
}

func (e *encoder) publish() (flags byte) {
	topic, _ := e.p.get("topic")
	e.body = appendString(e.body, topic)
	qos := e.number("qos", 0)
	if qos > 0 {
		e.uint16("id")
	}
	e.properties("")
	payload, _ := e.p.get("payload")
	e.body = append(e.body, payload...)
	return e.flag("dup", 8) | byte(qos)<<1 | e.flag("retain", 1)
}

// ack encodes the packets that are a packet identifier or nothing, a code that may be left out, and properties.
func (e *encoder) ack() (flags byte) {
	if e.p.Kind == "pubrel" {
		flags = 2
	}
	if strings.HasPrefix(e.p.Kind, "pub") {
		e.uint16("id")
	}
	_, hasCode := e.p.get("code")
	hasProperties := false
	for _, f := range e.p.Fields {
		_, known := propertyNamed(f.Name)
		hasProperties = hasProperties || known
	}
	if e.level == 5 && (hasCode || hasProperties) {
		e.body = append(e.body, byte(e.number("code", 0)))
		if hasProperties {
			e.properties("")
		}
	}
	return flags
}

func (e *encoder) subscribe() {
	e.uint16("id")
	e.properties("")
	options := -1 // where the options of the last filter stand
	for _, f := range e.p.Fields {
		n, _ := strconv.Atoi(f.Value)
		switch f.Name {
		case "filter":
			e.body = append(appendString(e.body, f.Value), 0)
			options = len(e.body) - 1
			continue
		case "nl":
			n <<= 2
		case "rap":
			n <<= 3
		case "rh":
			n <<= 4
		case "qos":
		default:
			continue
		}
		if options >= 0 {
			e.body[options] |= byte(n)
		}
	}
}

func (e *encoder) connect() {
	name := "MQTT"
	if e.level == 3 {
		name = "MQIsdp"
	}
	if other, ok := e.p.get("name"); ok {
		name = other
	}
	willTopic, hasWill := e.p.get("will")
	username, hasUsername := e.p.get("username")
	password, hasPassword := e.p.get("password")
	flags := e.flag("clean", 2) | byte(e.number("will.qos", 0))<<3 | e.flag("will.retain", 0x20)
	for bit, is := range map[byte]bool{4: hasWill, 0x80: hasUsername, 0x40: hasPassword} {
		if is {
			flags |= bit
		}
	}
	e.body = append(appendString(nil, name), byte(e.number("level", int(e.level))), byte(e.number("flags", int(flags))))
	e.uint16("keep_alive")
	e.properties("")
	clientID, _ := e.p.get("id")
	e.body = appendString(e.body, clientID)
	if hasWill {
		e.properties("will.")
		payload, _ := e.p.get("will.payload")
		e.body = appendString(appendString(e.body, willTopic), payload)
	}
	if hasUsername {
		e.body = appendString(e.body, username)
	}
	if hasPassword {
		e.body = appendString(e.body, password)
	}
}
