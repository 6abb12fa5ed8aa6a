package mqtt

// reader reads a packet's body. Its first failure stays: everything after it reads as zero, so that callers check once,
// at the end.
type reader struct {
	b   []byte
	pos int
	end int // where reading ends: the end of b, or of the properties within them
	pkt Type
	v   Version
	err error

	// While properties are read.
	allowed uint16      // whose properties: a bit for each packet type, bit 0 for a will
	seen    PropertySet // which were there
	user    UserProperties
	userEnd int  // where the last user property ended
	copied  bool // user is a copy, since user properties did not lie together
}

// newReader starts to read the body of a packet whose flags must be those of its type.
func newReader(pkt Type, h Header, body []byte, v Version) reader {
	r := reader{b: body, end: len(body), pkt: pkt, v: v}
	h.Type = pkt
	if err := h.checkFlags(v); err != nil {
		r.stop(err)
	}
	return r
}

// fail notes that the field what at offset at breaks a rule.
func (r *reader) fail(bad *rule, at int, what string) {
	if r.err == nil {
		r.stop(bad.at(r.pkt, r.v, at, what))
	}
}

func (r *reader) stop(err error) {
	r.err = err
	r.b, r.pos, r.end = nil, 0, 0
}

// done ends reading. All of the body must have been read.
func (r *reader) done() error {
	if r.pos != r.end {
		r.fail(ruleTrailing, r.pos, "")
	}
	return r.err
}

func (r *reader) more() bool { return r.pos < r.end }

// take returns the next n bytes.
func (r *reader) take(n int, what string) []byte {
	if n > r.end-r.pos {
		r.fail(ruleShort, r.pos, what)
		return nil
	}
	b := r.b[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b
}

func (r *reader) uint8(what string) uint8 {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16(what string) uint16 {
	if b := r.take(2, what); b != nil {
		return uint16(b[0])<<8 | uint16(b[1])
	}
	return 0
}

func (r *reader) uint32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	return 0
}

func (r *reader) varint(what string) uint32 {
	if r.pos < r.end && r.b[r.pos] < 0x80 {
		r.pos++
		return uint32(r.b[r.pos-1])
	}
	value, n, bad := readVarint(r.b[r.pos:r.end])
	switch {
	case bad != nil:
		r.fail(bad, r.pos, what)
	case n == 0:
		r.fail(ruleShort, r.pos, what)
	default:
		r.pos += n
	}
	return value
}

// binary reads a field of two bytes of length and as many bytes.
func (r *reader) binary(what string) []byte {
	return r.take(int(r.uint16(what)), what)
}

// text reads a string, which must be well-formed.
func (r *reader) text(what string) []byte {
	b := r.binary(what)
	if bad := checkText(b); bad != nil {
		r.fail(bad, r.pos-len(b), what)
		return nil
	}
	return b
}

// topic reads a topic name; empty and wildcard are the rules for it.
func (r *reader) topic(what string, empty, wildcard *rule) []byte {
	b := r.binary(what)
	bad := checkTopic(b, empty, wildcard)
	if bad == nil || r.err != nil {
		return b
	}
	if bad == empty || bad == wildcard {
		what = "" // these say it themselves
	}
	r.fail(bad, r.pos-len(b), what)
	return nil
}

// packetID reads a packet identifier, which is never 0.
func (r *reader) packetID() uint16 {
	id := r.uint16("packet identifier")
	if id == 0 {
		r.fail(typePacketIDRules[r.pkt], r.pos-2, "")
	}
	return id
}
