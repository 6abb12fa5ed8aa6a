package mqtt

// Type implements Packet.
func (*Puback) Type() Type { return PUBACK }

// Type implements Packet.
func (*Pubrec) Type() Type { return PUBREC }

// Type implements Packet.
func (*Pubrel) Type() Type { return PUBREL }

// Type implements Packet.
func (*Pubcomp) Type() Type { return PUBCOMP }

// Decode implements Packet.
func (x *Puback) Decode(h Header, body []byte, v Version) error { return x.decode(PUBACK, h, body, v) }

// Decode implements Packet.
func (x *Pubrec) Decode(h Header, body []byte, v Version) error { return x.decode(PUBREC, h, body, v) }

// Decode implements Packet.
func (x *Pubrel) Decode(h Header, body []byte, v Version) error { return x.decode(PUBREL, h, body, v) }

// Decode implements Packet.
func (x *Pubcomp) Decode(h Header, body []byte, v Version) error {
	return x.decode(PUBCOMP, h, body, v)
}

// AppendTo implements Packet.
func (x *Puback) AppendTo(dst []byte, v Version) ([]byte, error) { return x.appendTo(PUBACK, dst, v) }

// AppendTo implements Packet.
func (x *Pubrec) AppendTo(dst []byte, v Version) ([]byte, error) { return x.appendTo(PUBREC, dst, v) }

// AppendTo implements Packet.
func (x *Pubrel) AppendTo(dst []byte, v Version) ([]byte, error) { return x.appendTo(PUBREL, dst, v) }

// AppendTo implements Packet.
func (x *Pubcomp) AppendTo(dst []byte, v Version) ([]byte, error) { return x.appendTo(PUBCOMP, dst, v) }

func (x *Ack) decode(t Type, h Header, body []byte, v Version) error {
	*x = Ack{}
	if len(body) == 2 && h.Flags == typeFlags[t] && body[0]|body[1] != 0 {
		x.PacketID = uint16(body[0])<<8 | uint16(body[1]) // the usual: nothing else
		return nil
	}
	r := newReader(t, h, body, v)
	x.PacketID = r.packetID()
	if v >= V5 && r.more() {
		x.Code = r.reasonCode()
		if r.more() { // without a property length there are no properties
			x.ReasonString = r.reasonProperties(inPacket(t))
			x.User = r.user
		}
	}
	return r.done()
}

// reasonProperties reads properties that are a reason string and user properties only.
func (r *reader) reasonProperties(allowed uint16) (reason string) {
	r.openProperties(allowed)
	var p property
	for r.nextProperty(&p) {
		reason = string(p.data)
	}
	return reason
}

func (w *writer) reasonProperties(reason string, user UserProperties) {
	mark := w.openProperties()
	w.propertyString(PropReasonString, reason)
	w.userProperties(user)
	w.closeProperties(mark)
}

func (x *Ack) appendTo(t Type, dst []byte, v Version) ([]byte, error) {
	bare := x.ReasonString == "" && len(x.User) == 0
	w := newWriter(dst, t)
	w.packetID(x.PacketID)
	if v >= V5 && (x.Code != Success || !bare) {
		w.reasonCode(x.Code)
		if !bare {
			w.reasonProperties(x.ReasonString, x.User)
		}
	}
	return w.finish(nil)
}
