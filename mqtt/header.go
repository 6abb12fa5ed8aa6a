package mqtt

// DecodeHeader decodes the fixed header at the start of b; n is its length. It returns ErrIncomplete if b ends within
// it, and a *DecodeError as soon as no further byte could make it right.
func DecodeHeader(b []byte) (h Header, n int, err error) {
	if len(b) == 0 {
		return Header{}, 0, ErrIncomplete
	}
	h = Header{Type: Type(b[0] >> 4), Flags: b[0] & 0x0F}
	if h.Type == 0 {
		return Header{}, 0, ruleType.at(0, V5, 0, "")
	}
	if err := h.checkFlags(0); err != nil {
		return Header{}, 0, err
	}
	if len(b) > 1 && b[1] < 0x80 {
		h.Remaining = uint32(b[1])
		return h, 2, nil
	}
	remaining, n, bad := readVarint(b[1:])
	switch {
	case bad != nil:
		return Header{}, 0, bad.at(h.Type, V5, 1, "remaining length")
	case n == 0:
		return Header{}, 0, ErrIncomplete
	}
	h.Remaining = remaining
	return h, 1 + n, nil
}

// typeFlags are the flags that each packet type must have. Those of PUBLISH say something.
var typeFlags = [16]uint8{PUBREL: 0x02, SUBSCRIBE: 0x02, UNSUBSCRIBE: 0x02}

// dupFlag is bit 3. In 3.1, clients may send PUBREL, SUBSCRIBE and UNSUBSCRIBE again with DUP set.
const dupFlag = 0x08

// checkFlags returns an error if a packet of version v must not have the header's flags. With version 0, which is not
// known yet, all flags pass that some version allows.
func (h Header) checkFlags(v Version) error {
	want := typeFlags[h.Type&0x0F]
	if h.Flags == want || h.Type == PUBLISH {
		return nil
	}
	if v == 0 || v == V31 {
		switch h.Type {
		case CONNECT: // whose flags are not used in 3.1
			return nil
		case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
			if h.Flags == want|dupFlag {
				return nil
			}
		}
	}
	r := typeFlagRules[h.Type&0x0F]
	if r == nil {
		r = ruleFlags
	}
	return r.at(h.Type, v, 0, "")
}

// decoder is what every packet of this package is.
type decoder interface {
	Packet
	Decode(h Header, body []byte, v Version) error
}

func newPacket(t Type) decoder {
	switch t {
	case CONNECT:
		return new(Connect)
	case CONNACK:
		return new(Connack)
	case PUBLISH:
		return new(Publish)
	case PUBACK:
		return new(Puback)
	case PUBREC:
		return new(Pubrec)
	case PUBREL:
		return new(Pubrel)
	case PUBCOMP:
		return new(Pubcomp)
	case SUBSCRIBE:
		return new(Subscribe)
	case SUBACK:
		return new(Suback)
	case UNSUBSCRIBE:
		return new(Unsubscribe)
	case UNSUBACK:
		return new(Unsuback)
	case PINGREQ:
		return new(Pingreq)
	case PINGRESP:
		return new(Pingresp)
	case DISCONNECT:
		return new(Disconnect)
	case AUTH:
		return new(Auth)
	}
	return nil
}

// Decode decodes the packet with header h, whose body is all of body, as version v. CONNECT says its version itself.
//
// A CONNECT that is wrong is returned along with the error, as far as it was understood: its Version tells how to answer.
// For all other packets the result is nil with an error.
func Decode(h Header, body []byte, v Version) (Packet, error) {
	p := newPacket(h.Type)
	if p == nil {
		return nil, ruleType.at(h.Type, v, 0, "")
	}
	if err := p.Decode(h, body, v); err != nil {
		if h.Type == CONNECT {
			return p, err
		}
		return nil, err
	}
	return p, nil
}
