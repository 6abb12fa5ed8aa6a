package mqtt

// Type implements Packet.
func (*Subscribe) Type() Type { return SUBSCRIBE }

// The subscription options.
const (
	optionQoS               = 0x03
	optionNoLocal           = 0x04
	optionRetainAsPublished = 0x08
	optionRetainHandling    = 0x30
	optionReserved          = 0xC0
)

// Decode implements Packet. The topic filters are strings that are not empty; whether they are filters is for
// ParseTopicFilter to say, since a server answers for each of them.
func (x *Subscribe) Decode(h Header, body []byte, v Version) error {
	*x = Subscribe{}
	r := newReader(SUBSCRIBE, h, body, v)
	x.PacketID = r.packetID()
	if v >= V5 {
		r.openProperties(inSubscribe)
		var p property
		for r.nextProperty(&p) {
			x.SubscriptionID = p.num
		}
		x.User = r.user
	}
	if !r.more() {
		r.fail(ruleNoFilters, r.pos, "")
	}
	for r.more() {
		x.Filters = append(x.Filters, r.filterOptions())
	}
	return r.done()
}

// filter reads a topic filter.
func (r *reader) filter() string {
	s := r.text("topic filter")
	if len(s) == 0 {
		r.fail(ruleEmptyFilter, r.pos, "")
	}
	return string(s)
}

// filterOptions reads a topic filter and its options.
func (r *reader) filterOptions() FilterOptions {
	f := FilterOptions{Filter: r.filter()}
	options := r.uint8("subscription options")
	at := r.pos - 1
	f.QoS = QoS(options & optionQoS)
	if r.v < V5 {
		if options&^optionQoS != 0 {
			r.fail(ruleOptionBits, at, "")
		}
		if f.QoS > ExactlyOnce {
			r.fail(ruleOptionQoS, at, "")
		}
		return f
	}
	f.NoLocal = options&optionNoLocal != 0
	f.RetainAsPublished = options&optionRetainAsPublished != 0
	f.RetainHandling = RetainHandling(options & optionRetainHandling >> 4)
	switch {
	case options&optionReserved != 0:
		r.fail(ruleOptionBits, at, "")
	case f.QoS > ExactlyOnce:
		r.fail(ruleOptionQoS, at, "")
	case f.RetainHandling > NoRetained:
		r.fail(ruleOptionRetain, at, "")
	case f.NoLocal && isShared(f.Filter):
		r.fail(ruleNoLocalShared, at, "")
	}
	return f
}

// AppendTo implements Packet. Before version 5 the only option is QoS.
func (x *Subscribe) AppendTo(dst []byte, v Version) ([]byte, error) {
	w := newWriter(dst, SUBSCRIBE)
	w.packetID(x.PacketID)
	if v >= V5 {
		mark := w.openProperties()
		if x.SubscriptionID != 0 {
			w.subscriptionID(x.SubscriptionID)
		}
		w.userProperties(x.User)
		w.closeProperties(mark)
	}
	if len(x.Filters) == 0 {
		w.fail(ruleNoFilters.reason)
	}
	for i := range x.Filters {
		w.filter(x.Filters[i].Filter)
		w.uint8(x.Filters[i].options(&w, v))
	}
	return w.finish(nil)
}

func (w *writer) filter(s string) {
	if s == "" {
		w.fail(ruleEmptyFilter.reason)
	}
	w.text("topic filter", s)
}

// options returns the option byte.
func (f *FilterOptions) options(w *writer, v Version) uint8 {
	switch {
	case f.QoS > ExactlyOnce:
		w.fail(ruleOptionQoS.reason)
	case v < V5:
		return uint8(f.QoS)
	case f.RetainHandling > NoRetained:
		w.fail(ruleOptionRetain.reason)
	case f.NoLocal && isShared(f.Filter):
		w.fail(ruleNoLocalShared.reason)
	}
	options := uint8(f.QoS) | uint8(f.RetainHandling)<<4
	if f.NoLocal {
		options |= optionNoLocal
	}
	if f.RetainAsPublished {
		options |= optionRetainAsPublished
	}
	return options
}
