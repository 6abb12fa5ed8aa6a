package mqtt

// Type implements Packet.
func (*Disconnect) Type() Type { return DISCONNECT }

// Decode implements Packet.
func (x *Disconnect) Decode(h Header, body []byte, v Version) error {
	*x = Disconnect{}
	r := newReader(DISCONNECT, h, body, v)
	if v >= V5 && r.more() {
		x.Code = r.reasonCode()
		if r.more() { // without a property length there are no properties
			x.decodeProperties(&r)
		}
	}
	return r.done()
}

func (x *Disconnect) decodeProperties(r *reader) {
	r.openProperties(inDisconnect)
	var p property
	for r.nextProperty(&p) {
		switch p.id {
		case PropSessionExpiry:
			seconds := p.num
			x.SessionExpirySeconds = &seconds
		case PropReasonString:
			x.ReasonString = string(p.data)
		case PropServerReference:
			x.ServerReference = string(p.data)
		}
	}
	x.User = r.user
}

// AppendTo implements Packet. Before version 5 the packet is empty, whatever the code.
func (x *Disconnect) AppendTo(dst []byte, v Version) ([]byte, error) {
	w := newWriter(dst, DISCONNECT)
	bare := x.SessionExpirySeconds == nil && x.ReasonString == "" && x.ServerReference == "" && len(x.User) == 0
	if v < V5 || bare && x.Code == NormalDisconnection {
		return w.finish(nil)
	}
	w.reasonCode(x.Code)
	if bare {
		return w.finish(nil)
	}
	mark := w.openProperties()
	if x.SessionExpirySeconds != nil {
		w.propertyUint32(PropSessionExpiry, *x.SessionExpirySeconds)
	}
	w.propertyString(PropReasonString, x.ReasonString)
	w.propertyString(PropServerReference, x.ServerReference)
	w.userProperties(x.User)
	w.closeProperties(mark)
	return w.finish(nil)
}
