package mqtt

// propertyKind is how a property's value is encoded.
type propertyKind uint8

const (
	kindNone propertyKind = iota // no such property
	kindByte
	kindUint16
	kindUint32
	kindVarint
	kindText
	kindTopic
	kindBinary
	kindPair
)

// propertySpec says how a property looks and where it may be.
type propertySpec struct {
	name    string
	kind    propertyKind
	in      uint16 // the packet types that may have it, as inPacket bits
	boolean bool   // only 0 and 1
	zero    *rule  // broken by the value 0, unless nil
}

// inPacket is a packet type as a bit. The properties of a will count as those of type 0.
func inPacket(t Type) uint16 { return 1 << t }

const (
	inWill       = 1 << 0
	inConnect    = 1 << CONNECT
	inConnack    = 1 << CONNACK
	inPublish    = 1 << PUBLISH
	inSubscribe  = 1 << SUBSCRIBE
	inDisconnect = 1 << DISCONNECT
	inAuth       = 1 << AUTH
	inReasoned   = inConnack | 1<<PUBACK | 1<<PUBREC | 1<<PUBREL | 1<<PUBCOMP | 1<<SUBACK | 1<<UNSUBACK | inDisconnect | inAuth
	inAnything   = inWill | inConnect | inPublish | inSubscribe | 1<<UNSUBSCRIBE | inReasoned
)

var propertySpecs = [PropSharedAvailable + 1]propertySpec{
	PropPayloadFormat:        {"payload format indicator", kindByte, inPublish | inWill, true, nil},
	PropMessageExpiry:        {"message expiry interval", kindUint32, inPublish | inWill, false, nil},
	PropContentType:          {"content type", kindText, inPublish | inWill, false, nil},
	PropResponseTopic:        {"response topic", kindTopic, inPublish | inWill, false, nil},
	PropCorrelationData:      {"correlation data", kindBinary, inPublish | inWill, false, nil},
	PropSubscriptionID:       {"subscription identifier", kindVarint, inPublish | inSubscribe, false, ruleZero},
	PropSessionExpiry:        {"session expiry interval", kindUint32, inConnect | inConnack | inDisconnect, false, nil},
	PropAssignedClientID:     {"assigned client identifier", kindText, inConnack, false, nil},
	PropServerKeepAlive:      {"server keep alive", kindUint16, inConnack, false, nil},
	PropAuthMethod:           {"authentication method", kindText, inConnect | inConnack | inAuth, false, nil},
	PropAuthData:             {"authentication data", kindBinary, inConnect | inConnack | inAuth, false, nil},
	PropRequestProblem:       {"request problem information", kindByte, inConnect, true, nil},
	PropWillDelay:            {"will delay interval", kindUint32, inWill, false, nil},
	PropRequestResponse:      {"request response information", kindByte, inConnect, true, nil},
	PropResponseInformation:  {"response information", kindText, inConnack, false, nil},
	PropServerReference:      {"server reference", kindText, inConnack | inDisconnect, false, nil},
	PropReasonString:         {"reason string", kindText, inReasoned, false, nil},
	PropReceiveMaximum:       {"receive maximum", kindUint16, inConnect | inConnack, false, ruleZero},
	PropTopicAliasMaximum:    {"topic alias maximum", kindUint16, inConnect | inConnack, false, nil},
	PropTopicAlias:           {"topic alias", kindUint16, inPublish, false, ruleZeroAlias},
	PropMaximumQoS:           {"maximum QoS", kindByte, inConnack, true, nil},
	PropRetainAvailable:      {"retain available", kindByte, inConnack, true, nil},
	PropUser:                 {"user property", kindPair, inAnything, false, nil},
	PropMaximumPacketSize:    {"maximum packet size", kindUint32, inConnect | inConnack, false, ruleZero},
	PropWildcardAvailable:    {"wildcard subscription available", kindByte, inConnack, true, nil},
	PropSubscriptionIDsAvail: {"subscription identifiers available", kindByte, inConnack, true, nil},
	PropSharedAvailable:      {"shared subscription available", kindByte, inConnack, true, nil},
}

// property is one property that was read: a number, or bytes that lie in the packet's body.
type property struct {
	id   PropertyID
	num  uint32
	data []byte
}

// openProperties begins the properties of one of the packet types allowed, in version 5. They are then read with
// nextProperty until that returns false; user properties are gathered in r.user.
func (r *reader) openProperties(allowed uint16) {
	if r.pos == r.end {
		r.fail(rulePropertyLength, r.pos, "")
		return
	}
	at := r.pos
	n := int(r.varint("property length"))
	if n > r.end-r.pos {
		r.fail(rulePropertyRoom, at, "")
		return
	}
	r.limitProperties(r.pos+n, allowed)
}

// limitProperties begins properties that end at end.
func (r *reader) limitProperties(end int, allowed uint16) {
	r.end, r.allowed = end, allowed
	r.seen, r.user, r.userEnd, r.copied = 0, nil, 0, false
}

// nextProperty reads the next property but user properties. It returns false after the last one.
func (r *reader) nextProperty(p *property) bool {
	for r.pos < r.end {
		spec := r.propertyHeader(p)
		if spec == nil {
			return false
		}
		if spec.kind == kindPair {
			r.userProperty()
			continue
		}
		r.propertyValue(spec, p)
		return r.err == nil
	}
	r.end = len(r.b) // what follows the properties, if anything
	return false
}

// propertyHeader reads an identifier and checks that its property may be here.
func (r *reader) propertyHeader(p *property) *propertySpec {
	at := r.pos
	id := r.varint("property identifier")
	if r.err != nil {
		return nil
	}
	if id >= uint32(len(propertySpecs)) || propertySpecs[id].kind == kindNone {
		r.fail(ruleUnknownProperty, at, "")
		return nil
	}
	spec := &propertySpecs[id]
	p.id = PropertyID(id)
	switch {
	case spec.in&r.allowed == 0:
		r.fail(ruleMisplacedProperty, at, spec.name)
		return nil
	case spec.kind == kindPair, p.id == PropSubscriptionID && r.allowed == inPublish:
		return spec // these may be there several times
	case r.seen.Has(p.id):
		r.fail(ruleDuplicateProperty, at, spec.name)
		return nil
	}
	r.seen.Add(p.id)
	return spec
}

// propertyValue reads and checks the value of a property.
func (r *reader) propertyValue(spec *propertySpec, p *property) {
	at := r.pos
	p.num, p.data = 0, nil
	switch spec.kind {
	case kindByte:
		p.num = uint32(r.uint8(spec.name))
	case kindUint16:
		p.num = uint32(r.uint16(spec.name))
	case kindUint32:
		p.num = r.uint32(spec.name)
	case kindVarint:
		p.num = r.varint(spec.name)
	case kindText:
		p.data = r.text(spec.name)
	case kindTopic:
		p.data = r.topic(spec.name, ruleNoResponseTopic, ruleResponseTopic)
	case kindBinary:
		p.data = r.binary(spec.name)
	}
	switch {
	case spec.boolean && p.num > 1:
		r.fail(ruleNotBoolean, at, spec.name)
	case spec.zero != nil && p.num == 0:
		name := spec.name
		if spec.zero == ruleZeroAlias {
			name = "" // it says it itself
		}
		r.fail(spec.zero, at, name)
	}
}

// userProperty adds the user property whose identifier was just read to r.user.
func (r *reader) userProperty() {
	start := r.pos - 1
	r.text("user property key")
	r.text("user property value")
	switch {
	case r.err != nil:
		return
	case r.user == nil:
		r.user = UserProperties(r.b[start:r.pos:r.pos])
	case r.copied:
		r.user = append(r.user, r.b[start:r.pos]...)
	case r.userEnd == start:
		r.user = UserProperties(r.b[start-len(r.user) : r.pos : r.pos])
	default: // append copies, since the slice has no room
		r.user, r.copied = append(r.user, r.b[start:r.pos]...), true
	}
	r.userEnd = r.pos
}
