package mqtt

// Type implements Packet.
func (*Unsubscribe) Type() Type { return UNSUBSCRIBE }

// Decode implements Packet. Like those of SUBSCRIBE, topic filters are only known to be strings that are not empty.
func (x *Unsubscribe) Decode(h Header, body []byte, v Version) error {
	*x = Unsubscribe{}
	r := newReader(UNSUBSCRIBE, h, body, v)
	x.PacketID = r.packetID()
	if v >= V5 {
		r.openProperties(inPacket(UNSUBSCRIBE))
		r.nextProperty(new(property)) // there are only user properties
		x.User = r.user
	}
	if !r.more() {
		r.fail(ruleNothingToStop, r.pos, "")
	}
	for r.more() {
		x.Filters = append(x.Filters, r.filter())
	}
	return r.done()
}

// AppendTo implements Packet.
func (x *Unsubscribe) AppendTo(dst []byte, v Version) ([]byte, error) {
	w := newWriter(dst, UNSUBSCRIBE)
	w.packetID(x.PacketID)
	if v >= V5 {
		mark := w.openProperties()
		w.userProperties(x.User)
		w.closeProperties(mark)
	}
	if len(x.Filters) == 0 {
		w.fail(ruleNothingToStop.reason)
	}
	for _, f := range x.Filters {
		w.filter(f)
	}
	return w.finish(nil)
}
