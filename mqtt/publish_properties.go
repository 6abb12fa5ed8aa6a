package mqtt

// Add puts id into the set.
func (s *PropertySet) Add(id PropertyID) { *s |= 1 << id }

// forwarded are the properties, beside user properties, that a server forwards unaltered.
const forwarded = PropertySet(1<<PropPayloadFormat | 1<<PropContentType | 1<<PropResponseTopic | 1<<PropCorrelationData)

// set notes a property that was read.
func (x *PublishProperties) set(p *property) {
	switch p.id {
	case PropPayloadFormat:
		x.PayloadFormat = uint8(p.num)
	case PropMessageExpiry:
		x.MessageExpirySeconds = p.num
	case PropTopicAlias:
		x.TopicAlias = uint16(p.num)
	case PropResponseTopic:
		x.ResponseTopic = p.data
	case PropCorrelationData:
		x.CorrelationData = p.data
	case PropContentType:
		x.ContentType = p.data
	case PropSubscriptionID:
		x.SubscriptionIDs = append(x.SubscriptionIDs, p.num)
		return
	default:
		return // will delay, which a will keeps elsewhere
	}
	x.Present.Add(p.id)
}

// read reads the rest of the properties that r has begun. x has none but room for subscription identifiers. Those of a
// will hold its delay, which is returned.
func (x *PublishProperties) read(r *reader) (willDelaySeconds uint32) {
	var p property
	for r.nextProperty(&p) {
		if p.id == PropWillDelay {
			willDelaySeconds = p.num
		}
		x.set(&p)
	}
	x.User = r.user
	return willDelaySeconds
}

// write appends all properties but the user properties and subscription identifiers.
func (x *PublishProperties) write(w *writer) {
	x.writeForwarded(w)
	if x.Present.Has(PropMessageExpiry) {
		w.propertyUint32(PropMessageExpiry, x.MessageExpirySeconds)
	}
}

func (x *PublishProperties) writeForwarded(w *writer) {
	if x.Present.Has(PropPayloadFormat) {
		if x.PayloadFormat > 1 {
			w.fail("payload format indicator is neither 0 nor 1")
		}
		w.propertyByte(PropPayloadFormat, x.PayloadFormat)
	}
	if x.Present.Has(PropContentType) {
		w.propertyText(PropContentType, x.ContentType)
	}
	if x.Present.Has(PropResponseTopic) {
		if !ValidTopicName(x.ResponseTopic) {
			w.fail("response topic is not a topic name")
		}
		w.propertyText(PropResponseTopic, x.ResponseTopic)
	}
	if x.Present.Has(PropCorrelationData) {
		w.propertyBinary(PropCorrelationData, x.CorrelationData)
	}
}

// AppendForward appends the encoding of those properties that a server forwards unaltered: payload format indicator,
// content type, response topic, correlation data and user properties, in this order and without a length before them.
// The values must be such as decoding gives.
func (x *PublishProperties) AppendForward(dst []byte) []byte {
	if x.Present&forwarded == 0 {
		return append(dst, x.User...)
	}
	if x.Present.Has(PropPayloadFormat) {
		dst = append(dst, byte(PropPayloadFormat), x.PayloadFormat)
	}
	if x.Present.Has(PropContentType) {
		dst = AppendString(append(dst, byte(PropContentType)), x.ContentType)
	}
	if x.Present.Has(PropResponseTopic) {
		dst = AppendString(append(dst, byte(PropResponseTopic)), x.ResponseTopic)
	}
	if x.Present.Has(PropCorrelationData) {
		dst = AppendString(append(dst, byte(PropCorrelationData)), x.CorrelationData)
	}
	return append(dst, x.User...)
}

// DecodeForward decodes what AppendForward has appended. The result lies in b. It fails for other properties than
// those that a server forwards unaltered.
func DecodeForward(b []byte) (PublishProperties, error) {
	r := reader{b: b, end: len(b), pkt: PUBLISH, v: V5}
	r.limitProperties(len(b), inPublish)
	var x PublishProperties
	x.read(&r)
	if x.Present&^forwarded != 0 || len(x.SubscriptionIDs) > 0 {
		r.fail(ruleNotForwarded, 0, "")
	}
	if err := r.done(); err != nil {
		return PublishProperties{}, err
	}
	return x, nil
}
