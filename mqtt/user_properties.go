package mqtt

import "iter"

// AppendUserProperty appends a user property to u and returns the longer list. A key or value of more than
// MaxStringBytes is cut off there.
func AppendUserProperty(u UserProperties, key, value string) UserProperties {
	return AppendString(AppendString(append(u, byte(PropUser)), key), value)
}

// All iterates over keys and values in their order. Keys may be there several times. It stops where u is not what
// decoding or AppendUserProperty made.
func (u UserProperties) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for len(u) > 0 {
			key, value, rest := u.cut()
			if rest == nil || !yield(string(key), string(value)) {
				return
			}
			u = rest
		}
	}
}

// Len returns the number of user properties.
func (u UserProperties) Len() int {
	n := 0
	for len(u) > 0 {
		_, _, rest := u.cut()
		if rest == nil {
			break
		}
		u = rest
		n++
	}
	return n
}

// cut splits off the first user property. rest is nil if u does not begin with one.
func (u UserProperties) cut() (key, value, rest UserProperties) {
	if len(u) == 0 || u[0] != byte(PropUser) {
		return nil, nil, nil
	}
	key, rest = u[1:].cutString()
	if rest == nil {
		return nil, nil, nil
	}
	value, rest = rest.cutString()
	return key, value, rest
}

// cutString splits off a length and as many bytes. rest is nil if u is too short.
func (u UserProperties) cutString() (s, rest UserProperties) {
	if len(u) < 2 {
		return nil, nil
	}
	end := 2 + int(u[0])<<8 + int(u[1])
	if end > len(u) {
		return nil, nil
	}
	return u[2:end], u[end:]
}

// check tells which rule u breaks as part of a packet, nil: none. ok is false if u is not made of user properties.
func (u UserProperties) check() (bad *rule, ok bool) {
	for len(u) > 0 {
		key, value, rest := u.cut()
		if rest == nil {
			return nil, false
		}
		for _, s := range [2][]byte{key, value} {
			if bad := checkText(s); bad != nil {
				return bad, true
			}
		}
		u = rest
	}
	return nil, true
}
