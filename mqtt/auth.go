package mqtt

// Type implements Packet.
func (*Auth) Type() Type { return AUTH }

// Decode implements Packet. An empty AUTH says success and has no authentication method; any other must have one.
func (x *Auth) Decode(h Header, body []byte, v Version) error {
	*x = Auth{}
	r := newReader(AUTH, h, body, v)
	if v < V5 {
		r.fail(ruleAuth, 0, "")
	}
	if !r.more() {
		return r.done()
	}
	x.Code = r.reasonCode()
	at := r.pos
	r.openProperties(inAuth)
	var p property
	for r.nextProperty(&p) {
		switch p.id {
		case PropAuthMethod:
			x.AuthMethod, x.HasAuthMethod = string(p.data), true
		case PropAuthData:
			x.AuthData = p.data
		case PropReasonString:
			x.ReasonString = string(p.data)
		}
	}
	x.User = r.user
	if !x.HasAuthMethod {
		r.fail(ruleAuthMethod, at, "")
	}
	return r.done()
}

// AppendTo implements Packet. It fails before version 5.
func (x *Auth) AppendTo(dst []byte, v Version) ([]byte, error) {
	w := newWriter(dst, AUTH)
	if v < V5 {
		w.fail(ruleAuth.reason)
	}
	bare := !x.HasAuthMethod && x.AuthData == nil && x.ReasonString == "" && len(x.User) == 0
	if bare && x.Code == Success {
		return w.finish(nil)
	}
	if !x.HasAuthMethod {
		w.fail(ruleAuthMethod.reason)
	}
	w.reasonCode(x.Code)
	mark := w.openProperties()
	w.authentication(x.AuthMethod, x.HasAuthMethod, x.AuthData)
	w.propertyString(PropReasonString, x.ReasonString)
	w.userProperties(x.User)
	w.closeProperties(mark)
	return w.finish(nil)
}
