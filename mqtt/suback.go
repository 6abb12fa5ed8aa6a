package mqtt

// Type implements Packet.
func (*Suback) Type() Type { return SUBACK }

// failureV3 is the only failure that a SUBACK before version 5 can say. 3.1 does not have it at all: there a server has
// to grant what was asked for.
const failureV3 = 0x80

// Decode implements Packet.
func (x *Suback) Decode(h Header, body []byte, v Version) error {
	*x = Suback{}
	r := newReader(SUBACK, h, body, v)
	x.PacketID = r.packetID()
	if v >= V5 {
		x.ReasonString = r.reasonProperties(inPacket(SUBACK))
		x.User = r.user
	}
	if !r.more() {
		r.fail(ruleNoCodes, r.pos, "")
	}
	x.Codes = make([]ReasonCode, 0, r.end-r.pos)
	for r.more() {
		c := r.reasonCode()
		if v < V5 && c > GrantedQoS2 && c != failureV3 {
			r.fail(typeCodeRules[SUBACK], r.pos-1, "")
		}
		x.Codes = append(x.Codes, c)
	}
	return r.done()
}

// AppendTo implements Packet. Before version 5, all failures are the same.
func (x *Suback) AppendTo(dst []byte, v Version) ([]byte, error) {
	w := newWriter(dst, SUBACK)
	w.packetID(x.PacketID)
	if v >= V5 {
		w.reasonProperties(x.ReasonString, x.User)
	}
	if len(x.Codes) == 0 {
		w.fail(ruleNoCodes.reason)
	}
	for _, c := range x.Codes {
		if v < V5 && c.Failed() {
			c = failureV3
		}
		w.reasonCode(c)
	}
	return w.finish(nil)
}
