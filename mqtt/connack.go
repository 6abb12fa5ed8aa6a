package mqtt

// Type implements Packet.
func (*Connack) Type() Type { return CONNACK }

// Decode implements Packet.
func (x *Connack) Decode(h Header, body []byte, v Version) error {
	*x = Connack{}
	r := newReader(CONNACK, h, body, v)
	flags := r.uint8("acknowledge flags")
	if flags > 1 && v != V31 { // where the whole byte is reserved
		r.fail(ruleConnackFlags, 0, "")
	}
	x.SessionPresent = flags&1 != 0 && v != V31
	if v >= V5 {
		x.Code = r.reasonCode()
	} else {
		x.Code = r.returnCode()
	}
	if x.SessionPresent && x.Code != Success {
		r.fail(ruleSessionPresent, 0, "")
	}
	if v >= V5 {
		x.decodeProperties(&r)
	}
	return r.done()
}

func (r *reader) returnCode() ReasonCode {
	c := r.uint8("return code")
	if int(c) >= len(returnCodes) {
		r.fail(ruleReturnCode, r.pos-1, "")
		return 0
	}
	return returnCodes[c]
}

func (x *Connack) decodeProperties(r *reader) {
	at := r.pos
	r.openProperties(inConnack)
	var p property
	for r.nextProperty(&p) {
		if p.data != nil {
			x.setText(&p)
		} else {
			x.setNumber(p.id, p.num)
		}
	}
	x.User = r.user
	if x.AuthData != nil && !x.HasAuthMethod {
		r.fail(ruleAuthData, at, "")
	}
}

func (x *Connack) setText(p *property) {
	switch p.id {
	case PropAssignedClientID:
		x.AssignedClientID = string(p.data)
	case PropReasonString:
		x.ReasonString = string(p.data)
	case PropResponseInformation:
		x.ResponseInformation = string(p.data)
	case PropServerReference:
		x.ServerReference = string(p.data)
	case PropAuthMethod:
		x.AuthMethod, x.HasAuthMethod = string(p.data), true
	case PropAuthData:
		x.AuthData = p.data
	}
}

func (x *Connack) setNumber(id PropertyID, n uint32) {
	on := n != 0
	switch id {
	case PropSessionExpiry:
		x.SessionExpirySeconds = &n
	case PropReceiveMaximum:
		x.ReceiveMaximum = uint16(n)
	case PropMaximumQoS:
		qos := QoS(n)
		x.MaximumQoS = &qos
	case PropRetainAvailable:
		x.RetainAvailable = &on
	case PropMaximumPacketSize:
		x.MaximumPacketSize = n
	case PropTopicAliasMaximum:
		x.TopicAliasMaximum = uint16(n)
	case PropWildcardAvailable:
		x.WildcardAvailable = &on
	case PropSubscriptionIDsAvail:
		x.SubscriptionIDs = &on
	case PropSharedAvailable:
		x.SharedAvailable = &on
	case PropServerKeepAlive:
		seconds := uint16(n)
		x.ServerKeepAlive = &seconds
	}
}

// AppendTo implements Packet. Before version 5 it fails for codes that have no return code: see ReasonCode.ReturnCode.
func (x *Connack) AppendTo(dst []byte, v Version) ([]byte, error) {
	w := newWriter(dst, CONNACK)
	var flags uint8
	if x.SessionPresent && v != V31 {
		flags = 1
		if x.Code != Success {
			w.fail(ruleSessionPresent.reason)
		}
	}
	w.uint8(flags)
	if v < V5 {
		code, ok := x.Code.ReturnCode()
		if !ok {
			w.fail("no return code says " + x.Code.String())
		}
		w.uint8(code)
		return w.finish(nil)
	}
	w.reasonCode(x.Code)
	mark := w.openProperties()
	x.appendLimits(&w)
	x.appendTexts(&w)
	w.closeProperties(mark)
	return w.finish(nil)
}

func (x *Connack) appendLimits(w *writer) {
	if x.SessionExpirySeconds != nil {
		w.propertyUint32(PropSessionExpiry, *x.SessionExpirySeconds)
	}
	if x.ReceiveMaximum != 0 {
		w.propertyUint16(PropReceiveMaximum, x.ReceiveMaximum)
	}
	if x.MaximumQoS != nil && *x.MaximumQoS < ExactlyOnce { // 2 is said by saying nothing
		w.propertyByte(PropMaximumQoS, uint8(*x.MaximumQoS))
	}
	if x.MaximumPacketSize != 0 {
		w.propertyUint32(PropMaximumPacketSize, x.MaximumPacketSize)
	}
	if x.TopicAliasMaximum != 0 {
		w.propertyUint16(PropTopicAliasMaximum, x.TopicAliasMaximum)
	}
	if x.ServerKeepAlive != nil {
		w.propertyUint16(PropServerKeepAlive, *x.ServerKeepAlive)
	}
	for _, f := range [...]struct {
		id PropertyID
		on *bool
	}{
		{PropRetainAvailable, x.RetainAvailable},
		{PropWildcardAvailable, x.WildcardAvailable},
		{PropSubscriptionIDsAvail, x.SubscriptionIDs},
		{PropSharedAvailable, x.SharedAvailable},
	} {
		if f.on != nil {
			w.propertyBool(f.id, *f.on)
		}
	}
}

func (x *Connack) appendTexts(w *writer) {
	w.propertyString(PropAssignedClientID, x.AssignedClientID)
	w.propertyString(PropReasonString, x.ReasonString)
	w.propertyString(PropResponseInformation, x.ResponseInformation)
	w.propertyString(PropServerReference, x.ServerReference)
	w.authentication(x.AuthMethod, x.HasAuthMethod, x.AuthData)
	w.userProperties(x.User)
}
