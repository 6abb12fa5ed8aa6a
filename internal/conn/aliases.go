package conn

import (
	"unsafe"

	"github.com/barid-mqtt/barid/mqtt"
)

// aliasBytesMax bounds the topics that one client's aliases stand for. A table of the largest size with topics of the
// largest length would hold 4 GiB.
const aliasBytesMax = 256 << 10

// aliasTable holds the topics that a client's aliases stand for. Its memory follows their number, not how high they are.
type aliasTable struct {
	low   []string          // of the aliases from 1 on, as far as they are in use without large gaps
	high  map[uint16]string // of the others
	used  int
	bytes int
}

func (t *aliasTable) get(alias uint16) string {
	if int(alias) <= len(t.low) {
		return t.low[alias-1]
	}
	return t.high[alias]
}

// set reports whether there is room for the topic.
func (t *aliasTable) set(alias uint16, topic []byte) bool {
	old := t.get(alias)
	if old == string(topic) {
		return true
	}
	if t.bytes+len(topic)-len(old) > aliasBytesMax {
		return false
	}
	t.bytes += len(topic) - len(old)
	if old == "" {
		t.used++
	}
	switch {
	case int(alias) <= len(t.low):
		t.low[alias-1] = string(topic)
	case int(alias) <= 2*t.used+8 && t.high == nil:
		t.low = append(t.low, make([]string, int(alias)-len(t.low))...)
		t.low[alias-1] = string(topic)
	default:
		if t.high == nil {
			t.high = make(map[uint16]string)
		}
		t.high[alias] = string(topic)
	}
	return true
}

// resolveAlias learns or applies a topic alias.
func (c *Conn) resolveAlias(p *mqtt.Publish) error {
	alias := p.Properties.TopicAlias
	if alias == 0 || alias > c.opts.TopicAliasMaximum {
		return &mqtt.DecodeError{Code: mqtt.TopicAliasInvalid, Packet: mqtt.PUBLISH, Statement: "MQTT-3.3.2-9",
			Reason: "topic alias beyond the server's topic alias maximum"}
	}
	if len(p.Topic) > 0 {
		if !c.aliases.set(alias, p.Topic) {
			return &mqtt.DecodeError{Code: mqtt.QuotaExceeded, Packet: mqtt.PUBLISH,
				Reason: "the topics of the topic aliases take more memory than the server has for them"}
		}
		return nil
	}
	known := c.aliases.get(alias)
	if known == "" {
		return &mqtt.DecodeError{Code: mqtt.ProtocolError, Packet: mqtt.PUBLISH, Reason: "topic alias was never given a topic"}
	}
	// The alias keeps the string alive for as long as the packet is handled, and nobody writes to a topic.
	p.Topic = unsafe.Slice(unsafe.StringData(known), len(known))
	return nil
}
