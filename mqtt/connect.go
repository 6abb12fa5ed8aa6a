package mqtt

// Type implements Packet.
func (*Connect) Type() Type { return CONNECT }

// The connect flags. The will's QoS takes two bits.
const (
	connectReserved   = 0x01
	connectCleanStart = 0x02
	connectWill       = 0x04
	connectWillQoS    = 0x18
	connectWillRetain = 0x20
	connectPassword   = 0x40
	connectUsername   = 0x80
)

// Decode implements Packet. It takes the version from the packet and ignores the argument.
//
// When it fails, x.Version tells how the client can be answered: with a CONNACK of that version if it is one that this
// package speaks; if not, the error's Code is UnsupportedProtocolVersion and Version is the level that the packet asks
// for. It is 0 if the protocol is not even MQTT, or the packet ends before it says its version: then there is no answer.
func (x *Connect) Decode(h Header, body []byte, _ Version) error {
	*x = Connect{}
	r := newReader(CONNECT, h, body, 0)
	x.decodeProtocol(&r)
	if x.Version != V31 && h.Flags != 0 {
		r.stop(ruleFlags.at(CONNECT, x.Version, 0, ""))
	}
	flags := x.decodeFlags(&r)
	x.KeepAlive = r.uint16("keep alive")
	if x.Version == V5 {
		x.decodeProperties(&r)
	}
	x.ClientID = string(r.text("client identifier"))
	if flags&connectWill != 0 {
		x.Will = decodeWill(&r, flags)
	}
	// In 3.1 the packet's length wins over these two flags, for clients older still.
	lenient := x.Version == V31
	if flags&connectUsername != 0 && (r.more() || !lenient) {
		x.HasUsername = true
		x.Username = string(r.text("user name"))
	}
	if flags&connectPassword != 0 && (r.more() || !lenient) {
		x.HasPassword = true
		x.Password = r.binary("password")
	}
	return r.done()
}

// decodeProtocol reads the protocol's name and level, on which all the rest depends.
func (x *Connect) decodeProtocol(r *reader) {
	name := string(r.binary("protocol name"))
	if r.err == nil && name != "MQTT" && name != "MQIsdp" {
		r.fail(ruleProtocolName, 2, "")
	}
	level := Version(r.uint8("protocol level"))
	if r.err != nil {
		return
	}
	x.Version, r.v = level, level
	if name == "MQTT" && level != V311 && level != V5 || name == "MQIsdp" && level != V31 {
		r.fail(ruleProtocolLevel, r.pos-1, "")
	}
}

// decodeFlags reads the connect flags and checks that they agree with each other.
func (x *Connect) decodeFlags(r *reader) uint8 {
	at := r.pos
	flags := r.uint8("connect flags")
	noWill := flags&connectWill == 0
	switch {
	case flags&connectReserved != 0 && r.v != V31: // where the bit has no meaning, but need not be 0
		r.fail(ruleConnectFlag, at, "")
	case noWill && flags&connectWillQoS != 0:
		r.fail(ruleNoWillQoS, at, "")
	case flags&connectWillQoS == connectWillQoS:
		r.fail(ruleWillQoS, at, "")
	case noWill && flags&connectWillRetain != 0:
		r.fail(ruleNoWillRetain, at, "")
	case r.v < V5 && flags&connectPassword != 0 && flags&connectUsername == 0:
		r.fail(rulePassword, at, "")
	}
	x.CleanStart = flags&connectCleanStart != 0
	return flags
}

func (x *Connect) decodeProperties(r *reader) {
	at := r.pos
	r.openProperties(inConnect)
	var p property
	for r.nextProperty(&p) {
		switch p.id {
		case PropSessionExpiry:
			x.SessionExpirySeconds = p.num
		case PropReceiveMaximum:
			x.ReceiveMaximum = uint16(p.num)
		case PropMaximumPacketSize:
			x.MaximumPacketSize = p.num
		case PropTopicAliasMaximum:
			x.TopicAliasMaximum = uint16(p.num)
		case PropRequestResponse:
			x.RequestResponseInformation = p.num == 1
		case PropRequestProblem:
			x.OmitProblemInformation = p.num == 0
		case PropAuthMethod:
			x.AuthMethod, x.HasAuthMethod = string(p.data), true
		case PropAuthData:
			x.AuthData = p.data
		}
	}
	x.User = r.user
	if x.AuthData != nil && !x.HasAuthMethod {
		r.fail(ruleAuthData, at, "")
	}
}

func decodeWill(r *reader, flags uint8) *Will {
	w := &Will{QoS: QoS(flags & connectWillQoS >> 3), Retain: flags&connectWillRetain != 0}
	if r.v == V5 {
		r.openProperties(inWill)
		w.DelaySeconds = w.Properties.read(r)
	}
	w.Topic = string(r.topic("will topic", ruleNoWillTopic, ruleWillWildcard))
	w.Payload = r.binary("will payload")
	return w
}

// AppendTo implements Packet. It appends the packet of version v, whatever x.Version is.
func (x *Connect) AppendTo(dst []byte, v Version) ([]byte, error) {
	w := newWriter(dst, CONNECT)
	name := "MQTT"
	if v == V31 {
		name = "MQIsdp"
	}
	if v < V31 || v > V5 {
		w.fail("protocol level is not supported")
	}
	if v < V5 && x.HasPassword && !x.HasUsername {
		w.fail(rulePassword.reason)
	}
	w.b = append(AppendString(w.b, name), byte(v), x.flags())
	w.uint16(x.KeepAlive)
	if v == V5 {
		x.appendProperties(&w)
	}
	w.text("client identifier", x.ClientID)
	if x.Will != nil {
		x.Will.append(&w, v)
	}
	if x.HasUsername {
		w.text("user name", x.Username)
	}
	if x.HasPassword {
		w.binary("password", x.Password)
	}
	return w.finish(nil)
}

func (x *Connect) flags() uint8 {
	var flags uint8
	for _, f := range [...]struct {
		on   bool
		flag uint8
	}{
		{x.CleanStart, connectCleanStart},
		{x.Will != nil, connectWill},
		{x.Will != nil && x.Will.Retain, connectWillRetain},
		{x.HasPassword, connectPassword},
		{x.HasUsername, connectUsername},
	} {
		if f.on {
			flags |= f.flag
		}
	}
	if x.Will != nil {
		flags |= uint8(x.Will.QoS) << 3 & connectWillQoS
	}
	return flags
}

func (x *Connect) appendProperties(w *writer) {
	mark := w.openProperties()
	if x.SessionExpirySeconds != 0 {
		w.propertyUint32(PropSessionExpiry, x.SessionExpirySeconds)
	}
	if x.ReceiveMaximum != 0 {
		w.propertyUint16(PropReceiveMaximum, x.ReceiveMaximum)
	}
	if x.MaximumPacketSize != 0 {
		w.propertyUint32(PropMaximumPacketSize, x.MaximumPacketSize)
	}
	if x.TopicAliasMaximum != 0 {
		w.propertyUint16(PropTopicAliasMaximum, x.TopicAliasMaximum)
	}
	if x.RequestResponseInformation {
		w.propertyBool(PropRequestResponse, true)
	}
	if x.OmitProblemInformation {
		w.propertyBool(PropRequestProblem, false)
	}
	w.authentication(x.AuthMethod, x.HasAuthMethod, x.AuthData)
	w.userProperties(x.User)
	w.closeProperties(mark)
}

func (x *Will) append(w *writer, v Version) {
	if x.QoS > ExactlyOnce {
		w.fail("will QoS is above 2")
	}
	if !ValidTopicName([]byte(x.Topic)) {
		w.fail("will topic is not a topic name")
	}
	if v == V5 {
		mark := w.openProperties()
		if x.DelaySeconds != 0 {
			w.propertyUint32(PropWillDelay, x.DelaySeconds)
		}
		x.Properties.write(w)
		w.userProperties(x.Properties.User)
		w.closeProperties(mark)
	}
	w.text("will topic", x.Topic)
	w.binary("will payload", x.Payload)
}
