package mqtt

// Type implements Packet.
func (*Unsuback) Type() Type { return UNSUBACK }

// Decode implements Packet.
func (x *Unsuback) Decode(h Header, body []byte, v Version) error {
	*x = Unsuback{}
	r := newReader(UNSUBACK, h, body, v)
	x.PacketID = r.packetID()
	if v < V5 {
		return r.done()
	}
	x.ReasonString = r.reasonProperties(inPacket(UNSUBACK))
	x.User = r.user
	if !r.more() {
		r.fail(ruleNoUnsubCodes, r.pos, "")
	}
	x.Codes = make([]ReasonCode, 0, r.end-r.pos)
	for r.more() {
		x.Codes = append(x.Codes, r.reasonCode())
	}
	return r.done()
}

// AppendTo implements Packet. Before version 5 there is only the packet identifier.
func (x *Unsuback) AppendTo(dst []byte, v Version) ([]byte, error) {
	w := newWriter(dst, UNSUBACK)
	w.packetID(x.PacketID)
	if v < V5 {
		return w.finish(nil)
	}
	w.reasonProperties(x.ReasonString, x.User)
	if len(x.Codes) == 0 {
		w.fail(ruleNoUnsubCodes.reason)
	}
	for _, c := range x.Codes {
		w.reasonCode(c)
	}
	return w.finish(nil)
}
