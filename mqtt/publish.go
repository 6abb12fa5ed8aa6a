package mqtt

// Type implements Packet.
func (*Publish) Type() Type { return PUBLISH }

const (
	publishRetain = 0x01
	publishQoS    = 0x06
	publishDup    = 0x08
)

// Decode implements Packet. It allocates nothing, unless there are more subscription identifiers than x has room for
// or user properties with others between them. x may be used again and again.
func (x *Publish) Decode(h Header, body []byte, v Version) error {
	qos := QoS(h.Flags & publishQoS >> 1)
	if qos > ExactlyOnce {
		return ruleQoS.at(PUBLISH, v, 0, "")
	}
	if qos == AtMostOnce && h.Flags&publishDup != 0 {
		return ruleDup.at(PUBLISH, v, 0, "")
	}
	x.Dup, x.QoS, x.Retain = h.Flags&publishDup != 0, qos, h.Flags&publishRetain != 0
	x.PacketID = 0
	x.Properties = PublishProperties{SubscriptionIDs: x.Properties.SubscriptionIDs[:0]}
	if len(body) < 2 {
		return ruleShort.at(PUBLISH, v, 0, "topic name")
	}
	pos := 2 + int(body[0])<<8 + int(body[1])
	if pos > len(body) {
		return ruleShort.at(PUBLISH, v, 0, "topic name")
	}
	x.Topic = body[2:pos:pos]
	if !plainTopic(x.Topic) {
		if err := checkPublishTopic(x.Topic, v); err != nil {
			return err
		}
	}
	if qos != AtMostOnce {
		if len(body)-pos < 2 {
			return ruleShort.at(PUBLISH, v, pos, "packet identifier")
		}
		x.PacketID = uint16(body[pos])<<8 | uint16(body[pos+1])
		if x.PacketID == 0 {
			return ruleNewPacketID.at(PUBLISH, v, pos, "")
		}
		pos += 2
	}
	if v >= V5 {
		if pos < len(body) && body[pos] == 0 && len(x.Topic) > 0 {
			pos++ // the usual: no properties
		} else {
			return x.decodeProperties(body, pos, v)
		}
	}
	x.Payload = body[pos:len(body):len(body)]
	return nil
}

// checkPublishTopic returns an error for what must not be a topic name. In version 5 it may be empty with an alias,
// which comes later.
func checkPublishTopic(topic []byte, v Version) error {
	bad := checkTopic(topic, ruleNoTopic, ruleTopicWildcard)
	switch {
	case bad == nil, bad == ruleNoTopic && v >= V5:
		return nil
	case bad == ruleNoTopic, bad == ruleTopicWildcard:
		return bad.at(PUBLISH, v, 2, "")
	}
	return bad.at(PUBLISH, v, 2, "topic name")
}

// decodeProperties decodes the properties at pos, and the payload behind them.
func (x *Publish) decodeProperties(body []byte, pos int, v Version) error {
	r := reader{b: body, pos: pos, end: len(body), pkt: PUBLISH, v: v}
	r.openProperties(inPublish)
	x.Properties.read(&r)
	if len(x.Topic) == 0 && !x.Properties.Present.Has(PropTopicAlias) {
		r.fail(ruleNoTopicOrAlias, 2, "")
	}
	if r.err != nil {
		return r.err
	}
	x.Payload = body[r.pos:len(body):len(body)]
	return nil
}

// AppendTo implements Packet. Properties are left out before version 5.
func (x *Publish) AppendTo(dst []byte, v Version) ([]byte, error) {
	w := newWriter(dst, PUBLISH)
	w.b[w.start] |= x.flags()
	switch {
	case x.QoS > ExactlyOnce:
		w.fail(ruleQoS.reason)
	case x.QoS == AtMostOnce && x.Dup:
		w.fail(ruleDup.reason)
	case len(x.Topic) == 0 && v >= V5 && x.Properties.Present.Has(PropTopicAlias):
	case !ValidTopicName(x.Topic):
		w.fail("topic is not a topic name")
	}
	w.binary("topic name", x.Topic)
	if x.QoS != AtMostOnce {
		w.packetID(x.PacketID)
	}
	if v >= V5 {
		x.appendProperties(&w)
	}
	return w.finish(x.Payload)
}

func (x *Publish) flags() uint8 {
	flags := uint8(x.QoS) << 1 & publishQoS
	if x.Retain {
		flags |= publishRetain
	}
	if x.Dup {
		flags |= publishDup
	}
	return flags
}

func (x *Publish) appendProperties(w *writer) {
	mark := w.openProperties()
	p := &x.Properties
	p.write(w)
	if p.Present.Has(PropTopicAlias) {
		if p.TopicAlias == 0 {
			w.fail(ruleZeroAlias.reason)
		}
		w.propertyUint16(PropTopicAlias, p.TopicAlias)
	}
	w.userProperties(p.User)
	for _, id := range p.SubscriptionIDs {
		w.subscriptionID(id)
	}
	w.closeProperties(mark)
}
