package conformance

import (
	"fmt"
	"slices"
	"strconv"
)

// watch checks, in every scenario, what a server must never do on a connection, whatever the script looks at.
type watch struct {
	level        byte
	maxPacket    int // 0: any
	aliasMax     int
	receiveMax   int
	method       string
	problemInfo  bool
	responseInfo bool

	connected bool // CONNACK with success was seen
	over      bool // a DISCONNECT, or a refusing CONNACK, was seen
	unacked   map[string]bool
	aliases   map[string]bool // those that were given a topic
}

func newWatch(level byte) *watch {
	return &watch{level: level, receiveMax: 65535, problemInfo: true, unacked: map[string]bool{}, aliases: map[string]bool{}}
}

// sent notes what a client says of itself and what it acknowledges. It does not see raw bytes.
func (w *watch) sent(p Packet) {
	id, _ := p.get("id")
	code, _ := p.get("code")
	switch p.Kind {
	case "connect":
		if w.level == 5 {
			w.maxPacket, w.aliasMax = number(p, "max_packet", 0), number(p, "alias_max", 0)
			w.receiveMax = number(p, "receive_max", 65535)
			w.problemInfo, w.responseInfo = number(p, "problem_info", 1) == 1, number(p, "response_info", 0) == 1
			w.method, _ = p.get("method")
		}
	case "puback", "pubcomp":
		delete(w.unacked, id)
	case "pubrec":
		if code >= "0x80" {
			delete(w.unacked, id)
		}
	}
}

func number(p Packet, name string, otherwise int) int {
	if value, ok := p.get(name); ok {
		otherwise, _ = strconv.Atoi(value)
	}
	return otherwise
}

// got checks a packet of so many bytes from the server and says which statement it breaks.
func (w *watch) got(p Packet, size int) error {
	if w.maxPacket > 0 && size > w.maxPacket {
		return fmt.Errorf("%d bytes for a client that takes %d [MQTT-3.1.2-24]", size, w.maxPacket)
	}
	if w.over {
		return fmt.Errorf("%s after the end [MQTT-3.14.4-1]", p.Kind)
	}
	if err := w.checkCodes(p); err != nil {
		return err
	}
	if err := w.checkOrder(p); err != nil {
		return err
	}
	if p.Kind == "publish" {
		return w.checkPublish(p)
	}
	return w.checkProperties(p)
}

// codes are the reason codes that a server may use, packet by packet.
var codes = map[string]string{
	"connack": "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f", "puback": "00 10 80 83 87 90 91 97 99",
	"pubrec": "00 10 80 83 87 90 91 97 99", "pubrel": "00 92", "pubcomp": "00 92", "suback": "00 01 02 80 83 87 8f 91 97 9e a1 a2",
	"unsuback": "00 11 80 83 87 8f 91", "auth": "00 18",
	"disconnect":    "00 80 81 82 83 87 89 8b 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2",
	"3.1.1 connack": "00 01 02 03 04 05", "3.1.1 suback": "00 01 02 80", "3.1 suback": "00 01 02",
}

func (w *watch) checkCodes(p Packet) error {
	allowed := codes[p.Kind]
	if w.level < 5 && codes["3.1.1 "+p.Kind] != "" {
		allowed = codes["3.1.1 "+p.Kind]
	}
	if w.level == 3 && codes["3.1 "+p.Kind] != "" {
		allowed = codes["3.1 "+p.Kind]
	}
	for _, code := range p.all("code") {
		if !slices.Contains(fieldsOf(allowed), code) {
			return fmt.Errorf("%s has no code %s", p.Kind, code)
		}
	}
	return nil
}

func fieldsOf(hex string) (codes []string) {
	for i := 0; i+2 <= len(hex); i += 3 {
		codes = append(codes, "0x"+hex[i:i+2])
	}
	return codes
}

// checkOrder checks what comes before and after CONNACK.
func (w *watch) checkOrder(p Packet) error {
	code, _ := p.get("code")
	present, _ := p.get("session_present")
	switch {
	case p.Kind == "connack" && w.connected:
		return fmt.Errorf("a second CONNACK [MQTT-3.2.0-2]")
	case p.Kind == "connack" && code != "0x00" && present == "1":
		return fmt.Errorf("session present with %s [MQTT-3.2.2-6]", code)
	case p.Kind == "connack":
		w.connected, w.over = code == "0x00", code != "0x00"
	case !w.connected && p.Kind == "disconnect":
		return fmt.Errorf("DISCONNECT before CONNACK [MQTT-3.14.0-1]")
	case !w.connected && (p.Kind != "auth" || w.method == ""):
		return fmt.Errorf("%s before CONNACK [MQTT-3.2.0-1]", p.Kind)
	case p.Kind == "disconnect":
		w.over = true
	}
	return nil
}

func (w *watch) checkPublish(p Packet) error {
	id, _ := p.get("id")
	_, dup := p.get("dup")
	if id != "" && w.unacked[id] && w.connected {
		return fmt.Errorf("identifier %s is in use [MQTT-2.2.1-4], or is sent again on one connection [MQTT-4.4.0-1]", id)
	}
	if id == "" && dup {
		return fmt.Errorf("DUP with QoS 0 [MQTT-3.3.1-2]")
	}
	if id != "" {
		w.unacked[id] = true
		if len(w.unacked) > w.receiveMax {
			return fmt.Errorf("%d unacknowledged messages for a receive maximum of %d [MQTT-3.3.4-7]", len(w.unacked), w.receiveMax)
		}
	}
	topic, _ := p.get("topic")
	alias, aliased := p.get("alias")
	switch n := number(p, "alias", 0); {
	case aliased && (n == 0 || n > w.aliasMax):
		return fmt.Errorf("alias %d of %d [MQTT-3.1.2-26]", n, w.aliasMax)
	case topic == "" && !w.aliases[alias]:
		return fmt.Errorf("no topic, and alias %q stands for none", alias)
	}
	w.aliases[alias] = true
	return nil
}

// checkProperties checks the properties of everything but PUBLISH.
func (w *watch) checkProperties(p Packet) error {
	_, reason := p.get("reason")
	_, user := p.get("prop")
	if (reason || user) && !w.problemInfo && p.Kind != "connack" && p.Kind != "disconnect" {
		return fmt.Errorf("%s explains itself to a client that does not want it [MQTT-3.1.2-29]", p.Kind)
	}
	if _, has := p.get("response_information"); has && !w.responseInfo {
		return fmt.Errorf("response information unasked [MQTT-3.1.2-28]")
	}
	if _, has := p.get("session_expiry"); has && p.Kind == "disconnect" {
		return fmt.Errorf("a session expiry interval in DISCONNECT [MQTT-3.14.2-2]")
	}
	code, _ := p.get("code")
	method, has := p.get("method")
	mustHave := p.Kind == "auth" || p.Kind == "connack" && code == "0x00" && w.method != ""
	if method != w.method && (has || mustHave) {
		return fmt.Errorf("method %q for a client with %q [MQTT-4.12.0-5]", method, w.method)
	}
	return nil
}
