package mqtt

// Type implements Packet.
func (*Pingreq) Type() Type { return PINGREQ }

// Type implements Packet.
func (*Pingresp) Type() Type { return PINGRESP }

// Decode implements Packet.
func (*Pingreq) Decode(h Header, body []byte, v Version) error {
	r := newReader(PINGREQ, h, body, v)
	return r.done()
}

// Decode implements Packet.
func (*Pingresp) Decode(h Header, body []byte, v Version) error {
	r := newReader(PINGRESP, h, body, v)
	return r.done()
}

// AppendTo implements Packet.
func (*Pingreq) AppendTo(dst []byte, _ Version) ([]byte, error) {
	return append(dst, byte(PINGREQ)<<4, 0), nil
}

// AppendTo implements Packet.
func (*Pingresp) AppendTo(dst []byte, _ Version) ([]byte, error) {
	return append(dst, byte(PINGRESP)<<4, 0), nil
}
